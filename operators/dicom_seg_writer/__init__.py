"""Stage four: the label map as a DICOM Segmentation."""

from operators.dicom_seg_writer.writer import make_seg, write_seg

__all__ = ["make_seg", "write_seg"]
