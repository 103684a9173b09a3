"""Compiled morphology of a mask: opening, large parts, closing and filling, of both legs apart.

scipy.ndimage takes five times as long for the same result, and the tests
compare these kernels with it. Slices are independent except in
`keep_large_parts`, and each slice is written by one thread, so the result is
the same for any number of threads.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["close_and_fill", "close_legs_apart", "fill_slices", "keep_large_parts", "open_slices"]


@numba.njit(parallel=True, cache=True)
def open_slices(signal, threshold, mask):  # type: ignore[no-untyped-def]
    """Write ``signal > threshold`` into ``mask``, opened by a cross within slices. Beyond the border it counts as 0.

    Parameters
    ----------
    signal : ndarray, shape (z, y, x), float32
    threshold : float32
    mask : ndarray, shape (z, y, x), uint8
        Output; must be all 0.
    """
    depth, rows, columns = signal.shape
    for z in numba.prange(depth):
        above = signal[z] > threshold
        for y in range(1, rows - 1):
            for x in range(1, columns - 1):
                if above[y, x] & above[y - 1, x] & above[y + 1, x] & above[y, x - 1] & above[y, x + 1]:
                    mask[z, y, x] = mask[z, y - 1, x] = mask[z, y + 1, x] = 1
                    mask[z, y, x - 1] = mask[z, y, x + 1] = 1


@numba.njit(parallel=True, cache=True)
def keep_large_parts(mask, share):  # type: ignore[no-untyped-def]
    """Clear the face-connected parts of ``mask`` smaller than ``share`` of the largest.

    Rows are divided into runs of voxels, and touching runs are joined
    (union-find). There are a hundred times fewer runs than voxels.

    Parameters
    ----------
    mask : ndarray, shape (z, y, x), uint8
        0 and 1; changed in place.
    share : float
    """
    depth, rows, columns = mask.shape
    first = np.zeros(depth * rows + 1, dtype=np.int64)
    for z in numba.prange(depth):
        for y in range(rows):
            line = mask[z, y]
            runs = np.int64(line[0])
            for x in range(1, columns):
                runs += line[x] & (line[x - 1] ^ 1)
            first[z * rows + y + 1] = runs
    for row in range(depth * rows):
        first[row + 1] += first[row]
    if first[-1] == 0:
        return
    start, end = np.empty(first[-1], dtype=np.int32), np.empty(first[-1], dtype=np.int32)
    for z in numba.prange(depth):
        for y in range(rows):
            run, line, x = first[z * rows + y], mask[z, y], 0
            while run < first[z * rows + y + 1]:
                while not line[x]:
                    x += 1
                start[run] = x
                while x < columns and line[x]:
                    x += 1
                end[run] = x
                run += 1
    parent = np.arange(first[-1])
    for row in range(1, depth * rows):
        if row % rows:
            _join_touching(row, row - 1, first, start, end, parent)
        if row >= rows:
            _join_touching(row, row - rows, first, start, end, parent)
    size = np.zeros(first[-1], dtype=np.int64)
    for run in range(first[-1]):
        size[_root(parent, run)] += end[run] - start[run]
    least = share * size.max()
    for row in range(depth * rows):
        for run in range(first[row], first[row + 1]):
            if size[_root(parent, run)] < least:
                mask[row // rows, row % rows, start[run] : end[run]] = 0


@numba.njit(parallel=True, cache=True)
def close_and_fill(mask, reach):  # type: ignore[no-untyped-def]
    """Close each slice of ``mask`` with a flat structuring element, then fill its holes.

    Parameters
    ----------
    mask : ndarray, shape (z, y, x), uint8
        0 and 1; changed in place. Parts that touch the border still touch it afterwards.
    reach : ndarray, shape (2 n + 1,), int64
        The structuring element, which is symmetric: for each row from n above its centre to n below, the number of
        voxels on either side of the centre.
    """
    for z in numba.prange(mask.shape[0]):
        _close_slice(mask[z], reach)


@numba.njit(parallel=True, cache=True)
def close_legs_apart(mask, reach, share):  # type: ignore[no-untyped-def]
    """As `close_and_fill`, but two legs in a slice are closed one by one, so that nothing bridges the gap between them.

    Parameters
    ----------
    mask : ndarray, shape (z, y, x), uint8
        0 and 1; changed in place.
    reach : ndarray, shape (2 n + 1,), int64
        As in `close_and_fill`.
    share : float
        Face-connected parts of a slice smaller than this share of its largest are no legs. They may be closed with
        either leg.
    """
    for z in numba.prange(mask.shape[0]):
        sides = _sides(mask[z], share)
        if not sides.any():
            _close_slice(mask[z], reach)
            continue
        closed = np.zeros_like(mask[z])
        for side in (1, 2):
            leg = (mask[z] & ((sides == side) | (sides == 0))).astype(np.uint8)
            _close_slice(leg, reach)
            closed |= leg
        mask[z] = closed


@numba.njit
def _close_slice(mask, reach):  # type: ignore[no-untyped-def]
    rows, columns = mask.shape
    margin = max(reach.size // 2, reach.max())
    top, bottom, left, right = rows, 0, columns, 0
    for y in range(rows):
        line, x = mask[y], 0
        while x < columns and not line[x]:
            x += 1
        if x == columns:
            continue
        top, bottom, left = min(top, y), y + 1, min(left, x)
        x = columns
        while not line[x - 1]:
            x -= 1
        right = max(right, x)
    if bottom <= top:
        return
    height, width = bottom - top, right - left
    # The closing stays within the box around the body, and its dilation within a margin around that box.
    wide = width + 2 * margin
    dilated = np.zeros((height + 2 * margin, wide), dtype=np.int16)
    solid = np.ones((height, width), dtype=np.uint8)
    padded, away = np.zeros(wide, dtype=np.int16), np.empty(wide, dtype=np.int16)
    # A row of the element reaches a voxel if the nearest body voxel of that row is no farther than its half width.
    for y in range(height):
        for x in range(width):
            padded[margin + x] = mask[top + y, left + x]
        _steps_to(padded, 1, away)
        for n in range(reach.size):
            _set_within(dilated[y + n - reach.size // 2 + margin], away, np.int16(reach[n]))
    for row in range(dilated.shape[0]):
        _steps_to(dilated[row], 0, away)
        for n in range(reach.size):
            y = row - (n - reach.size // 2 + margin)
            if 0 <= y < height:
                _clear_within(solid[y], away[margin : margin + width], np.int16(reach[n]))
    _fill_holes(solid)
    mask[top:bottom, left:right] = solid


@numba.njit
def _sides(mask, share):  # type: ignore[no-untyped-def]
    """Label the large parts of a slice 1 on one side of their middle and 2 on the other; all 0 if they are not legs.

    Two legs lie side by side: the columns that both have are fewer than a quarter of the narrower one's.
    """
    rows, columns = mask.shape
    parts = np.zeros((rows, columns), dtype=np.int32)
    waiting = np.empty(rows * columns, dtype=np.int64)
    first, last = np.empty(rows * columns, dtype=np.int32), np.empty(rows * columns, dtype=np.int32)
    size, middle = np.empty(rows * columns, dtype=np.int64), np.empty(rows * columns, dtype=np.float64)
    found = 0
    for start in range(rows * columns):
        if not mask[start // columns, start % columns] or parts[start // columns, start % columns]:
            continue
        parts[start // columns, start % columns] = found + 1
        first[found], last[found], size[found], middle[found] = columns, 0, 0, 0.0
        waiting[0], count = start, 1
        while count:
            count -= 1
            y, x = waiting[count] // columns, waiting[count] % columns
            first[found], last[found] = min(first[found], x), max(last[found], x)
            size[found] += 1
            middle[found] += x
            for j, i in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= j < rows and 0 <= i < columns and mask[j, i] and not parts[j, i]:
                    parts[j, i] = found + 1
                    waiting[count] = j * columns + i
                    count += 1
        middle[found] /= size[found]
        found += 1
    large = size[:found] >= share * (size[:found].max() if found else 0)
    sides = np.zeros((rows, columns), dtype=np.uint8)
    if np.count_nonzero(large) < 2:
        return sides
    centre = (first[:found][large].min() + last[:found][large].max()) / 2
    one, other = large & (middle[:found] < centre), large & (middle[:found] >= centre)
    if not one.any() or not other.any():
        return sides
    low, high = first[:found][one].min(), last[:found][one].max()
    from_, to = first[:found][other].min(), last[:found][other].max()
    if 4 * (high - from_ + 1) > min(high - low, to - from_) + 1:
        return sides
    side = np.zeros(found + 1, dtype=np.uint8)
    for part in range(found):
        side[part + 1] = 1 if one[part] else 2 if other[part] else 0
    for y in range(rows):
        for x in range(columns):
            sides[y, x] = side[parts[y, x]]
    return sides


@numba.njit(parallel=True, cache=True)
def fill_slices(mask):  # type: ignore[no-untyped-def]
    """Fill the holes of each slice of ``mask``: background that no face connects with the border of the image.

    Parameters
    ----------
    mask : ndarray, shape (z, y, x), uint8
        0 and 1; changed in place.
    """
    for z in numba.prange(mask.shape[0]):
        _fill_holes(mask[z])


@numba.njit
def _steps_to(line, value, away):  # type: ignore[no-untyped-def]
    """Distance of every voxel of a row to the nearest one that has ``value``; large if there is none."""
    steps = np.int16(32000)
    for x in range(line.size):
        steps = np.int16(0) if line[x] == value else np.int16(min(steps + 1, 32000))
        away[x] = steps
    steps = np.int16(32000)
    for x in range(line.size - 1, -1, -1):
        steps = np.int16(0) if line[x] == value else np.int16(min(steps + 1, 32000))
        away[x] = min(away[x], steps)


@numba.njit(inline="always")
def _set_within(target, away, reach):  # type: ignore[no-untyped-def]
    for x in range(target.size):
        target[x] |= np.int16(away[x] <= reach)


@numba.njit(inline="always")
def _clear_within(target, away, reach):  # type: ignore[no-untyped-def]
    for x in range(target.size):
        target[x] &= np.uint8(away[x] > reach)


@numba.njit
def _fill_holes(solid):  # type: ignore[no-untyped-def]
    """Fill the background, except where it is connected to the border."""
    rows, columns = solid.shape
    waiting = np.empty(rows * columns + 1, dtype=np.int64)
    count = 0
    for y in range(rows):
        for x in range(columns):
            if (y in (0, rows - 1) or x in (0, columns - 1)) and not solid[y, x]:
                solid[y, x] = 2
                waiting[count] = y * columns + x
                count += 1
    while count:
        count -= 1
        y, x = waiting[count] // columns, waiting[count] % columns
        for j, i in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= j < rows and 0 <= i < columns and not solid[j, i]:
                solid[j, i] = 2
                waiting[count] = j * columns + i
                count += 1
    for y in range(rows):
        for x in range(columns):
            solid[y, x] = solid[y, x] != 2


@numba.njit
def _root(parent, run):  # type: ignore[no-untyped-def]
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


@numba.njit
def _join_touching(row, other, first, start, end, parent):  # type: ignore[no-untyped-def]
    """Join the runs of two rows that touch each other."""
    a, b = first[row], first[other]
    while a < first[row + 1] and b < first[other + 1]:
        if start[a] < end[b] and start[b] < end[a]:
            one, two = _root(parent, a), _root(parent, b)
            parent[max(one, two)] = min(one, two)
        if end[a] < end[b]:
            a += 1
        else:
            b += 1
