"""The network as an ONNX file, exported once from the bundle's weights and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import torch

from operators.core.errors import OutputError
from operators.core.output_files import replacing
from operators.segmentation.bundle_model import SegmentationModel
from operators.segmentation.memory import return_freed_memory
from operators.segmentation.monai_parts import monai
from operators.segmentation.network_cache import cache_folder

__all__ = ["onnx_model"]

_FORMAT = "1"  # version of the files in the cache; raise it when the export changes
_OPSET = 18


def onnx_model(model: SegmentationModel) -> Path:
    """The ONNX file of a model. It takes one window and returns its scores, in float32.

    The file is named by a digest of the weights in memory, the architecture and
    the window, so that no other model uses it. Nothing is downloaded, and
    nothing is written to the bundle's folder.

    Raises
    ------
    RuntimeError
        When PyTorch cannot export the network.
    OutputError
        When the file cannot be written, not even to a temporary folder.
    """
    path = cache_folder() / f"{_digest(model)}.onnx"
    if not path.is_file():
        _export(model, path)
    return path


def _digest(model: SegmentationModel) -> str:
    # A digest of the tensors, not of the weights file, because the tensors in memory are what is exported.
    text = (_FORMAT, torch.__version__, monai.__version__, repr(model.network), repr(_window_shape(model)))
    digest = hashlib.sha256("\0".join(text).encode())
    for name, tensor in model.network.state_dict().items():
        digest.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()


def _window_shape(model: SegmentationModel) -> tuple[int, ...]:
    return (1, len(model.contrasts), *model.windows.roi)


def _export(model: SegmentationModel, path: Path) -> None:
    device = next(iter(model.network.state_dict().values()), torch.zeros(())).device
    try:
        # Without no_grad the exporter keeps every layer's output: 2.2 instead of 1.2 GiB for the full-size network.
        with replacing(path) as partial, warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the exporter warns about itself
            torch.onnx.export(
                model.network,
                (torch.zeros(_window_shape(model), device=device),),
                str(partial),
                input_names=["image"],
                output_names=["scores"],
                opset_version=_OPSET,
                # The tracing exporter is enough, because UNETR has no control flow. The other one needs onnxscript.
                dynamo=False,
            )
    except (OutputError, RuntimeError):
        raise
    except Exception as error:  # the exporter has its own error classes
        raise RuntimeError(f"not exported to ONNX ({type(error).__name__})") from error
    finally:
        return_freed_memory()  # the exporter's copies of the weights
