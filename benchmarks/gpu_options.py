"""Other ways to run the network on the GPU, tried and reported. Part of `benchmarks.gpu_check`.

None of them is used by SarcoMAP; each one's time for a window says whether it would be worth it.
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks.gpu_segmentation import Studies
from benchmarks.gpu_setting import Part, Row, Setting
from operators.core.bfloat16 import has_bf16
from operators.segmentation.onnx_model import onnx_model
from operators.segmentation.onnx_network import OnnxRuntimeNetwork

__all__ = ["check_options"]

_NEEDED_S = {"torch.compile": 75.0, "torch.compile, CUDA graphs": 90.0, "ONNX Runtime": 30.0}  # of compilers
_NEEDED_S |= {"ONNX Runtime, TensorRT": 300.0}
_NEEDED_BY_OTHERS_S = 5.0
_WINDOWS = 8  # in a batch; ONNX Runtime takes them one by one
Score = Callable[[torch.Tensor], torch.Tensor]


def check_options(setting: Setting, studies: Studies, part: Part) -> None:
    """Milliseconds of a window, and how many voxels keep the label of eager float32, for each way that works here."""
    model = studies.full_model
    network = model.network.to(setting.device).eval()
    shape = (1 if setting.small else _WINDOWS, len(model.contrasts), *model.windows.roi)
    window = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(setting.device)
    with torch.inference_mode():
        expected = network(window).argmax(dim=1)
    ways: dict[str, Callable[[], Score]] = {
        "eager fp32": lambda: network,
        "eager": lambda: _autocast(setting, network),
        "cudnn.benchmark": lambda: _with_benchmark(_autocast(setting, network)),
        "channels last": lambda: _channels_last(setting, network),
        "half of the precision (fp16)": lambda: _autocast(setting, network, torch.float16),
        "CUDA graph of eager": lambda: _graph(setting, network, window),
        "ONNX Runtime": lambda: _onnxruntime(setting, model, tensorrt=False),
        "torch.compile": lambda: _compiled(setting, network, None),
        "torch.compile, CUDA graphs": lambda: _compiled(setting, network, "reduce-overhead"),
        "ONNX Runtime, TensorRT": lambda: _onnxruntime(setting, model, tensorrt=True),
    }
    for name, made in ways.items():
        needed = _NEEDED_S.get(name, _NEEDED_BY_OTHERS_S)
        if setting.left_s < needed:
            found: dict[str, Any] = {"left_out": f"less than {needed:.0f} s were left"}
        else:
            found = _tried(setting, made, window, expected)
        part.details[name] = found
        said = (
            f"{found['window_ms']:.2f} ms a window"
            if "window_ms" in found
            else found.get("failed") or found["left_out"]
        )
        same = f"{100 * found['same_labels']:.2f}% of the labels of fp32" if "same_labels" in found else ""
        part.rows.append(Row(f"option: {name}", said, same))
        part.keep()


def _tried(setting: Setting, made: Callable[[], Score], window: torch.Tensor, expected: torch.Tensor) -> dict[str, Any]:
    try:
        with torch.inference_mode(), _settings_kept():
            score = made()
            first = setting.timed(lambda: score(window))
            seconds = setting.median(lambda: score(window), 2 if setting.small else 5)
            same = float((score(window).argmax(dim=1) == expected).float().mean())
        return {"window_ms": 1e3 * seconds / len(window), "first_s": first, "same_labels": same}
    except Exception as error:  # a way that does not work here is a result, not the end
        return {"failed": f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"[:160]}


@contextmanager
def _settings_kept() -> Iterator[None]:
    before = torch.backends.cudnn.benchmark
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _autocast(setting: Setting, network: torch.nn.Module, kind: torch.dtype = torch.bfloat16) -> Score:
    enabled = setting.device.type == "cuda" and (kind == torch.float16 or has_bf16(cuda=True))

    def score(window: torch.Tensor) -> torch.Tensor:
        with torch.autocast(setting.device.type, dtype=kind, enabled=enabled):
            return torch.as_tensor(network(window)).float()

    return score


def _with_benchmark(score: Score) -> Score:
    torch.backends.cudnn.benchmark = True
    return score


def _channels_last(setting: Setting, network: torch.nn.Module) -> Score:
    score = _autocast(setting, copy.deepcopy(network).to(memory_format=torch.channels_last_3d))  # type: ignore[call-overload]
    return lambda window: score(window.contiguous(memory_format=torch.channels_last_3d))


def _compiled(setting: Setting, network: torch.nn.Module, mode: str | None) -> Score:
    # On the CPU the call alone is tested: its compiler would need minutes.
    how: dict[str, Any] = {"backend": "eager"} if setting.small else {"mode": mode}
    return _autocast(setting, torch.compile(copy.deepcopy(network), **how))  # type: ignore[arg-type]


def _graph(setting: Setting, network: torch.nn.Module, window: torch.Tensor) -> Score:
    """The launches of one window recorded once, then replayed."""
    if setting.device.type != "cuda":
        raise RuntimeError("needs CUDA")
    score, given = _autocast(setting, network), window.clone()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # type: ignore[no-untyped-call]
        for _ in range(3):
            score(given)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = score(given)

    def replay(window: torch.Tensor) -> torch.Tensor:
        given.copy_(window)
        graph.replay()
        return found

    return replay


def _onnxruntime(setting: Setting, model: Any, *, tensorrt: bool) -> Score:
    on_gpu = setting.device.type == "cuda"
    if tensorrt and importlib.util.find_spec("tensorrt") is None:
        raise RuntimeError("the package tensorrt is not installed")
    if not tensorrt:  # fp32, as CUDA has no bf16 there
        network = OnnxRuntimeNetwork(onnx_model(model), on_gpu, False, 1, tensorrt=False)
    else:
        network = OnnxRuntimeNetwork(onnx_model(model), on_gpu, True, 1)
    if on_gpu and ("tensorrt" if tensorrt else "cuda") not in network.description:
        raise RuntimeError(f"it ran on {network.description}")
    return network
