"""What works on this machine: one finding after the other, for `sarcomap doctor`."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from operators.core.cuda_driver import cuda_driver
from operators.core.errors import SarcoMapError
from operators.core.machine_memory import memory_of_machine
from operators.core.model_card import SHIPPED_BUNDLE
from operators.segmentation.network_cache import chosen_cache_folder
from sarcomap.packages import Finding, installed_version, packages

__all__ = ["Finding", "examine"]

_NEEDED_MEMORY_GB, _ENOUGH_MEMORY_GB = 2.0, 3.5
"""A study of the archive takes at most 1.9 GiB (docs/container.md)."""
_NEEDED_DISK_GB, _ENOUGH_DISK_GB = 0.2, 5.0
_READING = ("pydicom", "highdicom", "imagecodecs", "isal", "nibabel", "nrrd", "PIL")
_PYTHONS = ((3, 11), (3, 13))
_THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")


def examine(model: Path = SHIPPED_BUNDLE, announce: Callable[[str], None] = lambda topic: None) -> Iterator[Finding]:
    """Examine the machine. Nothing is raised, whatever the machine lacks.

    Parameters
    ----------
    model : Path
        The bundle to look at.
    announce : callable
        Called with the topic of a finding that may take long.
    """
    yield _software()
    yield _machine()
    yield from _variables()
    yield from packages()
    for topic, check, needed in (
        ("GPU", _gpu, False),
        ("numba-cuda", _numba_cuda, False),
        ("files", _files, True),
        ("fusion", _fusion, True),
        ("PyTorch", _torch, True),
        ("OpenVINO", _openvino, False),
        ("ONNX Runtime", _onnxruntime, False),
        ("model", lambda: _model(model), True),
        ("PDF", _pdf, False),
    ):
        if (topic, installed_version("numba-cuda")) == ("numba-cuda", None):
            continue
        if (topic, installed_version("weasyprint")) == ("PDF", None):
            continue
        announce(topic)
        yield _works(topic, check, needed)
    yield _cache()
    yield _folder("work folder", Path.cwd, "Give -o a folder elsewhere.", needed=False)
    yield _folder("temporary", lambda: Path(tempfile.gettempdir()), "Set TMPDIR to another folder.", needed=True)


def _works(topic: str, check: Callable[[], str], needed: bool) -> Finding:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Finding(topic, check(), True, needed)
    except SarcoMapError as error:  # one line that says what to do
        return Finding(topic, " ".join(str(error).split()), False, needed)
    except Exception as error:  # any error of a package tells why it does not work
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        if topic == "fusion" and (found := sorted(name for name in os.environ if name.startswith("NUMBA_"))):
            reason += f" (set: {', '.join(f'{name}={os.environ[name]}' for name in found)})"
        return Finding(topic, reason[:300], False, needed)


def _software() -> Finding:
    number = installed_version("sarcomap") or "(not installed; run from its folder)"
    text = f"{number}, Python {platform.python_version()}, in {Path(__file__).parents[1]}"
    if _PYTHONS[0] <= sys.version_info[:2] <= _PYTHONS[1]:
        return Finding("sarcomap", text)
    return Finding("sarcomap", f"{text}. It is made for Python 3.11, 3.12 and 3.13.", False)


def _machine() -> Finding:
    memory_gb = memory_of_machine() / 1e9
    text = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, {memory_gb:.0f} GB of memory"
    if memory_gb > _ENOUGH_MEMORY_GB:
        return Finding("machine", text, True)
    text += f" for this process: one study of the archive takes up to {_NEEDED_MEMORY_GB:.0f} GB"
    return Finding("machine", text, False, memory_gb < _NEEDED_MEMORY_GB)


def _variables() -> Iterator[Finding]:
    """Variables of the environment whose value is of no use; none if all are right."""
    for name in _THREADS:
        value = os.environ.get(name, "").partition(",")[0].strip()
        if name in os.environ and not (value.isdecimal() and int(value)):
            yield Finding("variable", f"{name}={os.environ[name]}; expected a number of threads. Unset it.", False)
    encoding = sys.getfilesystemencoding()
    if encoding != "utf-8":
        text = (
            f"names of files are read as {encoding}; expected utf-8. Set LC_ALL=C.UTF-8 where names have other letters."
        )
        yield Finding("locale", text, False)


def _gpu() -> str:
    driver = cuda_driver()
    if driver is None:
        raise RuntimeError("no NVIDIA driver; everything runs on the CPU")
    if driver.error or not driver.devices:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = f"CUDA error {driver.error}" if driver.error else "no device"
        why += f"; CUDA_VISIBLE_DEVICES={hidden} is set" if hidden is not None else "; see `nvidia-smi`"
        raise RuntimeError(f"NVIDIA's driver is installed and has no usable GPU ({why}); everything runs on the CPU")
    import torch

    if torch.version.cuda is None:
        raise RuntimeError(
            "the driver sees a GPU, but this PyTorch is a build for the processor. "
            "Install the extra gpu instead of cpu, in a new environment (docs/gpu.md)."
        )
    if not torch.cuda.is_available():
        has = ".".join(map(str, driver.cuda))
        raise RuntimeError(
            f"the driver sees a GPU, but PyTorch cannot use it: the driver is for CUDA {has}, "
            f"PyTorch for {torch.version.cuda}. Update the driver."
        )
    return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"


def _numba_cuda() -> str:
    from operators.station_fusion.device_choice import numba_cuda_misfit

    if misfit := numba_cuda_misfit():
        raise RuntimeError(misfit)
    return f"{installed_version('numba-cuda')} fits numpy {installed_version('numpy')}; it fuses where there is a GPU"


def _files() -> str:
    for module in _READING:
        import_module(module)
    return "DICOM, NIfTI, NRRD and compressed images can be read and written"


def _fusion() -> str:
    import numpy as np

    from operators.core.volume import Grid
    from operators.station_fusion.resample import average_stations, choose_device

    grid = Grid((4, 4, 4), np.eye(4))
    signal = np.arange(64, dtype=np.float32).reshape(grid.shape)
    device = choose_device("auto")
    if not np.array_equal(average_stations([[signal] * 4], [grid], grid, device)[3], signal):
        raise RuntimeError("compiled, but it does not copy a volume exactly")
    return f"works on {'CUDA' if device == 'cuda' else 'the CPU'} (numba {installed_version('numba')})"


def _torch() -> str:
    import torch

    from operators.core.bfloat16 import has_bf16

    torch.nn.functional.conv3d(torch.zeros(1, 1, 4, 4, 4), torch.zeros(1, 1, 3, 3, 3))
    precision = "with bfloat16" if has_bf16(torch.cuda.is_available()) else "without bfloat16 instructions"
    return f"works, {torch.get_num_threads()} threads, {precision}"


def _openvino() -> str:
    from operators.segmentation.runtimes import import_openvino

    return f"works on {import_openvino().Core().get_property('CPU', 'FULL_DEVICE_NAME')}"


def _onnxruntime() -> str:
    from operators.segmentation.runtimes import import_onnxruntime

    return f"works with {', '.join(import_onnxruntime().get_available_providers())}"


def _model(bundle: Path) -> str:
    from operators.segmentation import load_model

    card = load_model(bundle).card
    return f"{card.name} {card.version}, in {bundle}. {card.training_data} {card.intended_use}"


def _pdf() -> str:
    from operators.phenotype_report.pdf import check_pdf

    check_pdf()
    return f"works (WeasyPrint {installed_version('weasyprint')})"


def _cache() -> Finding:
    folder = chosen_cache_folder()
    if folder is None:
        return Finding("cache", "this user has no home: networks are compiled in each run. Set SARCOMAP_CACHE.", False)
    # Unlike those of Path, these functions raise no error below a folder that this user may not enter.
    there = next((each for each in (folder, *folder.parents) if os.path.exists(each)), folder)
    if not (os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK)):
        text = f"{folder} cannot be written: networks are compiled in each run. Set SARCOMAP_CACHE to another folder."
        return Finding("cache", text, False)
    files = [path for path in folder.rglob("*") if path.is_file()]
    size_mb = sum(path.stat().st_size for path in files) / 1e6
    return Finding("cache", f"{folder}: {len(files)} files, {size_mb:.0f} MB (set SARCOMAP_CACHE to move it)")


def _folder(topic: str, find: Callable[[], Path], advice: str, needed: bool) -> Finding:
    try:
        folder = find()
        free_gb = shutil.disk_usage(folder).free / 1e9
    except OSError as error:
        return Finding(topic, f"there is none that can be used ({type(error).__name__}). {advice}", False, needed)
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding(topic, f"{folder} cannot be written. {advice}", False, needed)
    text = f"{free_gb:.1f} GB free in {folder}"
    if free_gb > _ENOUGH_DISK_GB:
        return Finding(topic, text, True)
    return Finding(topic, f"{text}, which is little. {advice}", False, needed and free_gb < _NEEDED_DISK_GB)
