"""Training pairs: cheap, aligned, and never incomplete."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from operators.core import anatomy
from operators.core.errors import OutputError
from operators.core.nrrd_files import read_volume
from operators.core.volume import Contrast, Grid
from operators.station_fusion.common_grid import common_grid
from operators.station_fusion.resample import average_stations
from phantom.acquisition import acquire_study
from phantom.anatomy import body_grid, build_labels, fit_body
from phantom.dixon_signal import AcquisitionOptions
from phantom.fused import fused_images, resampled
from phantom.participant import draw_participant
from phantom.station_geometry import archive_stations, coarser
from phantom.training_set import TrainingPair, training_pair, varied_participant, write_pair, write_training_set
from phantom.truth import count_volumes
from tests.phantom.slab_body import slab_body

COARSE = (12.0, 12.0, 16.0)


@pytest.fixture(scope="module")
def pair() -> TrainingPair:
    return training_pair(1, COARSE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeds 1 and 2, written."""
    out = tmp_path_factory.mktemp("set")
    write_training_set(out, range(1, 3), spacing_mm=COARSE)
    return out


def test_image_and_labels_share_a_grid_and_show_the_same_body(pair: TrainingPair) -> None:
    assert pair.water.grid.same_as(pair.labels.grid) and pair.fat.grid.same_as(pair.labels.grid)
    values, labels = np.asarray(pair.water.voxels, np.float32), np.asarray(pair.labels.voxels)
    muscle = np.isin(labels, [anatomy.by_name(name).index for name in ("vastus_lateralis", "gluteus_maximus")])
    assert 120 < np.median(values[muscle]) < 400  # inside the network's window [80, 450]
    assert np.median(values[muscle]) > 3 * np.median(values[labels == 0])


def test_fine_labels_divide_each_voxel_around_its_centre(pair: TrainingPair) -> None:
    fine, coarse = pair.fine_labels, pair.labels
    assert fine.grid.shape == tuple(2 * n for n in coarse.grid.shape)
    of_fine, of_coarse = [grid.affine @ [*(np.array(grid.shape[::-1]) - 0.5), 1.0] for grid in (fine.grid, coarse.grid)]
    np.testing.assert_allclose(of_fine, of_coarse, atol=1e-9)
    parts = np.asarray(fine.voxels).reshape([n for size in coarse.grid.shape for n in (size, 2)])
    parts = parts.transpose(0, 2, 4, 1, 3, 5).reshape(*coarse.grid.shape, 8)
    within = (parts == parts[..., :1]).all(axis=-1)
    assert within.mean() > 0.5
    assert (parts[..., 0] == coarse.voxels)[within].mean() > 0.99  # if all parts have one label, so has the centre


def test_images_are_those_that_fusion_makes_of_the_scan() -> None:
    stations = coarser(archive_stations(4), 3, 2)
    scans = acquire_study(slab_body(), stations, AcquisitionOptions(), seed=3)
    (water, fat), grid = fused_images(scans, (Contrast.WATER, Contrast.FAT))
    grids = [scan.geometry.grid for scan in scans]
    assert grid.same_as(common_grid(grids))
    signals = [[scan.images[c].astype(np.float32) for c in (Contrast.WATER, Contrast.FAT)] for scan in scans]
    expected = average_stations(signals, grids, grid)
    for found, wanted in zip((water, fat), expected, strict=True):
        # Rows that one of two stations covers only with half a voxel are averaged here but not in the fusion.
        assert np.mean(np.abs(found - wanted) > 0.01) < 0.01


def test_a_resampled_line_stays_a_line_and_its_ends_continue() -> None:
    source = Grid((4, 5, 6), np.diag([2.0, 2.0, 3.0, 1.0]))
    affine = np.diag([1.3, 3.0, 2.0, 1.0])
    affine[0, 3] = 1.0
    target = Grid((5, 3, 9), affine)
    x = np.broadcast_to(2.0 * np.arange(6.0, dtype=np.float32), source.shape)
    line = np.minimum(1.0 + 1.3 * np.arange(9), 10.0)
    np.testing.assert_allclose(resampled(x, source, target), np.broadcast_to(line, target.shape), rtol=1e-5)


