"""A NIfTI file may lie about its orientation: the network is surer of the image that is turned the right way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from operators.core.label_map import LabelMap
from operators.core.volume import Fused, Grid, QualityFlag
from operators.segmentation.turned_image import turned_image_flags

SHAPE = (4, 5, 6)
NIFTI = QualityFlag("nifti-input", "info", "read from NIfTI")
SLAB = QualityFlag("orientation-unverified", "info", "a slab")


def fused_of(mark: tuple[int, int], *flags: QualityFlag) -> Fused:
    """A study whose water is bright at one end of z and y only."""
    water = np.zeros(SHAPE, np.float32)
    water[mark] = 1
    nothing = np.zeros(SHAPE, np.float32)
    return Fused(
        water, nothing, nothing, nothing, Grid(SHAPE, np.eye(4)), np.ones(SHAPE, np.bool_), nothing, (), flags=flags
    )


def network(likes: tuple[int, int], surer: float) -> Callable[[Fused], LabelMap]:
    """Labels everything, and is ``surer`` where the bright end lies as it learnt."""

    def label(fused: Fused) -> LabelMap:
        mean = 0.8 + surer * bool(fused.water[likes].any())
        return LabelMap(np.ones(SHAPE, np.uint8), fused.grid, confidence_by_label={1: (mean, 0.5)})

    return label


@pytest.mark.parametrize(
    ("mark", "flags", "said"),
    [
        ((-1, 0), (NIFTI,), ""),
        ((-1, -1), (NIFTI,), "turned front to back (mean confidence 0.88; as the file states it 0.80)"),
        ((-1, -1), (), ""),  # DICOM states how the patient lay
        ((0, 0), (NIFTI,), ""),  # a long body shows itself which end is up
        ((0, 0), (NIFTI, SLAB), "turned upside down ("),
        ((0, -1), (NIFTI, SLAB), "turned upside down and front to back"),
    ],
)
def test_a_turned_image_of_which_the_network_is_surer_is_a_warning(
    mark: tuple[int, int], flags: tuple[QualityFlag, ...], said: str
) -> None:
    fused, label = fused_of(mark, *flags), network((-1, 0), 0.08)
    found = turned_image_flags(fused, label(fused), label)
    assert [flag.severity for flag in found] == (["warning"] if said else [])
    assert said in "".join(flag.message for flag in found)


def test_little_difference_and_labels_without_confidence_say_nothing() -> None:
    fused, label = fused_of((-1, -1), NIFTI), network((-1, 0), 0.005)
    assert turned_image_flags(fused, label(fused), label) == ()
    label = network((-1, 0), -0.3)  # labels that fit nowhere
    assert turned_image_flags(fused, label(fused), lambda turned: label(fused)) == ()
    without = LabelMap(np.ones(SHAPE, np.uint8), fused.grid)
    assert turned_image_flags(fused, without, network((-1, 0), 0.2)) == ()
