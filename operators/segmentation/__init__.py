"""The third stage: the bundle's network labels the fused volume."""

from operators.segmentation.bundle_model import SegmentationModel, load_model
from operators.segmentation.options import SegmentationOptions
from operators.segmentation.segment import segment

__all__ = ["SegmentationModel", "SegmentationOptions", "load_model", "segment"]
