"""The third stage: the bundle's network labels the fused volume, or a label map made elsewhere does."""

from operators.segmentation.bundle_model import SegmentationModel, load_model
from operators.segmentation.import_labels import LabelSource, import_labels
from operators.segmentation.options import SegmentationOptions
from operators.segmentation.schemes import Scheme, load_scheme, scheme_names
from operators.segmentation.segment import segment

__all__ = [
    "LabelSource",
    "Scheme",
    "SegmentationModel",
    "SegmentationOptions",
    "import_labels",
    "load_model",
    "load_scheme",
    "scheme_names",
    "segment",
]
