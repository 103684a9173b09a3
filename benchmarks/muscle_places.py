"""Where muscles lie and how their cross-sections are shaped, measured alike in label maps of people and of phantoms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["muscle_places"]

_HEAD_MM = 30.0
"""The highest part of a femur: its head, whose middle is the origin of all places."""


def muscle_places(
    labels: NDArray[np.integer], spacing_mm: Sequence[float], values: Mapping[str, int], femur: int
) -> dict[str, float]:
    """Centroid and elongation of muscles, means of both sides.

    Parameters
    ----------
    labels : ndarray, shape (z, y, x)
        z upwards, y backwards.
    spacing_mm : sequence of float, (x, y, z)
    values : mapping of str to int
        The muscles to measure, and the femur's value beside them.
    femur : int

    Returns
    -------
    dict
        For each muscle, ``<name>: from the mid-plane``, ``behind the hip`` and ``above the hip`` in mm, and
        ``elongation``: how many times as long as wide its largest axial cross-section is.
    """
    step = np.array(spacing_mm[::-1])
    bone = np.argwhere(labels == femur) * step
    middle = (bone[:, 2].min() + bone[:, 2].max()) / 2
    found: dict[str, list[float]] = {}
    for side in (-1, 1):
        own = bone[(bone[:, 2] - middle) * side > 0]
        hip = own[own[:, 0] > own[:, 0].max() - _HEAD_MM].mean(axis=0)
        for name, value in values.items():
            places = np.argwhere(labels == value) * step
            places = places[(places[:, 2] - middle) * side > 0]
            if not len(places):
                continue
            z, y, x = places.mean(axis=0)
            for what, number in {
                "from the mid-plane": (x - middle) * side,
                "behind the hip": y - hip[1],
                "above the hip": z - hip[0],
                "elongation": _elongation(places),
            }.items():
                found.setdefault(f"{name}: {what}", []).append(float(number))
    return {name: float(np.mean(numbers)) for name, numbers in found.items()}


def _elongation(places: NDArray[np.float64]) -> float:
    """Length over width of the axial slice with most voxels, from its second moments."""
    heights, counts = np.unique(places[:, 0], return_counts=True)
    slice_ = places[places[:, 0] == heights[counts.argmax()], 1:]
    small, large = np.linalg.eigvalsh(np.cov(slice_.T))
    return float(np.sqrt(large / small))
