"""The service: it receives studies by DICOM or from a folder, processes them one by one and sends the results."""
