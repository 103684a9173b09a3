"""Sampling and averaging of stations on the CPU, with numba, in one pass over the output.

Each output row is written by one thread from start to end, in the order of the
stations, and nothing is compiled with fastmath. The result is therefore
bitwise the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from operators.station_fusion.arithmetic import blend, blend_four, locate
from operators.station_fusion.plan import SamplingPlan

__all__ = ["average_on_cpu"]

_blend = numba.njit(inline="always")(blend)
_blend_four = numba.njit(inline="always")(blend_four)
_locate = numba.njit(locate)


def average_on_cpu(signals: Sequence[Sequence[NDArray[np.float32]]], plan: SamplingPlan) -> NDArray[np.float32]:
    """Sample every station onto the grid and average where stations overlap.

    Parameters
    ----------
    signals : sequence of sequence of ndarray, shape (z, y, x), float32, C-contiguous
        ``signals[station][contrast]``; all contrasts of a station have its shape in the plan.
    plan : SamplingPlan

    Returns
    -------
    ndarray, shape (contrasts, z, y, x), float32
        0 where there is no station.
    """
    out = np.empty((len(signals[0]), *plan.shape), dtype=np.float32)
    # Stations differ in shape, so a single array of them would be a copy. The
    # kernel takes their addresses instead.
    addresses = np.array([[signal.ctypes.data for signal in station] for station in signals], dtype=np.intp)
    _average(
        addresses,
        plan.station_shapes,
        plan.aligned,
        plan.matrices,
        plan.bounds,
        plan.lower,
        plan.weight,
        plan.share,
        plan.fade,
        plan.coincides,
        plan.column_offset,
        out,
    )
    return out


@intrinsic
def _float32_pointer(typing_context: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.PointerType(ir.FloatType()))

    return types.CPointer(types.float32)(types.intp), generate


@numba.njit(parallel=True, cache=True, boundscheck=False)
def _average(  # type: ignore[no-untyped-def]
    addresses, shapes, aligned, matrices, bounds, lower, weight, share, fade, coincides, column_offset, out
):
    longest_row = shapes[:, 2].max()
    for z in numba.prange(out.shape[1]):
        row = np.empty(longest_row, dtype=np.float32)
        total = np.empty(out.shape[3], dtype=np.float32)
        for y in range(out.shape[2]):
            out[:, z, y, :] = np.float32(0)
            total[:] = np.float32(0)
            reaching = 0
            oblique = False
            for station in range(shapes.shape[0]):
                if _reaches(bounds, station, z, y):
                    reaching += 1
                    oblique |= not aligned[station]
            if reaching == 0:
                continue
            weighted = reaching > 1 or oblique
            for station in range(shapes.shape[0]):
                if not _reaches(bounds, station, z, y):
                    continue
                shape = (shapes[station, 0], shapes[station, 1], shapes[station, 2])
                if coincides[station]:
                    _add_coinciding_row(
                        addresses[station], shape, bounds[station, 2], column_offset[station], station, z, y,
                        lower, weight, share, weighted, total, out,
                    )  # fmt: skip
                elif aligned[station]:
                    _add_aligned_row(
                        addresses[station], shape, bounds[station, 2], station, z, y,
                        lower, weight, share, weighted, row, total, out,
                    )  # fmt: skip
                else:
                    _add_oblique_row(
                        addresses[station],
                        shape,
                        bounds[station, 2],
                        matrices[station],
                        fade[station],
                        z,
                        y,
                        total,
                        out,
                    )
            if weighted:
                for contrast in range(out.shape[0]):
                    for x in range(out.shape[3]):
                        if total[x] > 0:
                            out[contrast, z, y, x] /= total[x]


@numba.njit(inline="always")
def _reaches(bounds, station, z, y):  # type: ignore[no-untyped-def]
    return bounds[station, 0, 0] <= z < bounds[station, 0, 1] and bounds[station, 1, 0] <= y < bounds[station, 1, 1]


@numba.njit(boundscheck=False)
def _add_aligned_row(  # type: ignore[no-untyped-def]
    addresses, shape, reach, station, z, y, lower, weight, share, weighted, row, total, out
):
    z_low, y_low = np.intp(lower[0, station, z]), np.intp(lower[1, station, y])
    z_weight, y_weight = weight[0, station, z], weight[1, station, y]
    row_share = share[0, station, z] * share[1, station, y]
    x_low, x_weight, x_share = lower[2, station], weight[2, station], share[2, station]
    first, end = reach[0], reach[1]
    for contrast in range(addresses.shape[0]):
        signal = numba.carray(_float32_pointer(addresses[contrast]), shape)
        low_low, low_high = signal[z_low, y_low], signal[z_low, y_low + 1]
        high_low, high_high = signal[z_low + 1, y_low], signal[z_low + 1, y_low + 1]
        # Interpolate along z and y first, over contiguous rows, so that only x needs scattered reads.
        for i in range(shape[2]):
            row[i] = _blend_four(low_low[i], low_high[i], high_low[i], high_high[i], y_weight, z_weight)
        target = out[contrast, z, y]
        if weighted:
            for x in range(first, end):
                i = np.uintp(x_low[x])
                target[x] += row_share * x_share[x] * _blend(row[i], row[i + np.uintp(1)], x_weight[x])
        else:
            for x in range(first, end):
                i = np.uintp(x_low[x])
                target[x] = _blend(row[i], row[i + np.uintp(1)], x_weight[x])
    if weighted:
        for x in range(first, end):
            total[x] += row_share * x_share[x]


@numba.njit(boundscheck=False)
def _add_coinciding_row(  # type: ignore[no-untyped-def]
    addresses, shape, reach, offset, station, z, y, lower, weight, share, weighted, total, out
):
    """As `_add_aligned_row`, without interpolation along x: the compiler vectorises whole rows."""
    z_low, y_low = np.intp(lower[0, station, z]), np.intp(lower[1, station, y])
    z_weight, y_weight = weight[0, station, z], weight[1, station, y]
    row_share = share[0, station, z] * share[1, station, y]
    first, end = reach[0], reach[1]
    for contrast in range(addresses.shape[0]):
        signal = numba.carray(_float32_pointer(addresses[contrast]), shape)
        low_low = signal[z_low, y_low, first + offset : end + offset]
        low_high = signal[z_low, y_low + 1, first + offset : end + offset]
        high_low = signal[z_low + 1, y_low, first + offset : end + offset]
        high_high = signal[z_low + 1, y_low + 1, first + offset : end + offset]
        target = out[contrast, z, y, first:end]
        if weighted:
            for x in range(target.size):
                target[x] += row_share * _blend_four(
                    low_low[x], low_high[x], high_low[x], high_high[x], y_weight, z_weight
                )
        else:
            for x in range(target.size):
                target[x] = _blend_four(low_low[x], low_high[x], high_low[x], high_high[x], y_weight, z_weight)
    if weighted:
        total[first:end] += row_share


@numba.njit(boundscheck=False)
def _add_oblique_row(addresses, shape, reach, matrix, fade, z, y, total, out):  # type: ignore[no-untyped-def]
    start_i = matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]
    start_j = matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]
    start_k = matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
    for x in range(reach[0], reach[1]):
        k, k_weight, k_share = _locate(matrix[2, 0] * x + start_k, shape[0])
        j, j_weight, j_share = _locate(matrix[1, 0] * x + start_j, shape[1])
        i, i_weight, i_share = _locate(matrix[0, 0] * x + start_i, shape[2])
        part = np.float32(k_share * j_share * i_share)
        if part == 0:
            continue
        weight_i, weight_j, weight_k = np.float32(i_weight), np.float32(j_weight), np.float32(k_weight)
        part *= _blend(fade[k], fade[k + 1], weight_k)
        for contrast in range(addresses.shape[0]):
            signal = numba.carray(_float32_pointer(addresses[contrast]), shape)
            left = _blend_four(
                signal[k, j, i], signal[k, j + 1, i], signal[k + 1, j, i], signal[k + 1, j + 1, i], weight_j, weight_k
            )
            right = _blend_four(
                signal[k, j, i + 1], signal[k, j + 1, i + 1],
                signal[k + 1, j, i + 1], signal[k + 1, j + 1, i + 1], weight_j, weight_k,
            )  # fmt: skip
            out[contrast, z, y, x] += part * _blend(left, right, weight_i)
        total[x] += part
