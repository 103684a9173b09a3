"""Sampling and averaging of stations on an NVIDIA GPU, with the arithmetic of the CPU and one launch per study.

One thread computes one voxel of all four contrasts, with x fastest, so that a
warp writes neighbouring floats. Import this module only when
`resample.choose_device` returns ``cuda``, because it needs the package
numba-cuda.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from operators.station_fusion.arithmetic import blend, blend_four, locate
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
) -> NDArray[np.float32]:
    """Sample every station onto the grid and average where stations overlap; see `average_on_cpu`.

    Parameters
    ----------
    signals : sequence of sequence of ndarray, shape (z, y, x), float32
        ``signals[station][contrast]``, four contrasts.
    plan : SamplingPlan
    block_shape : tuple of int
        Threads per block along (x, y, z).

    Returns
    -------
    ndarray, shape (4, z, y, x), float32
    """
    sizes = np.array([[signal.size for signal in station] for station in signals], dtype=np.int64)
    ends = np.cumsum(sizes).reshape(sizes.shape)
    offsets = ends - sizes
    # From pinned memory the driver copies without its own staging buffer.
    packed = cuda.pinned_array(int(sizes.sum()), dtype=np.float32)
    for station, station_offsets in zip(signals, offsets, strict=True):
        for signal, offset in zip(station, station_offsets, strict=True):
            packed[offset : offset + signal.size] = signal.reshape(-1)
    z, y, x = plan.shape
    out = cuda.device_array((CONTRAST_COUNT, z, y, x), dtype=np.float32)
    blocks = tuple(-(-size // threads) for size, threads in zip((x, y, z), block_shape, strict=True))
    _average[blocks, block_shape](
        cuda.to_device(packed),
        cuda.to_device(offsets),
        cuda.to_device(plan.station_shapes),
        cuda.to_device(plan.aligned),
        cuda.to_device(plan.matrices),
        cuda.to_device(plan.bounds),
        cuda.to_device(plan.lower),
        cuda.to_device(plan.weight),
        cuda.to_device(plan.share),
        cuda.to_device(plan.fade),
        out,
    )
    return np.asarray(out.copy_to_host())


@cuda.jit(device=True, inline="always")
def _sample(signal, offset, shape_y, shape_x, k, j, i, weight_k, weight_j, weight_i):  # type: ignore[no-untyped-def]
    row = shape_x
    plane = shape_y * shape_x
    at = offset + k * plane + j * row + i
    left = _blend_four(signal[at], signal[at + row], signal[at + plane], signal[at + plane + row], weight_j, weight_k)
    at += 1
    right = _blend_four(signal[at], signal[at + row], signal[at + plane], signal[at + plane + row], weight_j, weight_k)
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
