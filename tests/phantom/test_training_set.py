"""Training pairs: cheap, aligned, and never half there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from operators import anatomy
from operators.nrrd_files import read_volume
from phantom.training_set import training_pair, write_training_set

COARSE = (12.0, 12.0, 16.0)


def test_image_and_labels_share_a_grid_and_show_the_same_body() -> None:
    water, fat, labels = training_pair(1, COARSE)
    assert water.grid.same_as(labels.grid)
    assert fat.grid.same_as(labels.grid)
    values = np.asarray(water.voxels, np.float32)
    muscle = np.isin(labels.voxels, [anatomy.by_name(name).index for name in ("vastus_lateralis", "gluteus_maximus")])
    assert 120 < np.median(values[muscle]) < 400  # inside the network's window [80, 450]
    assert np.median(values[muscle]) > 3 * np.median(values[np.asarray(labels.voxels) == 0])


def test_what_is_there_is_kept_and_what_is_missing_is_made(tmp_path: Path) -> None:
    write_training_set(tmp_path, range(2), spacing_mm=COARSE)
    kept = (tmp_path / "000000" / "water.nrrd").stat().st_mtime_ns
    told: list[tuple[int, int]] = []
    write_training_set(tmp_path, range(3), spacing_mm=COARSE, progress=lambda done, total: told.append((done, total)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000", "000001", "000002"]
    assert (tmp_path / "000000" / "water.nrrd").stat().st_mtime_ns == kept
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert read_volume(tmp_path / "000002" / "labels.nrrd").voxels.dtype == np.uint8


def test_participants_differ() -> None:
    one, other = training_pair(1, COARSE)[2], training_pair(2, COARSE)[2]
    assert np.mean(np.asarray(one.voxels) != np.asarray(other.voxels)) > 0.01


@pytest.mark.parametrize("seed", [3])
def test_the_same_seed_gives_the_same_pair(seed: int) -> None:
    for one, other in zip(training_pair(seed, COARSE), training_pair(seed, COARSE), strict=True):
        np.testing.assert_array_equal(one.voxels, other.voxels)
