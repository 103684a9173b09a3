"""Weighted sums of the scores of windows, a band of slices at a time.

MONAI's `sliding_window_inference` holds a score of every class for every voxel
of the whole image, which takes gigabytes. Here they exist only for as many
slices as a window has, or a few rows of windows where a device has room for
them. A band is yielded when no further window touches it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch.nn.functional import pad

from operators.segmentation.windows import Triple, Windows, WindowSettings

__all__ = ["Band", "stream_scores"]

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Band:
    """Finished scores of some slices along the image's last axis.

    Attributes
    ----------
    first : int
        The first slice of the image that is finished.
    count : int
        The number of finished slices.
    sums : Tensor, shape (channels, x, y, slices), float32, contiguous
        Valid until the next band is fetched. 0 where no window was scored. It
        holds more than the band, so that nothing is copied.
    origin : tuple of int
        Position in ``sums`` of the image's voxel (0, 0, first).
    """

    first: int
    count: int
    sums: torch.Tensor
    origin: Triple

    @classmethod
    def whole(cls, scores: torch.Tensor) -> Band:
        """Scores of the whole image as one band."""
        return cls(0, int(scores.shape[-1]), scores.contiguous(), (0, 0, 0))


def stream_scores(
    image: torch.Tensor,
    windows: Windows,
    settings: WindowSettings,
    score: Callable[[Iterator[list[torch.Tensor]]], Iterator[torch.Tensor]],
    wanted: Callable[[Triple], bool],
    batch_size: int = 1,
    *,
    rows_at_once: int = 1,
    sum_on: torch.device = _CPU,
) -> Iterator[Band]:
    """Score an image window by window, from its first slice to its last.

    Parameters
    ----------
    image : Tensor, shape (channels, x, y, z), float32
    windows : Windows
        The windows over ``image``.
    settings : WindowSettings
    score : callable
        Takes batches of at most ``batch_size`` windows of shape (channels, *roi)
        and yields scores (windows, classes, *roi), float32, on any device, in the
        order of the batches. It may take batches before the scores of earlier
        ones are fetched.
    wanted : callable
        Whether to score the window that starts at that voxel of the image; the
        voxel may be before the first.
    batch_size : int
    rows_at_once : int
        Rows of windows along the last axis that are summed at the same time. More rows make larger batches possible,
        and take more memory.
    sum_on : torch.device
        Where scores are summed: the CPU, or the device of the image. If the device has too little memory, the CPU.

    Yields
    ------
    Band
        Neighbouring bands share one slice, so that values between any two
        slices can be interpolated. Nothing is yielded when no window is wanted.
    """
    margins = [n for axis in (2, 1, 0) for n in (windows.before[axis], windows.after[axis])]
    if any(margins):
        image = pad(image[None], margins, mode=settings.padding_mode, value=settings.padding_value)[0]
    weights = settings.importance()
    rows = windows.starts[2]
    groups = [rows[first : first + rows_at_once] for first in range(0, len(rows), rows_at_once)]
    depth = max(group[-1] - group[0] for group in groups) + settings.roi[2]
    sums: torch.Tensor | None = None  # slot 0 holds the last slice of the previous band
    counts = torch.zeros((*image.shape[1:3], depth + 1), device=sum_on)
    weights = weights.to(sum_on)
    batches = [_batches(windows, settings, group, wanted, batch_size) for group in groups]
    all_scores = score([image[(slice(None), *part)] for part in here] for group in batches for here in group)
    for number, group in enumerate(groups):
        for here in batches[number]:
            scores = next(all_scores)
            if sums is None:
                sums = _zeros((scores.shape[1], *counts.shape), sum_on)
                counts, weights = counts.to(sums.device), weights.to(sums.device)
            for part, found in zip(here, scores, strict=True):
                slot = part[2].start - group[0] + 1
                target = (part[0], part[1], slice(slot, slot + settings.roi[2]))
                sums[(slice(None), *target)].addcmul_(found.to(sums.device), weights)
                counts[target] += weights
        last = number + 1 == len(groups)
        finished = (group[-1] + settings.roi[2] if last else groups[number + 1][0]) - group[0]
        if sums is not None:
            sums[..., 1 : finished + 1] /= counts[..., 1 : finished + 1].clamp(min=1e-30)
            yield _band(sums, group[0], finished, windows)
            if not last:
                _advance(sums, finished)
        if not last:
            _advance(counts, finished)


def _zeros(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    try:
        return torch.zeros(shape, device=device)
    except torch.OutOfMemoryError:  # a GPU with enough memory for the network may not have enough for this as well
        return torch.zeros(shape)


def _batches(
    windows: Windows,
    settings: WindowSettings,
    rows: tuple[int, ...],
    wanted: Callable[[Triple], bool],
    batch_size: int,
) -> list[list[tuple[slice, slice, slice]]]:
    """The wanted windows of some rows, as parts of the padded image."""
    x, y, z = windows.before
    places = [(*place, row) for row in rows for place in windows.in_plane()]
    parts = [_part((a, b, n), settings.roi) for a, b, n in places if wanted((a - x, b - y, n - z))]
    return [parts[start : start + batch_size] for start in range(0, len(parts), batch_size)]


def _part(start: Triple, roi: Triple) -> tuple[slice, slice, slice]:
    x, y, z = (slice(n, n + size) for n, size in zip(start, roi, strict=True))
    return x, y, z


def _band(sums: torch.Tensor, row: int, finished: int, windows: Windows) -> Band:
    """The finished slices without the padding, and the last slice of the previous band if there is one."""
    x, y, z = windows.before
    low = max(row - 1, 0) if row else z
    high = min(row + finished, z + windows.shape[2])
    return Band(low - z, high - low, sums, (x, y, low - row + 1))


def _advance(slots: torch.Tensor, finished: int) -> None:
    """Move slices to the front, so that the last finished one is in slot 0."""
    for part in slots if slots.ndim > 3 else slots[None]:  # one class at a time, because the copy is large
        kept = part[..., finished:].clone()
        part[..., : kept.shape[-1]] = kept
        part[..., kept.shape[-1] :] = 0
