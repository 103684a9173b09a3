"""Metrics agree with hand calculations, with SimpleITK and with brute force."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from bundle.scripts.evaluation import label_files, score_files
from bundle.scripts.metric_tables import bootstrap_mean, write_tables
from bundle.scripts.metrics import main
from bundle.scripts.participants import labels_on_grid
from bundle.scripts.segmentation_metrics import ParticipantScores, measure_structures, score_structure
from operators.core import anatomy
from operators.core.errors import GeometryError, InputError
from operators.core.nrrd_files import write_segmentation
from operators.core.volume import Grid, Volume

SPACING = (3.0, 2.0, 1.5)  # z, y, x


def cube(shape: tuple[int, ...], low: tuple[int, ...], size: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, a + n) for a, n in zip(low, size, strict=True))] = True
    return mask


def blob(seed: int) -> NDArray[np.bool_]:
    z, y, x = np.indices((14, 16, 18))
    rng = np.random.default_rng(seed)
    centre, radii = rng.uniform([6, 7, 8], [8, 9, 10]), rng.uniform(3, 5, 3)
    return np.asarray(sum(((a - c) / r) ** 2 for a, c, r in zip((z, y, x), centre, radii, strict=True)) < 1)


def test_box_shifted_by_a_voxel_by_hand() -> None:
    truth, found = cube((12, 12, 12), (3, 3, 3), (4, 5, 6)), cube((12, 12, 12), (3, 3, 4), (4, 5, 6))
    scores = score_structure(found, truth, SPACING)
    assert scores.dice == pytest.approx(5 / 6) and scores.iou == pytest.approx(5 / 7)
    assert scores.precision == scores.recall == pytest.approx(5 / 6)
    assert scores.hd95_mm == pytest.approx(1.5)  # one voxel along x
    assert scores.surface_dice == pytest.approx(1.0)  # all within 2 mm
    assert scores.relative_volume_error == 0.0
    assert score_structure(found, truth, SPACING, tolerance_mm=1.0).surface_dice < 0.9


def test_surface_dice_counts_area_not_voxels() -> None:
    truth, found = cube((16, 24, 24), (2, 2, 2), (10, 20, 20)), cube((16, 24, 24), (2, 2, 2), (11, 20, 20))
    slices, edge_mm, tall_mm = (6.0, 1.0, 1.0), 20.0, 60.0  # one slice, 6 mm, too tall
    areas = (2 * edge_mm**2 + 4 * edge_mm * tall_mm, 2 * edge_mm**2 + 4 * edge_mm * (tall_mm + 6))
    farther = edge_mm**2 + edge_mm**2 + 4 * edge_mm * (6 - 2)  # both tops, and the walls beyond 2 mm
    expected = 1 - farther / sum(areas)  # 0.904; with equal weights for surface voxels it would be 0.73
    assert score_structure(found, truth, slices).surface_dice == pytest.approx(expected, abs=0.03)


def test_a_box_half_as_large_by_hand() -> None:
    truth, found = cube((12, 12, 12), (3, 3, 3), (4, 4, 4)), cube((12, 12, 12), (3, 3, 3), (4, 4, 2))
    scores = score_structure(found, truth, SPACING)
    assert (scores.dice, scores.iou) == (pytest.approx(2 / 3), 0.5)
    assert (scores.precision, scores.recall, scores.relative_volume_error) == (1.0, 0.5, -0.5)


@pytest.mark.parametrize("seed", range(4))
def test_overlap_is_simpleitks_and_distance_is_brute_forces(seed: int) -> None:
    truth, found = blob(2 * seed), blob(2 * seed + 1)
    scores = score_structure(found, truth, SPACING)
    images = [SimpleITK.GetImageFromArray(mask.astype(np.uint8)) for mask in (truth, found)]
    overlap = SimpleITK.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*images)
    assert scores.dice == pytest.approx(overlap.GetDiceCoefficient(1))
    assert scores.iou == pytest.approx(overlap.GetJaccardCoefficient(1))
    overlap.Execute(*images[::-1])  # source: found labels; target: the truth
    assert 1 - scores.precision == pytest.approx(overlap.GetFalseDiscoveryRate(1))
    assert 1 - scores.recall == pytest.approx(overlap.GetFalseNegativeError(1))

    points = [np.argwhere(mask & ~binary_erosion(mask)) * np.array(SPACING) for mask in (truth, found)]
    directed = [cKDTree(points[1 - i]).query(points[i])[0] for i in range(2)]
    assert scores.hd95_mm == pytest.approx(max(np.percentile(d, 95) for d in directed), rel=1e-5)
    # By area, not by voxel, so comparable only if every voxel is within the tolerance.
    assert score_structure(found, truth, SPACING, max(d.max() for d in directed) + 3.0).surface_dice == 1.0
    assert 0.0 < scores.surface_dice < 1.0


def test_identical_masks_are_perfect_and_a_missed_structure_is_counted() -> None:
    mask = blob(0)
    perfect = score_structure(mask, mask, SPACING)
    assert (perfect.dice, perfect.surface_dice, perfect.hd95_mm, perfect.relative_volume_error) == (1, 1, 0, 0)
    missed = score_structure(np.zeros_like(mask), mask, SPACING)
    assert (missed.dice, missed.precision, missed.surface_dice, missed.relative_volume_error) == (0, 0, 0, -1)
    assert np.isnan(missed.hd95_mm)


def test_absent_structures_are_left_out_and_boxes_lose_nothing() -> None:
    truth = np.zeros((14, 16, 18), np.uint8)
    truth[blob(0)] = 3
    found = np.zeros_like(truth)
    found[blob(1)] = 3
    found[0, 0, 0] = 5  # a false positive of a structure that the truth lacks
    scores = measure_structures(found, truth, SPACING)
    assert list(scores) == [anatomy.by_index(3).name]
    assert scores[anatomy.by_index(3).name] == score_structure(blob(1), blob(0), SPACING)


def test_bootstrap_interval_covers_as_theory_says() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.05, 400)
    estimate = bootstrap_mean(np.append(values, np.nan))
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert estimate.count == 400 and estimate.mean == pytest.approx(values.mean())
    assert (estimate.low, estimate.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.15 * half)
    assert np.isnan(bootstrap_mean(np.array([np.nan])).mean)


def participant_file(folder: Path, name: str, index: int, mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> None:
    (folder / name).mkdir(parents=True)
    grid = Grid((mask.shape[0], mask.shape[1], mask.shape[2]), affine)
    write_segmentation(folder / name / "segmentation.seg.nrrd", Volume(mask.astype(np.uint8) * index, grid))


def test_weak_labels_have_separate_rows(tmp_path: Path) -> None:
    mask, affine = blob(0), np.diag([1.5, 2.0, 3.0, 1.0])
    for name, found in (("a", blob(1)), ("b", mask)):
        participant_file(tmp_path / "truth", name, 4, mask, affine)
        participant_file(tmp_path / "found", name, 4, found, affine)
    scores = score_files(label_files(tmp_path / "found"), label_files(tmp_path / "truth"), weak=["b"])
    write_tables(scores, tmp_path / "out")
    with (tmp_path / "out" / "by_structure.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["structure"] == "mean over structures"]
    assert [row["labels"] for row in rows] == ["annotated", "weak"]
    assert float(rows[0]["dice"]) < 1 and float(rows[1]["dice"]) == 1
    assert rows[0]["participants"] == rows[1]["participants"] == "1"


def test_weak_labels_are_known_by_their_folder_where_a_participant_has_two(tmp_path: Path) -> None:
    visits = ("1000001_20201_2_0", "1000001_20201_3_0")
    for visit in visits:
        for place in ("truth", "found"):
            participant_file(tmp_path / place, visit, 4, blob(0), np.diag([1.5, 2.0, 3.0, 1.0]))
    entries = [
        {"participant": "1000001", "label": f"data/{visit}/segmentation.seg.nrrd", "weak": visit == visits[1]}
        for visit in visits
    ]
    (tmp_path / "datalist.json").write_text(json.dumps({"training": entries}))
    given = ["--labels", tmp_path / "found", "--truth", tmp_path / "truth", "--out", tmp_path / "out"]
    assert main([*map(str, given), "--datalist", str(tmp_path / "datalist.json")]) == 0
    with (tmp_path / "out" / "by_participant.csv").open(newline="") as file:
        assert {(row["participant"], row["labels"]) for row in csv.DictReader(file)} == {
            (visits[0], "annotated"), (visits[1], "weak"),
        }  # fmt: skip


def test_command_writes_tables_and_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    affine = np.diag([1.5, 2.0, 3.0, 1.0])
    for number in range(2):
        participant_file(tmp_path / "truth", str(number), 4, blob(0), affine)
        participant_file(tmp_path / "found", str(number), 4, blob(number), affine)
    given = ["--labels", tmp_path / "found", "--truth", tmp_path / "truth", "--out", tmp_path / "out"]
    assert main([str(word) for word in given]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "by_participant.csv", "by_structure.csv", "metrics.png", "metrics.svg",
    }  # fmt: skip
    assert "mean over structures" in capsys.readouterr().out
    assert main([*map(str, given[:3]), str(tmp_path / "found" / "0"), *map(str, given[4:])]) == 3


def test_labels_of_another_grid_need_resampling_to_be_asked_for(tmp_path: Path) -> None:
    participant_file(tmp_path / "truth", "a", 4, blob(0), np.diag([1.5, 2.0, 3.0, 1.0]))
    fine = np.repeat(np.repeat(blob(0), 2, axis=2), 2, axis=1)
    affine = np.diag([0.75, 1.0, 3.0, 1.0])
    affine[:2, 3] = [-0.375, -0.5]
    participant_file(tmp_path / "found", "a", 4, fine, affine)
    files = label_files(tmp_path / "found"), label_files(tmp_path / "truth")
    with pytest.raises(GeometryError, match="on a grid of"):
        score_files(*files)
    assert score_files(*files, resample=True)[0].structures["vastus_medialis"].dice == 1.0


def test_nearest_resampling_is_simpleitks() -> None:
    labels = Volume(np.random.default_rng(0).integers(0, anatomy.ADIPOSE_INDEX, (5, 6, 7)).astype(np.uint8),
                    Grid((5, 6, 7), np.diag([2.0, 2.0, 3.0, 1.0])))  # fmt: skip
    affine = np.diag([1.3, 1.1, 2.3, 1.0])
    affine[:3, 3] = [0.4, 0.7, 0.9]
    target = Grid((5, 8, 8), affine)
    image = SimpleITK.GetImageFromArray(labels.voxels)
    image.SetSpacing((2.0, 2.0, 3.0))
    reference = SimpleITK.Image(8, 8, 5, SimpleITK.sitkUInt8)
    reference.SetSpacing((1.3, 1.1, 2.3))
    reference.SetOrigin((0.4, 0.7, 0.9))
    expected = SimpleITK.GetArrayFromImage(
        SimpleITK.Resample(image, reference, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor, 0)
    )
    inside = (slice(None), slice(0, 8), slice(None))
    assert np.mean(labels_on_grid(labels, target, "x", resample=True)[inside] == expected[inside]) > 0.99


def test_a_folder_without_labels_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no label file"):
        label_files(tmp_path)


def test_figure_works_with_one_participant_and_one_structure(tmp_path: Path) -> None:
    from bundle.scripts.evaluation import report

    score = score_structure(blob(1), blob(0), SPACING)
    report([ParticipantScores("a", {"femur": score})], tmp_path)
    assert (tmp_path / "metrics.png").stat().st_size > 10_000
