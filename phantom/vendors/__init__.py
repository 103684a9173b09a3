"""The same synthetic participant as different vendors' scanners write it.

One module for each vendor. Every choice there names its source: a public
conformance statement, dictionary or report. What no source says is said to be
our own choice. `phantom.vendors.files.vendor_files` writes them all.
"""
