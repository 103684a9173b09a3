"""Placement and weights of windows, with the arithmetic of MONAI's `sliding_window_inference`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch

from operators.segmentation.monai_parts import SlidingWindowInferer, compute_importance_map

__all__ = ["Triple", "WindowSettings", "Windows", "place_windows"]

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class WindowSettings:
    """The settings of a bundle's inferer that affect scores.

    Attributes
    ----------
    roi : tuple of int
        Size of a window along the image's axes.
    overlap : tuple of float
        Fraction of a window that its neighbour also covers.
    mode : str
        ``gaussian`` or ``constant``: how a score's weight depends on its position in the window.
    sigma_scale : float or tuple of float
        Standard deviation of the Gaussian as a fraction of the window's size.
    padding_mode : str
    padding_value : float
        How an image smaller than a window is padded.
    """

    roi: Triple
    overlap: tuple[float, float, float]
    mode: str = "gaussian"
    sigma_scale: float | tuple[float, ...] = 0.125
    padding_mode: str = "constant"
    padding_value: float = 0.0

    @classmethod
    def of(cls, inferer: SlidingWindowInferer) -> WindowSettings:
        """The settings of MONAI's inferer.

        Raises
        ------
        ValueError, TypeError
            When its windows are not three-dimensional, or an overlap is not in [0, 1).
        """
        roi, overlap, sigma = inferer.roi_size, inferer.overlap, inferer.sigma_scale
        sizes = tuple(int(n) for n in roi) if isinstance(roi, Sequence) else (int(roi),) * 3
        overlaps = tuple(float(o) for o in overlap) if isinstance(overlap, Sequence) else (float(overlap),) * 3
        if len(sizes) != 3 or len(overlaps) != 3 or min(sizes) < 1:
            raise ValueError(f"roi_size {roi}, overlap {overlap}: three sizes of at least 1 are needed")
        if not all(0 <= o < 1 for o in overlaps):
            raise ValueError(f"overlap {overlap} is not in [0, 1)")
        return cls(
            roi=(sizes[0], sizes[1], sizes[2]),
            overlap=(overlaps[0], overlaps[1], overlaps[2]),
            mode=str(getattr(inferer.mode, "value", inferer.mode)),
            sigma_scale=tuple(sigma) if isinstance(sigma, Sequence) else float(sigma),
            padding_mode=str(getattr(inferer.padding_mode, "value", inferer.padding_mode)),
            padding_value=float(inferer.cval),
        )

    def importance(self) -> torch.Tensor:
        """The weight of each voxel of a window: shape ``roi``, float32, positive."""
        return compute_importance_map(self.roi, mode=self.mode, sigma_scale=self.sigma_scale)


@dataclass(frozen=True)
class Windows:
    """The windows over one image.

    Attributes
    ----------
    shape : tuple of int
        Shape of the image before padding.
    before, after : tuple of int
        Voxels to pad on either side, so that a window fits.
    starts : tuple of tuple of int
        First voxels of the windows along each axis of the padded image.
    """

    shape: Triple
    before: Triple
    after: Triple
    starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

    def in_plane(self) -> list[tuple[int, int]]:
        """Starts along the first two axes of all windows in one row."""
        return list(product(self.starts[0], self.starts[1]))


def place_windows(shape: Triple, settings: WindowSettings) -> Windows:
    """Cover an image with windows, as MONAI does.

    Examples
    --------
    >>> place_windows((200, 96, 50), WindowSettings((96, 96, 96), (0.25, 0.25, 0.25))).starts
    ((0, 72, 104), (0,), (0,))
    """
    missing = [max(roi - size, 0) for size, roi in zip(shape, settings.roi, strict=True)]
    before = [n // 2 for n in missing]
    starts = []
    for size, roi, overlap in zip(shape, settings.roi, settings.overlap, strict=True):
        last = max(size, roi) - roi
        step = max(int(roi * (1 - overlap)), 1)
        starts.append((*range(0, last, step), last))
    return Windows(
        shape,
        (before[0], before[1], before[2]),
        (missing[0] - before[0], missing[1] - before[1], missing[2] - before[2]),
        (starts[0], starts[1], starts[2]),
    )
