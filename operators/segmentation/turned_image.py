"""Whether a volume of NIfTI is upside down or back to front, as the network sees it.

A DICOM study says how its patient lay. The affine of a NIfTI file has often passed
through programs that got it wrong, and hamstrings that lie in front are then labelled as
quadriceps without any sign of it. A network that has learnt where muscles lie is surer
of its labels in the image that is turned the right way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.core.label_map import LabelMap
from operators.core.volume import Fused, QualityFlag

__all__ = ["turned_image_flags"]

_SURER = 0.01
"""Difference of the mean confidence. Of a phantom from pelvis to knee it is 0.05 between the right way and front to
back, 0.03 to 0.06 of a slab of the thighs between the right way and any other; of two slabs of one
person 0.08 to 0.09."""

_LEAST = 0.75
"""Mean confidence of labels that fit a body at all. A thigh of slices of 20 mm and fatty muscle has 0.66 any way up."""

_FRONT_BACK = {"front to back": (1,)}
_WITHOUT_UP = {"front to back": (1,), "upside down": (0,), "upside down and front to back": (0, 1)}
"""Axes of an array (z, y, x) that are flipped. Left and right look alike."""

_UP_IS_KNOWN_WITHOUT = frozenset({"orientation-unverified", "orientation-doubtful"})


def turned_image_flags(fused: Fused, labels: LabelMap, label: Callable[[Fused], LabelMap]) -> tuple[QualityFlag, ...]:
    """``turned-image-fits`` (warning) where the network is surer of the labels of a turned image.

    Parameters
    ----------
    fused : Fused
        Only one that was read from NIfTI is turned.
    labels : LabelMap
        Its labels with their confidence; without it, nothing is compared.
    label : callable
        Labels another study with the same network and options.
    """
    codes = {flag.code for flag in fused.flags}
    if "nifti-input" not in codes or not labels.confidence_by_label:
        return ()
    turns = _WITHOUT_UP if codes & _UP_IS_KNOWN_WITHOUT else _FRONT_BACK
    here = _mean_confidence(labels)
    found = {turn: _mean_confidence(label(_turned(fused, axes))) for turn, axes in turns.items()}
    turn, best = max(found.items(), key=lambda item: item[1])
    if best <= here + _SURER or best < _LEAST:
        return ()
    message = (
        f"The network is surer of its labels when this image is turned {turn} (mean confidence {best:.2f}; as the file "
        f"states it {here:.2f}). The file's orientation may be wrong: then muscles are named for others, and left and "
        "right may be exchanged too. Look at the images; if so, correct the file's affine and run it again."
    )
    return (QualityFlag("turned-image-fits", "warning", message),)


def _turned(fused: Fused, axes: tuple[int, ...]) -> Fused:
    def flipped(voxels: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(np.flip(voxels, axes))

    return replace(
        fused,
        water=flipped(fused.water),
        fat=flipped(fused.fat),
        in_phase=flipped(fused.in_phase),
        opposed=flipped(fused.opposed),
        body=flipped(fused.body),
        fat_fraction=flipped(fused.fat_fraction),
    )


def _mean_confidence(labels: LabelMap) -> float:
    """Over all labelled voxels; 0 where nothing is labelled."""
    counts = np.bincount(np.asarray(labels.voxels, dtype=np.uint8).ravel(), minlength=256)
    known = {value: mean for value, (mean, _) in labels.confidence_by_label.items() if value}
    total = sum(int(counts[value]) for value in known)
    return sum(mean * int(counts[value]) for value, mean in known.items()) / total if total else 0.0
