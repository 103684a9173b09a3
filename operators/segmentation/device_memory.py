"""How much of a device's memory the segmentation takes, and for what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from operators.core.anatomy import CHANNEL_COUNT
from operators.segmentation.windows import Triple, Windows, WindowSettings

__all__ = ["SUMS_BYTES", "Room", "free_bytes", "label_slices", "room_for", "sums_bytes", "window_bytes"]

SUMS_BYTES = 3 << 30
"""Bytes for the sums of scores, and more where a third of the free memory is more."""

_LABEL_BYTES = 1 << 29
"""Bytes for the interpolated scores of some slices and their intermediate results."""

_INTERMEDIATE = 4
"""Arrays of the size of the interpolated scores that exist at the same time."""

_PART = 0.8
"""Of the free memory: the rest is for what the network's libraries take between windows."""

_MOST_WINDOWS = 16
"""In a batch. Measured on an H200: batches of 8 take 27% longer than batches of 36, which need 14 GiB."""


@dataclass(frozen=True)
class Room:
    """How an image is scored in the memory of a device.

    Attributes
    ----------
    rows : int
        Rows of windows that are summed at the same time; 0 if not even one row's sums have room.
    batch : int
        Windows per batch.
    """

    rows: int
    batch: int


def free_bytes(device: torch.device) -> int | None:
    """Bytes that can be allocated on a device; None for the CPU, where nothing limits them but the machine."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    # PyTorch keeps freed memory for itself, which the driver counts as used.
    return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def sums_bytes(windows: Windows, settings: WindowSettings, rows: int) -> int:
    """Bytes of the sums and weights for some rows of windows."""
    x, y, _ = padded_shape(windows)
    starts = windows.starts[2]
    groups = [starts[first : first + rows] for first in range(0, len(starts), rows)]
    depth = max(group[-1] - group[0] for group in groups) + settings.roi[2] + 1
    return 4 * (CHANNEL_COUNT + 1) * x * y * depth


def padded_shape(windows: Windows) -> Triple:
    """Shape of the image with the padding that windows need."""
    x, y, z = (sum(parts) for parts in zip(windows.before, windows.shape, windows.after, strict=True))
    return x, y, z


def room_for(
    windows: Windows, settings: WindowSettings, free: int | None, one_window: int, batch_size: int | None = None
) -> Room:
    """Decide how to score an image.

    Parameters
    ----------
    windows : Windows
    settings : WindowSettings
    free : int or None
        Free bytes of the device; None if they are not known.
    one_window : int
        Bytes that the network needs for one window; 0 if they are not known.
    batch_size : int, optional
        Windows per batch, if they have been chosen.

    Returns
    -------
    Room
        Sums take at most 3 GiB, or a third of the free memory where that is more, and never more than half of it.
    """
    bound = SUMS_BYTES if free is None else min(max(SUMS_BYTES, free // 3), free // 2)
    most = len(windows.starts[2])
    rows = next((rows for rows in range(most, 0, -1) if sums_bytes(windows, settings, rows) <= bound), 0)
    if batch_size is not None:
        return Room(rows, batch_size)
    if free is None or one_window <= 0:
        return Room(rows, 1)
    left = _PART * free - (sums_bytes(windows, settings, rows) if rows else 0)
    return Room(rows, max(1, min(int(left // one_window), _MOST_WINDOWS)))


def label_slices(shape: Triple) -> int:
    """Slices of a grid that are interpolated at once. ``shape`` is that of the grid, along the axes of the scores."""
    return max(1, _LABEL_BYTES // (4 * CHANNEL_COUNT * shape[0] * shape[1] * _INTERMEDIATE))


def window_bytes(score: Callable[[], object], device: torch.device) -> int:
    """Bytes that scoring one window takes at its peak, measured; 0 on the CPU."""
    if device.type != "cuda":
        return 0
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    score()
    torch.cuda.synchronize(device)
    return max(int(torch.cuda.max_memory_allocated(device)) - before, 0)
