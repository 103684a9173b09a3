"""Labels in terms of the label table, on the grid that they were made on, and the merging of masks into such labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.core.anatomy import by_index
from operators.core.errors import InputError
from operators.core.label_schemes import Scheme
from operators.core.volume import Grid, QualityFlag

__all__ = ["MappedLabels", "merge_masks", "shortened", "unknown_labels"]

_MOST_OVERLAP = 0.1
"""Of the smaller structure. Tools and people draw borders a voxel too wide; more overlap is an error in the labels."""


@dataclass(frozen=True)
class MappedLabels:
    """Labels in terms of the label table, on the grid that they were made on.

    Attributes
    ----------
    voxels : ndarray, shape (z, y, x), int8
        Indices of the label table; for a group, minus its number in ``scheme`` (counted from 1).
    grid : Grid
    scheme : Scheme
        The scheme that they were read with, without the structures of which a mask is missing.
    sides : ndarray, shape (z, y, x), uint8
        1 where a label's name says left, 2 where it says right, 0 elsewhere.
    named : bool
        Whether they are segments that a file names, as 3D Slicer saves them.
    flags : tuple of QualityFlag
        ``unknown-labels``, ``incomplete-masks`` and ``overlapping-labels`` where they apply.
    sha256 : str
        Of the file; for a folder, of its masks' digests.
    """

    voxels: NDArray[np.int8]
    grid: Grid
    scheme: Scheme
    sides: NDArray[np.uint8]
    named: bool
    flags: tuple[QualityFlag, ...]
    sha256: str


def merge_masks(
    masks: Iterable[tuple[int, int, Callable[[], NDArray[np.bool_]]]],
    grid: Grid,
    scheme: Scheme,
    where: str,
    remedy: str,
) -> tuple[NDArray[np.int8], NDArray[np.uint8], tuple[QualityFlag, ...]]:
    """Put the masks of structures into one label map. A voxel of two structures belongs to the one that comes first.

    Parameters
    ----------
    masks : iterable of (int, int, callable)
        A target of `Scheme.targets`, its side (1 left, 2 right, 0 not stated), and a function that makes the mask; it
        is not called for the target 0.
        Several masks may have one target; they are parts of one structure, and may overlap.
    grid : Grid
    scheme : Scheme
    where, remedy : str
        For the error message.

    Returns
    -------
    merged : ndarray, shape ``grid.shape``, int8
    sides : ndarray, shape ``grid.shape``, uint8
    flags : tuple of QualityFlag
        ``overlapping-labels`` (warning) when two structures share voxels.

    Raises
    ------
    InputError
        When two structures share more than a tenth of the smaller one.
    """
    merged = np.zeros(grid.shape, dtype=np.int8)
    sides = np.zeros(grid.shape, dtype=np.uint8)
    sizes: dict[int, int] = {}
    shared: dict[tuple[int, int], int] = {}
    for target, side, make in masks:
        if not target:
            continue
        here = make()
        before = merged[here]
        sizes[target] = sizes.get(target, 0) + int(np.count_nonzero(before != target))
        for other in set(np.unique(before).tolist()) - {0, target}:
            shared[other, target] = shared.get((other, target), 0) + int(np.count_nonzero(before == other))
        new = here & (merged == 0)
        merged[new] = target
        sides[new] = side
    for (one, other), count in shared.items():
        if count > _MOST_OVERLAP * min(sizes[one], sizes[other]):
            raise InputError(
                where,
                f"{count} voxels in both {_called(one, scheme)} and {_called(other, scheme)}",
                f"structures that overlap by at most {_MOST_OVERLAP:.0%} of the smaller one",
                remedy,
            )
    if not shared:
        return merged, sides, ()
    cm3 = grid.voxel_volume_mm3 / 1000.0
    pairs = [f"{_called(a, scheme)} and {_called(b, scheme)} ({n * cm3:.1f} cm3)" for (a, b), n in shared.items()]
    message = f"Overlaps were counted once, for the first of each pair: {shortened(pairs)}."
    return merged, sides, (QualityFlag("overlapping-labels", "warning", message),)


def unknown_labels(scheme: Scheme, unknown: Sequence[str]) -> tuple[QualityFlag, ...]:
    """The flag for labels that a scheme does not list; none when there are no such labels."""
    if not unknown:
        return ()
    message = f"Labels that {scheme.name} {scheme.version} does not list were left out: {shortened(unknown)}."
    return (QualityFlag("unknown-labels", "warning", message),)


def shortened(names: Sequence[str], most: int = 8) -> str:
    """The first names of a list, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _called(target: int, scheme: Scheme) -> str:
    return by_index(target).display_name.lower() if target > 0 else list(scheme.groups)[-target - 1]
