"""Where stations are resampled: on the CPU, or on a GPU where that is faster for the study in hand."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import numpy as np

from operators.core.cuda_driver import driver_sees_device
from operators.core.errors import UsageError
from operators.core.options import Device
from operators.station_fusion.plan import SamplingPlan

__all__ = ["Estimate", "choose_device", "estimate", "faster_device", "numba_cuda_misfit"]

Machine = Literal["cpu", "cuda"]

# All rates are those of one machine: an NVIDIA H200 and 16 cores, four contrasts of four stations (33 million values)
# sampled onto 224 x 176 x 227 voxels. Seconds of one thread for one voxel of one contrast: 11.1 ms, and 76.9 ms where
# three of the stations are turned.
_CPU_ALIGNED_S = 4.65e-9
_CPU_TURNED_S = 36.1e-9
_CPU_BYTES_PER_S = 50e9  # more threads do not help beyond the speed of the memory
# Page-locked copies took 1.2 ms up and 2.6 ms down, a kernel 0.62 ms; the rest is what the launch and the small tables
# take. Packing took 2.8 ms without the check of the values, which is now part of it; two cores of another machine pack
# and check at this rate. One station is uploaded while the next is packed, and yet the measured times add up.
_UP_BYTES_PER_S, _DOWN_BYTES_PER_S = 54e9, 54e9
_PACK_BYTES_PER_S = 12e9  # of one thread, for up to four
_KERNEL_S_PER_VOXEL = 7e-11
_CALL_S = 1e-3
_FIRST_S = 2.0
"""The first call of a process: the kernel is compiled."""

_called = False


@dataclass(frozen=True)
class Estimate:
    """Seconds that the resampling of a study is expected to take.

    Attributes
    ----------
    cpu, cuda : float
    """

    cpu: float
    cuda: float


def choose_device(device: Device) -> Machine:
    """The device that may be used. ``auto`` is ``cuda`` if there is a device for it, whichever is faster.

    Raises
    ------
    UsageError
        For ``cuda`` without a CUDA device or without a numba-cuda that works, and for any other value.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError("device", f"{device!r}", "auto, cpu or cuda", "Choose one of the three.")
    if device == "cpu":
        return "cpu"
    reason = _cuda_missing()
    if reason is None:
        return "cuda"
    if device == "cuda":
        raise UsageError("device", reason, "a CUDA device", "Use --device auto or --device cpu.")
    return "cpu"


def faster_device(plan: SamplingPlan, contrasts: int, threads: int) -> Machine:
    """The device that is expected to resample a study faster.

    Parameters
    ----------
    plan : SamplingPlan
    contrasts : int
    threads : int
        Threads of the CPU.
    """
    seconds = estimate(plan, contrasts, threads, first=not _called)
    return "cuda" if seconds.cuda < seconds.cpu else "cpu"


def estimate(plan: SamplingPlan, contrasts: int, threads: int, *, first: bool) -> Estimate:
    """How long either device will take, from rates that were measured on one machine.

    Parameters
    ----------
    plan : SamplingPlan
    contrasts : int
    threads : int
        Threads of the CPU.
    first : bool
        Whether the GPU's kernel still has to be compiled.
    """
    reached = np.prod(plan.bounds[..., 1] - plan.bounds[..., 0], axis=1)
    turned = float(reached[~plan.aligned].sum()) * contrasts
    aligned = float(reached[plan.aligned].sum()) * contrasts
    bytes_in = 4.0 * contrasts * float(plan.station_shapes.prod(axis=1).sum())
    bytes_out = 4.0 * contrasts * float(np.prod(plan.shape))
    cpu = max(
        (aligned * _CPU_ALIGNED_S + turned * _CPU_TURNED_S) / max(threads, 1),
        (bytes_in + bytes_out) / _CPU_BYTES_PER_S,
    )
    cuda = _CALL_S + bytes_in / _PACK_BYTES_PER_S / min(max(threads, 1), 4) + bytes_in / 2 / _UP_BYTES_PER_S
    cuda += (aligned + turned) / contrasts * _KERNEL_S_PER_VOXEL + bytes_out / _DOWN_BYTES_PER_S
    return Estimate(cpu, cuda + (_FIRST_S if first else 0.0))


def called() -> None:
    """Note that the GPU's kernel has been compiled in this process."""
    global _called
    _called = True


def numba_cuda_misfit() -> str | None:
    """Why the installed numba-cuda cannot work with the installed numpy, or None.

    numba-cuda 0.30 refers to ``numpy.row_stack``, which numpy 2.5 no longer has, and is not developed further.
    """
    try:
        found = version("numba-cuda")
    except PackageNotFoundError:
        return None
    if hasattr(np, "row_stack") or tuple(int(part) for part in found.split(".")[:2]) > (0, 30):
        return None
    return f"numba-cuda {found} does not work with numpy {np.__version__}; install numpy<2.5 (the extra gpu does)"


def _cuda_missing() -> str | None:
    """Why CUDA cannot be used, or None when it can."""
    numba_decides = {"NUMBA_CUDA_DRIVER", "NUMBA_ENABLE_CUDASIM"} & os.environ.keys()
    # The driver is checked first, because importing numba-cuda takes half a second and most machines have no GPU.
    if not numba_decides and not driver_sees_device():
        return "no CUDA device is available"
    if misfit := numba_cuda_misfit():
        return misfit
    try:
        from numba import cuda
    except ImportError:
        return "the package numba-cuda is not installed"
    return None if cuda.is_available() else "no CUDA device is available"
