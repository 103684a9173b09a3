"""The third stage: the bundle's network labels the fused volume, or a label map made elsewhere does.

What needs PyTorch is imported when it is first asked for, so that options and
schemes can be read, and a command line be refused, without waiting for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from operators.core.label_schemes import Scheme, load_scheme, scheme_names
from operators.segmentation.options import SegmentationOptions

if TYPE_CHECKING:
    from operators.segmentation.bundle_model import SegmentationModel, load_model
    from operators.segmentation.inference import segment
    from operators.segmentation.made_elsewhere import LabelSource, import_labels

_LATER = {
    "LabelSource": "made_elsewhere",
    "SegmentationModel": "bundle_model",
    "import_labels": "made_elsewhere",
    "load_model": "bundle_model",
    "segment": "inference",
}

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


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
