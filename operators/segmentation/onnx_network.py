"""ONNX Runtime as the network's backend: on the CPU, or on a GPU with TensorRT or CUDA."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from operators.core.anatomy import CHANNEL_COUNT
from operators.core.errors import UsageError
from operators.segmentation.runtimes import import_onnxruntime

__all__ = ["OnnxRuntimeNetwork", "gpu_providers"]

Provider = tuple[str, dict[str, Any]]


class OnnxRuntimeNetwork:
    """ONNX Runtime on the CPU, or on a GPU with TensorRT if it is installed, else with CUDA.

    On a GPU, windows and scores stay there: ONNX Runtime reads and writes the
    memory of PyTorch's tensors.

    Parameters
    ----------
    path : Path
        ONNX file that takes one window at a time.
    cuda, bf16 : bool
        bf16 needs TensorRT.
    threads : int
        Of the CPU.
    tensorrt : bool
        Whether to use TensorRT where it is installed.

    Raises
    ------
    UsageError
        For ``cuda`` with an onnxruntime without GPU, or ``bf16`` with a provider that does not have it.
    """

    def __init__(self, path: Path, cuda: bool, bf16: bool, threads: int = 0, *, tensorrt: bool = True) -> None:
        runtime = import_onnxruntime()
        if cuda:
            with suppress(AttributeError, OSError):
                runtime.preload_dlls()  # CUDA and cuDNN from the packages that PyTorch brought
        session = runtime.SessionOptions()
        session.intra_op_num_threads = threads
        session.log_severity_level = 3
        available = [name for name in runtime.get_available_providers() if tensorrt or not name.startswith("Tensorrt")]
        providers = gpu_providers(available, path.parent, bf16) if cuda else []
        if cuda and not providers:
            raise UsageError(
                "--backend onnxruntime",
                "an onnxruntime package for the CPU only",
                "onnxruntime-gpu",
                "Install the extra `gpu`, or use --device cpu.",
            )
        self._session = runtime.InferenceSession(str(path), session, providers=[*providers, "CPUExecutionProvider"])
        used = self._session.get_providers()[0].removesuffix("ExecutionProvider").lower()
        if bf16 and used != "tensorrt":
            raise UsageError(
                "--precision bf16",
                f"onnxruntime {runtime.__version__} on {used}, which computes in fp32",
                "openvino or torch (CPU), torch or TensorRT (GPU)",
                "Choose another --backend, or --precision fp32.",
            )
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name
        # A session falls back to the CPU without an error if libraries of CUDA are missing; the report says so then.
        self._on_gpu = used in ("cuda", "tensorrt")
        self.description = f"onnxruntime {runtime.__version__}, {used}, {'bf16' if bf16 else 'fp32'}"

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        """See `operators.segmentation.networks.Network`."""
        if self._on_gpu and windows.device.type == "cuda":
            return self.bound(windows)
        scores = [self._session.run(None, {self._input: window[None].cpu().numpy()})[0] for window in windows]
        return torch.cat([torch.from_numpy(part) for part in scores])

    def bound(self, windows: torch.Tensor) -> torch.Tensor:
        """Scores on the device of the windows, which ONNX Runtime reads and writes in place."""
        device = windows.device
        scores = torch.empty((len(windows), CHANNEL_COUNT, *windows.shape[2:]), device=device)
        for window, found in zip(windows.contiguous(), scores, strict=True):
            binding = self._session.io_binding()
            for bind, name, tensor in (
                (binding.bind_input, self._input, window[None]),
                (binding.bind_output, self._output, found[None]),
            ):
                bind(name, device.type, device.index or 0, np.float32, tuple(tensor.shape), tensor.data_ptr())
            if device.type == "cuda":
                torch.cuda.current_stream(device).synchronize()  # ONNX Runtime has a stream of its own
            self._session.run_with_iobinding(binding)
            binding.synchronize_outputs()
        return scores


def gpu_providers(available: Sequence[str], cache: Path, bf16: bool) -> list[Provider]:
    """The GPU providers to try in order, with their settings: TensorRT, then CUDA.

    Parameters
    ----------
    available : sequence of str
        What the installed onnxruntime was built with. It names TensorRT even where its libraries are not installed;
        then the session takes CUDA.
    cache : Path
        Folder for TensorRT's engines, which take minutes to build.
    bf16 : bool

    Returns
    -------
    list of (str, dict)
    """
    tensorrt = {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(cache),
        "trt_bf16_enable": bf16,
    }
    cuda = {
        # Algorithms are measured once, as windows all have one size; memory grows by what is asked for.
        "cudnn_conv_algo_search": "EXHAUSTIVE",
        "cudnn_conv_use_max_workspace": "1",
        "arena_extend_strategy": "kSameAsRequested",
    }
    wanted: list[Provider] = [("TensorrtExecutionProvider", tensorrt), ("CUDAExecutionProvider", cuda)]
    return [(name, settings) for name, settings in wanted if name in available]
