"""One interface to the network for all backends: PyTorch, ONNX Runtime and OpenVINO.

The choice of ``auto`` was measured with the full-size network on two cores of
an AMD EPYC with AVX-512 bf16 (docs/inference-figures.md). OpenVINO is the fastest there
in either precision, then PyTorch, then ONNX Runtime. On a GPU, ``auto`` takes
PyTorch, which needs no conversion and no further package.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from itertools import cycle
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from operators.core.bfloat16 import has_bf16
from operators.core.errors import UsageError
from operators.core.options import Backend, SegmentationOptions
from operators.core.threads import thread_count
from operators.segmentation.bundle_model import SegmentationModel
from operators.segmentation.memory import drop_mapped_pages, return_freed_memory
from operators.segmentation.onnx_model import onnx_model
from operators.segmentation.onnx_network import OnnxRuntimeNetwork
from operators.segmentation.runtimes import import_openvino

__all__ = [
    "HARMLESS_DICE_LOSS",
    "Network",
    "OnnxRuntimeNetwork",
    "OpenVinoNetwork",
    "RunsAhead",
    "TorchNetwork",
    "open_network",
]

HARMLESS_DICE_LOSS = 0.002
_STREAMS = 2  # each needs memory for the features of one window
_PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino"}


class Network(Protocol):
    """A network that scores windows.

    Attributes
    ----------
    description : str
        Backend with version, device and precision.
    """

    description: str

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        """Scores (windows, classes, x, y, z), float32, of windows (windows, channels, x, y, z), float32."""
        ...


@runtime_checkable
class RunsAhead(Network, Protocol):
    """A network that scores one window while the caller uses the scores of another.

    Attributes
    ----------
    ahead : int
        Number of windows that can be started before the scores of the first are fetched.
    """

    ahead: int

    def start(self, window: torch.Tensor) -> Callable[[], torch.Tensor]:
        """Start scoring one window (1, channels, x, y, z); the function that is returned gives its scores.

        Fetch scores in the order of the starts. They stay valid for ``ahead - 1`` more starts.
        """
        ...


class TorchNetwork:
    """PyTorch in eager mode, with autocast for bfloat16.

    Parameters
    ----------
    network : torch.nn.Module
        On ``device``, in evaluation mode.
    device : torch.device
    bf16 : bool
    """

    def __init__(self, network: torch.nn.Module, device: torch.device, bf16: bool) -> None:
        self.network = network
        self.device = device
        self.bf16 = bf16
        self.description = f"torch {torch.__version__}, {_device_name(device)}, {'bf16' if bf16 else 'fp32'}"

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        """See `Network`."""
        with torch.inference_mode(), torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            return torch.as_tensor(self.network(windows.to(self.device))).float()


class OpenVinoNetwork:
    """OpenVINO on the CPU.

    With more than one thread, two windows are scored at the same time, each by
    half of the threads. This is faster (7% on two cores), because the threads of
    one window need not wait for the others after every layer, and because one
    window continues while the scores of the other are merged.

    Parameters
    ----------
    path : Path
        ONNX file that takes one window at a time.
    bf16 : bool
    """

    def __init__(self, path: Path, bf16: bool) -> None:
        threads = thread_count()
        streams = min(threads, _STREAMS)
        # One request more would keep all threads busy while scores are merged, which takes a thread as well. It would
        # hold the scores of one window more, over 100 MB.
        self.ahead = streams
        compiled = _compiled(path, bf16, threads, streams)
        self._requests = cycle([compiled.create_infer_request() for _ in range(self.ahead)])
        self._compiled_in: Path | None = path.parent
        version = import_openvino().__version__.split("-")[0]
        self.description = f"openvino {version}, cpu, {'bf16' if bf16 else 'fp32'}"

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        """See `Network`."""
        if len(windows) == 1:
            return self.start(windows)()
        scores = []
        for few in windows.split(self.ahead):
            begun = [self.start(window[None]) for window in few]
            scores += [finish().clone() for finish in begun]
        return torch.cat(scores)

    def start(self, window: torch.Tensor) -> Callable[[], torch.Tensor]:
        """See `RunsAhead`."""
        request = next(self._requests)
        request.start_async({0: window.contiguous().numpy()})

        def scores() -> torch.Tensor:
            request.wait()
            if self._compiled_in is not None:  # by now it has its own copy of the weights, in the order of its kernels
                drop_mapped_pages(self._compiled_in, ".blob")
                self._compiled_in = None
            return torch.from_numpy(request.get_output_tensor(0).data)

        return scores


@lru_cache(maxsize=1)  # for the next study of this process; the file is named by a digest of what is in it
def _compiled(path: Path, bf16: bool, threads: int, streams: int) -> Any:
    """The network, compiled by OpenVINO for this processor."""
    openvino = import_openvino()
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",  # the default is bf16 wherever possible
        "CACHE_DIR": str(path.parent),  # a compiled model opens faster and holds one copy of the weights less
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
    }
    core = openvino.Core()
    compiled = core.compile_model(str(path), "CPU", settings)
    if not compiled.get_property("LOADED_FROM_CACHE"):  # a model just compiled holds one copy of the weights more
        del compiled
        return_freed_memory()
        compiled = core.compile_model(str(path), "CPU", settings)
    return compiled


def open_network(model: SegmentationModel, options: SegmentationOptions) -> Network:
    """Open the network of a model on the backend that the options name.

    Raises
    ------
    UsageError
        When the backend is not installed, the machine has no GPU, or the
        backend does not have the precision.
    RuntimeError
        When the backend cannot load the network.
    """
    cuda = _on_cuda(options)
    backend: Backend = options.backend
    if backend == "auto":
        backend = "torch" if cuda or importlib.util.find_spec("openvino") is None else "openvino"
    package = _PACKAGES.get(backend)
    if package is not None and importlib.util.find_spec(package) is None:
        raise UsageError(
            f"--backend {backend}", f"no package {package}", "the package installed", f"Run `pip install {package}`."
        )
    if backend == "openvino" and options.device == "cuda":
        raise UsageError("--backend openvino", "--device cuda", "the CPU", "Use torch or onnxruntime on a GPU.")
    bf16 = _in_bf16(model, options, backend, cuda)
    if backend == "torch":
        device = torch.device("cuda" if cuda else "cpu")
        return TorchNetwork(model.network.to(device), device, bf16)
    if backend == "openvino":
        return OpenVinoNetwork(onnx_model(model), bf16)
    return OnnxRuntimeNetwork(onnx_model(model), cuda, bf16, thread_count())


def _on_cuda(options: SegmentationOptions) -> bool:
    there = torch.cuda.is_available()
    if options.device == "cuda" and not there:
        raise UsageError("--device cuda", "no GPU that PyTorch can use", "one", "Use --device cpu.")
    return there and options.device != "cpu" and options.backend != "openvino"


def _in_bf16(model: SegmentationModel, options: SegmentationOptions, backend: Backend, cuda: bool) -> bool:
    """Whether the network runs in bfloat16."""
    if backend == "onnxruntime":
        return options.precision == "bf16"  # `OnnxRuntimeNetwork` checks whether its provider has it
    possible = has_bf16(cuda)
    if options.precision == "bf16" and not possible:
        # PyTorch would emulate it, thirty times slower than fp32. OpenVINO would compute in fp32 without saying so.
        raise UsageError(
            "--precision bf16",
            f"a {'GPU' if cuda else 'processor'} without instructions for bfloat16",
            "AVX-512 BF16, AMX, or a GPU of NVIDIA's Ampere or later",
            "Use --precision fp32, or auto.",
        )
    harmless = model.bf16_dice_loss is not None and model.bf16_dice_loss < HARMLESS_DICE_LOSS
    return possible and (options.precision == "bf16" or (options.precision == "auto" and harmless))


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