def test_existing_participants_are_kept_and_missing_ones_are_made(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    shutil.copytree(folder, out)
    kept = (out / "000001" / "water.nrrd").stat().st_mtime_ns
    told: list[tuple[int, int]] = []
    write_training_set(out, range(1, 4), spacing_mm=COARSE, progress=lambda done, total: told.append((done, total)))
    assert sorted(path.name for path in out.iterdir()) == ["000001", "000002", "000003"]
    assert (out / "000001" / "water.nrrd").stat().st_mtime_ns == kept
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert read_volume(out / "000003" / "labels.nrrd").voxels.dtype == np.uint8


def test_participants_differ(folder: Path) -> None:
    one, other = (read_volume(folder / name / "labels.nrrd").voxels for name in ("000001", "000002"))
    assert np.mean(np.asarray(one) != np.asarray(other)) > 0.01


def test_the_same_seed_gives_the_same_pair_and_that_is_what_is_written(pair: TrainingPair, folder: Path) -> None:
    for name in ("water", "fat", "labels", "fine_labels"):
        written = read_volume(folder / "000001" / f"{name}.nrrd")
        np.testing.assert_array_equal(getattr(pair, name).voxels, written.voxels)
        assert written.grid.same_as(getattr(pair, name).grid)


def test_varied_participants_have_proportions_from_far_outside_the_cohort_and_are_built_to_them() -> None:
    asked, built = [], []
    for seed in range(6):
        participant = varied_participant(seed)
        grid = body_grid(participant, (6.0, 6.0, 6.0))
        asked.append(participant.pa_ratio)
        ratio = count_volumes(build_labels(fit_body(participant), grid), grid).pa_ratio
        assert ratio is not None
        built.append(ratio)
        usual = draw_participant(seed)
        assert (participant.sex, participant.height_cm, participant.bmi) == (usual.sex, usual.height_cm, usual.bmi)
    assert np.ptp(asked) > 0.2  # six SD of the cohort's
    np.testing.assert_allclose(built, asked, rtol=0.03)


def test_a_varied_set_has_other_anatomy_for_the_same_seeds(folder: Path, tmp_path: Path) -> None:
    write_training_set(tmp_path / "varied", range(1, 2), spacing_mm=COARSE, varied=True)
    varied, usual = (
        np.asarray(read_volume(root / "000001" / "labels.nrrd").voxels) for root in (tmp_path / "varied", folder)
    )
    structures = (varied > 0) | (usual > 0)
    assert np.mean((varied != usual)[structures]) > 0.05


def nothing_made() -> TrainingPair:
    raise AssertionError("made again")


def test_a_pair_made_with_other_options_is_not_kept_silently(pair: TrainingPair, tmp_path: Path) -> None:
    folder, options = tmp_path / "000001", {"seed": 1, "spacing_mm": [12.0, 12.0, 16.0]}
    write_pair(folder, options, lambda: pair)
    write_pair(folder, options, nothing_made)
    with pytest.raises(OutputError, match="made with other options"):
        write_pair(folder, {**options, "spacing_mm": [8.0, 8.0, 16.0]}, nothing_made)
    (folder / "made_with.json").unlink()  # as in sets of older versions
    write_pair(folder, options, nothing_made)


def test_an_unfinished_pair_is_not_taken_for_a_whole_one(pair: TrainingPair, tmp_path: Path) -> None:
    folder = tmp_path / "000001"
    folder.mkdir()
    write_pair(folder, {"seed": 1}, lambda: pair)  # an empty folder is none
    (folder / "labels.nrrd").unlink()
    with pytest.raises(OutputError, match="something in it"):
        write_pair(folder, {"seed": 1}, lambda: pair)
