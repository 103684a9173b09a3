"""Synthetic participants: anatomy, Dixon signal and DICOM archive, with exact ground truth."""
