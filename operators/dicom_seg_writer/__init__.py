"""The fourth stage: the label map as a DICOM Segmentation that refers to a derived series of the fused volume."""

from operators.dicom_seg_writer.dicom_outputs import DicomFiles, write_dicom
from operators.dicom_seg_writer.writer import make_seg, write_seg

__all__ = ["DicomFiles", "make_seg", "write_dicom", "write_seg"]
