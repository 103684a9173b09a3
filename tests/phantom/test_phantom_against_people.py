"""The benchmark that compares phantoms with people: its figures on bodies whose sizes are known."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from benchmarks import phantom_against_people
from benchmarks.muscle_places import muscle_places
from benchmarks.phantom_against_people import (
    _WHOLE,
    hip_shares,
    outline_figures,
    people_muscles,
    people_outlines,
    phantom_rows,
    spread,
    thigh_volumes,
)
from tests.real_bodies import real_folder

SPACING_MM = (4.0, 5.0, 10.0)
KNEE, HIP, PARTING = 4, 44, 34
"""Slices: the legs are one from slice PARTING on."""


def figure() -> NDArray[np.bool_]:
    """Two legs of 60 x 80 mm, 40 mm apart, below a trunk of 160 x 100 mm with a hand of 20 x 20 mm at each side."""
    body = np.zeros((70, 40, 80), np.bool_)
    body[:PARTING, 10:26, 20:35] = body[:PARTING, 10:26, 45:60] = True
    body[PARTING:, 8:28, 20:60] = True
    body[30:50, 12:16, 5:10] = body[30:50, 12:16, 70:75] = True
    return body


def figures() -> dict[str, float]:
    x, y, z = SPACING_MM
    return outline_figures(figure(), (x, y, z), KNEE * z, HIP * z, 180.0)


def test_sizes_are_those_of_the_body_without_its_hands() -> None:
    found = figures()
    assert found["thigh length"] == 400.0 and found["hips apart"] == 180.0
    for level in ("quarter of the thigh", "mid-thigh"):
        assert found[f"{level}: width of leg"] == 60.0
        assert found[f"{level}: depth of leg"] == 80.0
        assert found[f"{level}: area of leg, cm2"] == 48.0
    for level in ("three quarters", "hip", "100 mm above the hip", "200 mm above the hip"):
        assert (found[f"{level}: width of body"], found[f"{level}: depth of body"]) == (160.0, 100.0)
        assert found[f"{level}: area of body, cm2"] == 160.0


def test_the_parting_is_a_share_of_the_way_from_knee_to_hip() -> None:
    found = figures()
    assert found["legs part at, share of the thigh"] == pytest.approx((PARTING - 1 - KNEE) / (HIP - KNEE))
    assert found["legs apart, share of the thigh"] == pytest.approx((PARTING - KNEE) / (HIP - KNEE + 1))


def test_levels_outside_the_image_are_left_out() -> None:
    short = outline_figures(figure()[:50], SPACING_MM, KNEE * 10.0, HIP * 10.0, 180.0)
    assert "hip: width of body" in short and "100 mm above the hip: width of body" not in short


def test_shares_are_of_the_muscles_that_every_map_shows_whole() -> None:
    volumes = {name: float(n + 1) for n, name in enumerate(_WHOLE)} | {"femur": 1000.0}
    found = hip_shares(volumes)
    assert set(found) == set(_WHOLE) and sum(found.values()) == pytest.approx(1.0)
    assert found["gluteus_maximus"] == pytest.approx(1 / 36)


def test_differences_are_in_standard_deviations_of_people() -> None:
    people = [{"width": width, "rare": 1.0} for width in (100.0, 110.0, 120.0)]
    phantoms = [{"width": width} for width in (84.0, 85.0, 86.0)]
    (row,) = spread(people, phantoms)
    assert (row["figure"], row["people"], row["people_mean"], row["people_sd"]) == ("width", 3, 110.0, 10.0)
    assert row["people_range"] == [100.0, 120.0] and row["phantom_sd"] == 1.0
    assert row["difference_in_sd"] == pytest.approx(-2.5) and row["inside_range"] is False


def test_places_are_seen_from_the_hip_and_shapes_in_the_largest_slice() -> None:
    labels = np.zeros((40, 60, 100), np.uint8)  # voxels of 2 x 3 x 5 mm
    for x in (20, 79):  # femurs, whose highest 30 mm are slices 14 to 19
        labels[:20, 30, x] = 1
    labels[10:13, 40:44, 25:28] = labels[10:13, 40:44, 72:75] = 2
    labels[11, 40:52, 25:28] = labels[11, 40:52, 72:75] = 2  # the largest slice: 12 x 3 voxels, 36 x 6 mm
    found = muscle_places(labels, (2.0, 3.0, 5.0), {"muscle": 2, "absent": 9}, femur=1)
    assert set(found) == {
        f"muscle: {what}" for what in ("from the mid-plane", "behind the hip", "above the hip", "elongation")
    }
    assert found["muscle: from the mid-plane"] == pytest.approx(23.5 * 2)
    assert found["muscle: above the hip"] == pytest.approx((11 - 16.5) * 5)
    row = (24 * 41.5 + 36 * 45.5) / 60
    assert found["muscle: behind the hip"] == pytest.approx((row - 30) * 3)
    assert found["muscle: elongation"] == pytest.approx(np.sqrt((12**2 - 1) * 9 / ((3**2 - 1) * 4)), rel=0.02)


def test_thighs_are_held_against_the_figures_of_their_sex_and_age() -> None:
    men = [{"sex": "M", "age": age, "litres": litres} for age, litres in ((45, 12.0), (84, 11.0))]
    (row,) = thigh_volumes(men)
    assert (row["sex"], row["phantoms"], row["mean_age"]) == ("M", 2, 64.5)
    assert row["people_l"] == pytest.approx((13.26 + 11.16) / 2) and row["phantom_l"] == 11.5
    assert row["difference_in_sd"] == pytest.approx((11.5 - 12.21) / 1.625)


def write_person(folder: Path, name: str, marks: dict[int, tuple[int, int, int]], size: float = 1.0) -> None:
    """A body mask and its joints' marks, as {value: (x, y, z)}, in the form of the atlas."""
    affine = np.diag([*(size * mm for mm in SPACING_MM), 1.0])
    body = figure().transpose(2, 1, 0).astype(np.uint8)
    joints = np.zeros(body.shape, np.uint8)
    for value, place in marks.items():
        joints[place] = value
    nibabel.save(nibabel.Nifti1Image(body, affine), folder / f"{name}.body.nii.gz")
    nibabel.save(nibabel.Nifti1Image(joints, affine), folder / f"{name}.joints.nii.gz")


