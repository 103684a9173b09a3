"""``sarcomap doctor``: what is installed and what works on this machine, on one screen."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from operators.core.command_line import new_app
from operators.core.cuda_driver import driver_sees_device
from operators.core.model_card import CARD_FILE, SHIPPED_BUNDLE

__all__ = ["Finding", "command", "examine"]

command = new_app(
    "doctor",
    "Show what works on this machine: packages, devices, backends, the model card, cache and free disk.\n\n"
    "The exit code is 0 if `sarcomap run` can work here, else 1.",
)

#: Packages that each use needs, by the extra that installs them.
_PACKAGES = {
    "cpu": ("torch", "monai", "pydicom", "highdicom", "numba", "openvino", "onnxruntime"),
    "deploy": ("monai-deploy-app-sdk", "holoscan-cu13"),
    "service": ("pynetdicom", "dicomweb-client"),
    "cohort": ("distributed", "fsspec"),
    "train": ("pytorch-ignite", "tensorboard"),
    "n4": ("simpleitk",),
}
_ENOUGH_DISK_GB = 5.0


@dataclass(frozen=True)
class Finding:
    """One line of the result.

    Attributes
    ----------
    topic, text : str
    ok : bool or None
        None if nothing can be wrong.
    needed : bool
        Whether `sarcomap run` needs it.
    """

    topic: str
    text: str
    ok: bool | None = None
    needed: bool = False


@command.default
def _doctor(
    *,
    model: Annotated[
        Path, Parameter(name=("-m", "--model"), metavar="DIR", show_default=False, help="Bundle to look at.")
    ] = SHIPPED_BUNDLE,
) -> int:
    healthy = True
    for finding in examine(model):
        mark = {True: "ok", False: "NO" if finding.needed else "--", None: "  "}[finding.ok]
        print(f"{mark} {finding.topic:12s} {finding.text}", flush=True)
        healthy &= finding.ok is not False or not finding.needed
    print("\n`sarcomap run` can work here." if healthy else "\n`sarcomap run` cannot work here; see the lines with NO.")
    return 0 if healthy else 1


def examine(model: Path = SHIPPED_BUNDLE) -> Iterator[Finding]:
    """Examine the machine, one finding after the other."""
    yield Finding("sarcomap", f"{_version('sarcomap') or 'not installed'}, Python {platform.python_version()}")
    cores, memory_gb = len(os.sched_getaffinity(0)), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    yield Finding("machine", f"{platform.machine()}, {cores} cores, {memory_gb:.0f} GB of memory", memory_gb > 3.5)
    yield from _packages()
    yield _works("GPU", _gpu, needed=False)
    if _version("numba-cuda") is not None:
        yield _works("numba-cuda", _numba_cuda, needed=False)
    yield _works("fusion", _fusion)
    yield _works("PyTorch", _torch)
    yield _works("OpenVINO", _openvino, needed=False)
    yield _works("ONNX Runtime", _onnxruntime, needed=False)
    yield _model_card(model)
    yield _cache()
    yield _disk("work folder", Path.cwd())
    yield _disk("temporary", Path(tempfile.gettempdir()))


def _packages() -> Iterator[Finding]:
    for extra, names in _PACKAGES.items():
        found = {name: _version(name) for name in names}
        absent = [name for name, number in found.items() if number is None]
        text = ", ".join(f"{name} {number}" for name, number in found.items() if number is not None)
        if absent:
            text += f"{'; ' if text else ''}not installed: {', '.join(absent)} (extra {extra})"
        needed = extra == "cpu" and any(name not in ("openvino", "onnxruntime") for name in absent)
        yield Finding(extra, text, not absent, needed)


def _works(topic: str, check: Callable[[], str], needed: bool = True) -> Finding:
    if sys.stderr.isatty():  # the first compilation of the fusion takes half a minute
        print(f"   {topic:12s} ...", end="\r", file=sys.stderr, flush=True)
    try:
        return Finding(topic, check(), True, needed)
    except Exception as error:  # any error of a package tells why it does not work
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        return Finding(topic, reason[:100], False, needed)


def _gpu() -> str:
    if not driver_sees_device():
        raise RuntimeError("no GPU; everything runs on the CPU")
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("the driver sees a GPU, but this build of PyTorch does not")
    return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"


def _numba_cuda() -> str:
    from operators.station_fusion.device_choice import numba_cuda_misfit

    if misfit := numba_cuda_misfit():
        raise RuntimeError(misfit)
    return f"{_version('numba-cuda')} fits numpy {_version('numpy')}; it fuses stations on a GPU"


def _fusion() -> str:
    import numpy as np

    from operators.core.volume import Grid
    from operators.station_fusion.resample import average_stations, choose_device

    grid = Grid((4, 4, 4), np.eye(4))
    signal = np.arange(64, dtype=np.float32).reshape(grid.shape)
    device = choose_device("auto")
    if not np.array_equal(average_stations([[signal] * 4], [grid], grid, device)[3], signal):
        raise RuntimeError("compiled, but it does not copy a volume exactly")
    return f"works on {'CUDA' if device == 'cuda' else 'the CPU'} (numba {version('numba')})"


def _torch() -> str:
    import torch

    from operators.core.bfloat16 import has_bf16

    torch.nn.functional.conv3d(torch.zeros(1, 1, 4, 4, 4), torch.zeros(1, 1, 3, 3, 3))
    precision = "with bfloat16" if has_bf16(torch.cuda.is_available()) else "without bfloat16 instructions"
    return f"works, {torch.get_num_threads()} threads, {precision}"


def _openvino() -> str:
    import openvino

    core = openvino.Core()
    name = str(core.get_property("CPU", "FULL_DEVICE_NAME"))
    return f"works on {name}"


def _onnxruntime() -> str:
    import onnxruntime

    return f"works with {', '.join(onnxruntime.get_available_providers())}"


def _model_card(model: Path) -> Finding:
    try:
        card = json.loads((model / CARD_FILE).read_text(encoding="utf-8"))
        weights = model / card["weights"]
        size_mb = weights.stat().st_size / 1e6
        text = f"{card['name']} {card['version']}, {size_mb:.0f} MB. {card['training_data']} {card['intended_use']}"
        return Finding("model", text, True, True)
    except (OSError, ValueError, KeyError) as error:
        return Finding("model", f"no usable {CARD_FILE} in {model} ({type(error).__name__})", False, True)


def _cache() -> Finding:
    from operators.segmentation.onnx_model import cache_folder

    folder = cache_folder()
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    size_mb = sum(path.stat().st_size for path in files) / 1e6
    return Finding("cache", f"{folder}: {len(files)} files, {size_mb:.0f} MB (set SARCOMAP_CACHE to move it)")


def _disk(topic: str, folder: Path) -> Finding:
    free_gb = shutil.disk_usage(folder).free / 1e9
    return Finding(topic, f"{free_gb:.0f} GB free in {folder}", free_gb > _ENOUGH_DISK_GB)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(command())
