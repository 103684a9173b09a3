"""The third stage: label the fused volume with the bundle's network, or with a label map made elsewhere.

Modules that need PyTorch are imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from operators.segmentation.bundle_model import SegmentationModel, load_model
    from operators.segmentation.inference import segment
    from operators.segmentation.label_outputs import write_imported_labels, write_labels
    from operators.segmentation.made_elsewhere import import_labels

_LATER = {
    "SegmentationModel": "bundle_model",
    "import_labels": "made_elsewhere",
    "load_model": "bundle_model",
    "segment": "inference",
    "write_imported_labels": "label_outputs",
    "write_labels": "label_outputs",
}

__all__ = [
    "SegmentationModel",
    "import_labels",
    "load_model",
    "segment",
    "write_imported_labels",
    "write_labels",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