def write_people(folder: Path) -> Path:
    """Three bodies with all marks, one without knees, and three label maps."""
    (folder / "ukb-bodies").mkdir(parents=True)
    (folder / "pelvis-labels").mkdir()
    marks = {11: (20, 18, HIP), 12: (65, 18, HIP), 21: (25, 18, KNEE), 22: (55, 18, KNEE)}
    for n in range(3):
        write_person(folder / "ukb-bodies", f"000{n}", marks, 1 + 0.1 * n)
    write_person(folder / "ukb-bodies", "0003", {11: marks[11], 12: marks[12]})
    table = "".join(f"{10 + n},{name}\n" for n, name in enumerate(_WHOLE))
    (folder / "pelvis-labels" / "labels.csv").write_text(f"value,ours\n{table}", encoding="utf-8")
    for n in range(3):
        labels = np.repeat(np.arange(10, 10 + len(_WHOLE)), 4 + n).astype(np.uint8)
        labels[:n] = 11  # of gluteus maximus, the first
        sitk.WriteImage(sitk.GetImageFromArray(labels.reshape(1, 4 + n, -1)), folder / f"pelvis-labels/{n}.label.mhd")
    return folder


def test_bodies_and_label_maps_are_read(tmp_path: Path) -> None:
    write_people(tmp_path)
    rows = people_outlines(tmp_path / "ukb-bodies")
    assert len(rows) == 3  # one has no knees
    assert rows[0] == pytest.approx(figures())
    assert rows[1]["hip: width of body"] == pytest.approx(1.1 * 160)
    shares = people_muscles(tmp_path / "pelvis-labels").shares
    assert [row["gluteus_maximus"] for row in shares] == pytest.approx([4 / 32, 4 / 40, 4 / 48])
    assert [row["piriformis"] for row in shares] == pytest.approx([1 / 8] * 3)


@pytest.mark.slow
def test_phantoms_are_measured_like_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"
    monkeypatch.setattr(sys, "argv", ["", str(write_people(tmp_path / "real")), "--n", "3", "--out", str(out)])
    phantom_against_people.main()
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["phantoms"] == 3 and "gluteus_maximus" in capsys.readouterr().out
    outline = {row["figure"]: row for row in found["outline"]}
    assert 330 < outline["thigh length"]["phantom_mean"] < 480  # a person's thigh
    assert 80 < outline["quarter of the thigh: width of leg"]["phantom_mean"] < 220
    assert 240 < outline["hip: width of body"]["phantom_mean"] < 480
    assert 0.2 < outline["legs part at, share of the thigh"]["phantom_mean"] < 1.0
    hips = {row["figure"]: row["phantom_mean"] for row in found["hip_muscles"]}
    assert sum(hips.values()) == pytest.approx(1.0) and max(hips, key=hips.__getitem__) == "gluteus_maximus"
    assert found["places"] == [] and found["thighs"]  # these label maps have no femur


@pytest.mark.slow
@pytest.mark.real_data
def test_phantoms_are_as_people_are() -> None:
    """Eight phantoms beside 47 outlines and four label maps of people; docs/people.md has the same of 24 phantoms."""
    phantoms = phantom_rows(range(500000, 500008))
    outline = spread(people_outlines(real_folder("ukb-bodies")), phantoms.outlines)
    people = people_muscles(real_folder("pelvis-labels"))
    assert len(outline) == 22 and all(row["inside_range"] for row in outline)
    far = {row["figure"]: row["difference_in_sd"] for row in outline if abs(row["difference_in_sd"]) > 1.0}
    assert far == {}
    shares = {row["figure"]: row for row in spread(people.shares, phantoms.shares)}
    assert set(shares) == set(_WHOLE) and all(row["inside_range"] for row in shares.values())
    # Four people's places may agree within 1 mm by chance, so these are compared in mm.
    places = [row for row in spread(people.places, phantoms.places) if "elongation" not in row["figure"]]
    assert len(places) == 3 * len(_WHOLE)
    off_mm = {row["figure"]: row["phantom_mean"] - row["people_mean"] for row in places}
    assert max(map(abs, off_mm.values())) < 10.0, off_mm
    thighs = thigh_volumes(phantoms.thighs)
    assert {row["sex"] for row in thighs} == {"M", "F"} and all(abs(row["difference_in_sd"]) < 1.5 for row in thighs)
