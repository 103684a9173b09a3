"""Sampling and averaging of stations on an NVIDIA GPU, with the arithmetic of the CPU and one launch per study.

One thread computes one voxel of all four contrasts, with x fastest, so that a
warp writes neighbouring floats. PyTorch holds the memory, because its
allocators keep freed memory on the device and freed page-locked memory on the
host for the next study: page-locking the host's memory anew took 88 of the
143 ms that this function needed before (one NVIDIA H200). Import this module
only when `device_choice.choose_device` returns ``cuda``, because it needs the
package numba-cuda.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numba import cuda
from numpy.typing import NDArray

from operators.core.device_copies import remember
from operators.core.page_locked import downloaded, page_locked
from operators.station_fusion.arithmetic import blend, blend_four, locate
from operators.station_fusion.device_choice import called
from operators.station_fusion.pack import looks_whole, pack, pack_whole
from operators.station_fusion.plan import SamplingPlan

__all__ = ["BLOCK_SHAPE", "CONTRAST_COUNT", "average_on_cuda"]

CONTRAST_COUNT = 4
#: Threads per block along (x, y, z): two warps along x, as many rows as make 256 threads.
BLOCK_SHAPE = (64, 4, 1)

_blend = cuda.jit(device=True, inline="always")(blend)
_blend_four = cuda.jit(device=True, inline="always")(blend_four)
_locate = cuda.jit(device=True, inline="always")(locate)


def average_on_cuda(
    signals: Sequence[Sequence[NDArray[np.float32]]],
    plan: SamplingPlan,
    block_shape: tuple[int, int, int] = BLOCK_SHAPE,
    device: torch.device | None = None,
) -> NDArray[np.float32]:
    """Sample every station onto the grid and average where stations overlap; see `average_on_cpu`.

    Stations whose values are all whole numbers that fit are uploaded as int16, each while the next one is packed. The
    results stay on the device as well: see `operators.core.device_copies`.

    Parameters
    ----------
    signals : sequence of sequence of ndarray, shape (z, y, x), float32
        ``signals[station][contrast]``, four contrasts.
    plan : SamplingPlan
    block_shape : tuple of int
        Threads per block along (x, y, z).
    device : torch.device, optional
        The current GPU by default. The CPU is for numba's simulator, whose kernels take arrays of the host.

    Returns
    -------
    ndarray, shape (4, z, y, x), float32
    """
    device = device or torch.device("cuda", torch.cuda.current_device())
    packed, offsets = _uploaded(signals, device)
    return _downloaded(_resampled(packed, offsets, plan, block_shape))


def _resampled(
    packed: torch.Tensor,
    offsets: NDArray[np.int64],
    plan: SamplingPlan,
    block_shape: tuple[int, int, int] = BLOCK_SHAPE,
) -> torch.Tensor:
    """The volumes (4, z, y, x), float32, on the device of the packed signals; the device may still be at work."""
    device = packed.device
    out = torch.empty((CONTRAST_COUNT, *plan.shape), dtype=torch.float32, device=device)
    z, y, x = plan.shape
    blocks = tuple(-(-size // threads) for size, threads in zip((x, y, z), block_shape, strict=True))
    tables = (offsets, plan.station_shapes, plan.aligned, plan.matrices, plan.bounds)
    tables += (plan.lower, plan.weight, plan.share, plan.fade)  # type: ignore[assignment]
    # PyTorch and numba use the same stream here: the default one, which works in the order of the calls.
    _average[blocks, block_shape](
        _for_kernel(packed),
        *(_for_kernel(torch.from_numpy(np.ascontiguousarray(table)).to(device)) for table in tables),
        _for_kernel(out),
    )
    called()
    return out


def _uploaded(
    signals: Sequence[Sequence[NDArray[np.float32]]], device: torch.device
) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """All signals in one tensor on the device, and where each of them starts."""
    sizes = np.array([[signal.size for signal in station] for station in signals], dtype=np.int64)
    offsets = np.cumsum(sizes).reshape(sizes.shape) - sizes
    packed = None
    if looks_whole([signal for station in signals for signal in station]):
        packed = _uploaded_as(torch.int16, signals, device)
    if packed is None:
        packed = _uploaded_as(torch.float32, signals, device)
    assert packed is not None  # float32 holds every value
    return packed, offsets


def _uploaded_as(
    kind: torch.dtype, signals: Sequence[Sequence[NDArray[np.float32]]], device: torch.device
) -> torch.Tensor | None:
    """All signals in one tensor of this type on the device, or None where int16 does not hold a value of a station.

    Stations before that one were uploaded for nothing. PyTorch gives their memory to nobody while it is still copied.
    """
    ends = np.cumsum([sum(signal.size for signal in station) for station in signals]).tolist()
    host = page_locked((ends[-1],), kind, device)
    packed = torch.empty(host.shape, dtype=kind, device=device)
    view = host.numpy()
    for station, start, stop in zip(signals, [0, *ends[:-1]], ends, strict=True):
        if kind is not torch.int16:
            pack(station, view[start:stop])
        elif not pack_whole(station, view[start:stop]):
            return None
        packed[start:stop].copy_(host[start:stop], non_blocking=True)
    return packed


def _downloaded(out: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = downloaded(out)
    remember(array, out)
    return array


def _for_kernel(tensor: torch.Tensor) -> Any:
    return cuda.as_cuda_array(tensor) if tensor.device.type == "cuda" else tensor.numpy()


@cuda.jit(device=True, inline="always")
def _sample(signal, offset, shape_y, shape_x, k, j, i, weight_k, weight_j, weight_i):  # type: ignore[no-untyped-def]
    row = shape_x
    plane = shape_y * shape_x
    at = offset + k * plane + j * row + i
    left = _blend_four(
        np.float32(signal[at]), np.float32(signal[at + row]),
        np.float32(signal[at + plane]), np.float32(signal[at + plane + row]), weight_j, weight_k,
    )  # fmt: skip
    at += 1
    right = _blend_four(
        np.float32(signal[at]), np.float32(signal[at + row]),
        np.float32(signal[at + plane]), np.float32(signal[at + plane + row]), weight_j, weight_k,
    )  # fmt: skip
    return _blend(left, right, weight_i)


@cuda.jit
def _average(  # type: ignore[no-untyped-def]
    signal, offsets, shapes, aligned, matrices, bounds, lower, weight, share, fade, out
):
    x, y, z = cuda.grid(3)
    if x >= out.shape[3] or y >= out.shape[2] or z >= out.shape[1]:
        return
    # Four named sums, because an indexed array would be placed in slow local memory.
    sum_0 = sum_1 = sum_2 = sum_3 = total = np.float32(0)
    for station in range(shapes.shape[0]):
        if z < bounds[station, 0, 0] or z >= bounds[station, 0, 1]:
            continue
        if y < bounds[station, 1, 0] or y >= bounds[station, 1, 1]:
            continue
        if x < bounds[station, 2, 0] or x >= bounds[station, 2, 1]:
            continue
        if aligned[station]:
            k, weight_k = lower[0, station, z], weight[0, station, z]
            j, weight_j = lower[1, station, y], weight[1, station, y]
            i, weight_i = lower[2, station, x], weight[2, station, x]
            part = share[0, station, z] * share[1, station, y] * share[2, station, x]
        else:
            m = matrices[station]
            k, far_k, share_k = _locate(m[2, 0] * x + (m[2, 1] * y + m[2, 2] * z + m[2, 3]), shapes[station, 0])
            j, far_j, share_j = _locate(m[1, 0] * x + (m[1, 1] * y + m[1, 2] * z + m[1, 3]), shapes[station, 1])
            i, far_i, share_i = _locate(m[0, 0] * x + (m[0, 1] * y + m[0, 2] * z + m[0, 3]), shapes[station, 2])
            weight_k, weight_j, weight_i = np.float32(far_k), np.float32(far_j), np.float32(far_i)
            part = np.float32(share_k * share_j * share_i) * _blend(fade[station, k], fade[station, k + 1], weight_k)
        if part == 0:
            continue
        n_y, n_x = shapes[station, 1], shapes[station, 2]
        sum_0 += part * _sample(signal, offsets[station, 0], n_y, n_x, k, j, i, weight_k, weight_j, weight_i)
        sum_1 += part * _sample(signal, offsets[station, 1], n_y, n_x, k, j, i, weight_k, weight_j, weight_i)
        sum_2 += part * _sample(signal, offsets[station, 2], n_y, n_x, k, j, i, weight_k, weight_j, weight_i)
        sum_3 += part * _sample(signal, offsets[station, 3], n_y, n_x, k, j, i, weight_k, weight_j, weight_i)
        total += part
    if total > 0:
        sum_0 /= total
        sum_1 /= total
        sum_2 /= total
        sum_3 /= total
    out[0, z, y, x] = sum_0
    out[1, z, y, x] = sum_1
    out[2, z, y, x] = sum_2
    out[3, z, y, x] = sum_3
