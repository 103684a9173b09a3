"""The service: studies come by DICOM or into a folder, are processed one by one, and results are sent on."""
