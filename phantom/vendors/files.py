"""The files of a study as a vendor writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from phantom.dicom_files import DicomFile, dicom_files
from phantom.dicom_series import Patient, Series
from phantom.vendors.canon import CANON
from phantom.vendors.enhanced import enhanced_files
from phantom.vendors.ge import GE
from phantom.vendors.philips import PHILIPS, PHILIPS_ENHANCED
from phantom.vendors.siemens import SIEMENS
from phantom.vendors.siemens_xa import SIEMENS_XA
from phantom.vendors.vendor import Vendor

__all__ = ["VENDORS", "vendor_files"]

VENDORS: Mapping[str, Vendor] = {
    "siemens": SIEMENS,
    "siemens-xa": SIEMENS_XA,
    "ge": GE,
    "philips": PHILIPS,
    "philips-enhanced": PHILIPS_ENHANCED,
    "canon": CANON,
}
"""By the names of `phantom.options.VendorName`, all but ``composed``."""


def vendor_files(
    series: Sequence[Series], patient: Patient, vendor: Vendor, *, compress: bool = False
) -> Iterator[DicomFile]:
    """Make the files of arranged series, with names that are unique in their folder.

    Parameters
    ----------
    series : sequence of Series
        As `Vendor.arrange` gives them; faults may have changed them.
    patient : Patient
    vendor : Vendor
    compress : bool
        JPEG lossless; Enhanced MR objects stay uncompressed.
    """
    if vendor.enhanced is not None:
        made = enhanced_files(series, patient, vendor.enhanced, vendor.dress)
    else:
        made = (file for one in series for file in dicom_files(one, patient, compress=compress, dress=vendor.dress))
    in_folder: Counter[str] = Counter()
    for file in made:
        folder = file.folder.replace(":", "").replace(" ", "_")
        in_folder[folder] += 1
        yield replace(file, folder=folder, name=f"{in_folder[folder]:04d}.dcm")
