"""Labels that were moved off the muscles are flagged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from operators.core.volume import Fused
from operators.segmentation.displaced_labels import displaced_label_flags
from tests.segmentation.thighs import fused_thighs


@pytest.fixture(scope="module")
def study() -> tuple[Fused, np.ndarray]:
    fused = fused_thighs()
    muscles = np.zeros(fused.grid.shape, dtype=np.bool_)
    muscles[:, 5:14, 6:14] = muscles[:, 5:14, 26:34] = True
    return replace(fused, water=np.where(muscles, 200.0, 30.0).astype(np.float32)), muscles


def test_labels_on_muscle_are_not_flagged(study: tuple[Fused, np.ndarray]) -> None:
    fused, muscles = study
    assert displaced_label_flags(muscles, 20, fused) == ()


def test_moved_labels_are_flagged_with_the_way_back(study: tuple[Fused, np.ndarray]) -> None:
    fused, muscles = study
    voxels = round(20 / fused.grid.spacing_mm[1])
    (flag,) = displaced_label_flags(np.roll(muscles, voxels, axis=1), 20, fused)
    assert (flag.code, flag.severity) == ("labels-displaced", "warning") and "-20 mm along y" in flag.message


def test_a_few_structures_do_not_tell(study: tuple[Fused, np.ndarray]) -> None:
    fused, muscles = study
    assert displaced_label_flags(np.roll(muscles, 4, axis=1), 4, fused) == ()
