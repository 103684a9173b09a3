"""The unit of a study's signal, compared with what a network was trained on.

MR signal has no unit: scanners, reconstructions and rescale slopes multiply it
by anything. A network that was trained at one scale must see that scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Fused, QualityFlag

__all__ = ["TrainingSignal", "matching_scale", "muscle_water"]

_LEAN = 0.25
"""Fat over water in lean muscle. Its water signal hardly depends on how muscular or how fat a person is."""

_LEAST_LEAN = 0.005
"""Of the body; below it there is too little lean muscle to compare."""

_AIR = 0.3
"""Of the water signal of muscle: air is darker, unless a constant was added to the images."""

_UNMASKED = 0.25
"""Of the voxels beside the body. Where fewer have any signal, the scanner or a program has masked the air."""

_CLIPPED = 0.02
"""Of the body, at the largest value of all: more means that bright tissue was cut off at what a pixel can hold."""


@dataclass(frozen=True)
class TrainingSignal:
    """What the images of a network's training had in common.

    Attributes
    ----------
    muscle_water : float
        Typical `muscle_water` of the training images.
    low, high : float
        Its range there. A study in between is shown to the network as it is.

    Raises
    ------
    ValueError
        Unless 0 < low <= muscle_water <= high.
    """

    muscle_water: float
    low: float
    high: float

    @classmethod
    def of_card(cls, facts: Mapping[str, Any]) -> TrainingSignal | None:
        """Take it from a model card's optional key ``training_signal``; None when the card has none.

        Raises
        ------
        TypeError, ValueError
            When it is not three numbers in order.
        """
        given = facts.get("training_signal")
        return None if given is None else cls(**{name: float(value) for name, value in dict(given).items()})

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.muscle_water <= self.high < np.inf:
            raise ValueError(f"low {self.low}, muscle_water {self.muscle_water}, high {self.high} are not in order")


def muscle_water(water: NDArray[np.float32], fat: NDArray[np.float32], body: NDArray[np.bool_]) -> float | None:
    """Median water signal of lean muscle: of voxels in the body with less fat than a quarter of their water.

    Parameters
    ----------
    water, fat : ndarray, shape (z, y, x), float32
    body : ndarray, shape (z, y, x), bool

    Returns
    -------
    float or None
        None where hardly any voxel is lean, and where the median is not positive and finite.
    """
    lean = water[body & (fat < _LEAN * water)]
    if lean.size < max(1.0, _LEAST_LEAN * np.count_nonzero(body)):
        return None
    level = float(np.median(lean, overwrite_input=True))  # `lean` is a copy already; another takes time
    return level if 0 < level < np.inf else None


def matching_scale(fused: Fused, training: TrainingSignal | None) -> tuple[float, tuple[QualityFlag, ...]]:
    """The factor that brings a study's signal to the scale of a network's training.

    Parameters
    ----------
    fused : Fused
    training : TrainingSignal or None
        None when the model's card does not say; then the factor is 1.

    Returns
    -------
    factor : float
        1 for a study within the range of training.
    flags : tuple of QualityFlag
        ``intensity-rescaled`` (info) for another factor; ``intensity-unmatched``
        (error) when no factor can bring the signal to that of training.
    """
    if training is None:
        return 1.0, ()
    level = muscle_water(fused.water, fused.fat, fused.body)
    reason = "no lean muscle was found in it" if level is None else _spoilt(fused, level)
    if level is None or reason:
        message = f"The signal cannot be brought to the scale of the network's training: {reason}."
        return 1.0, (QualityFlag("intensity-unmatched", "error", message),)
    if training.low <= level <= training.high:
        return 1.0, ()
    factor = training.muscle_water / level
    message = (
        f"The water signal of lean muscle is {level:.4g}; the network was trained on {training.low:g} to "
        f"{training.high:g}. It was shown the images multiplied by {factor:.4g}."
    )
    return factor, (QualityFlag("intensity-rescaled", "info", message),)


def _spoilt(fused: Fused, level: float) -> str:
    """Why a factor is not enough; empty when it is."""
    # Voxels without any signal are gaps, or were never reconstructed. Where most of the air is without signal, the rest
    # is hands and arms that are not of the body mask, and a constant would have been added to all of it.
    shown = fused.body.any(axis=(1, 2))
    outside = fused.water[shown][~fused.body[shown]]
    air = outside[outside != 0]
    if air.size > _UNMASKED * outside.size and float(np.median(air, overwrite_input=True)) > _AIR * level:
        return "air is nearly as bright as muscle, as if a constant had been added"
    inside = fused.water[fused.body]
    if np.count_nonzero(inside >= inside.max() * (1 - 1e-6)) > _CLIPPED * inside.size:
        return "bright tissue is cut off at the largest value"
    return ""
