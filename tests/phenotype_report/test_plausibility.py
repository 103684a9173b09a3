"""Muscle that cannot be a person's, and legs that are labelled over different lengths, are flagged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from operators.core.anatomy import HAMSTRINGS, MUSCLES, THIGH_MUSCLES, by_index, by_name
from operators.core.label_map import LabelMap
from operators.core.options import FusionOptions
from operators.core.volume import Contrast, Grid, QualityFlag, Station, Study, Volume
from operators.phenotype_report import measure
from operators.phenotype_report.plausibility import (
    confidence_flags,
    leg_lengths_mm,
    noise_flags,
    side_edge_flags,
    size_flags,
    uneven_leg_flags,
)
from operators.phenotype_report.signal_noise import Noise, noise_of
from operators.station_fusion.fused_elsewhere import fused_elsewhere
from phantom.dixon_signal import rician
from tests import box_body
from tests.nifti_loader.made_thigh import thigh


@pytest.mark.parametrize(
    ("tmv_cm3", "height_m", "sex", "flagged"),
    [
        (11166.0, 1.76, "M", False),
        (7586.0, 1.63, "F", False),
        (5000.0, 1.76, "M", True),
        (4500.0, 1.76, "F", True),
        (1000.0, 1.76, None, False),  # the sex is not known
        (11166.0, 5.6, "M", True),  # feet taken for metres
        (11200.0, 1.60, "F", False),  # beyond 3.5 SD of the smaller cohort, not of the larger
        (13000.0, 1.60, "F", True),
        (5000.0, None, "M", True),
        (5500.0, None, "F", False),
        (None, 1.7, "M", False),
    ],
)
def test_total_volume_is_compared_with_people_of_the_sex(
    tmv_cm3: float | None, height_m: float | None, sex: str | None, flagged: bool
) -> None:
    assert [flag.code for flag in size_flags(tmv_cm3, height_m, sex)] == (["implausible-volume"] if flagged else [])


def test_structures_that_a_cropped_volume_cuts_at_its_side_are_named() -> None:
    fused = box_body.fused_of(box_body.grid())
    nifti = replace(fused, flags=(QualityFlag("nifti-input", "info", "read from NIfTI"),))
    labels, _ = box_body.box_labels()
    assert side_edge_flags(LabelMap(labels, fused.grid), nifti) == ()
    labels[10:12, -3:, 5:9] = by_name("gluteus_maximus").index
    (flag,) = measure(Volume(labels, fused.grid), nifti, 1.7).flags[-1:]
    assert (flag.code, flag.severity) == ("structures-cut-at-side", "warning")
    assert flag.structures == ("gluteus_maximus",) and "Gluteus maximus" in flag.message
    assert side_edge_flags(LabelMap(labels, fused.grid), fused) == ()  # of DICOM, the body's outline tells it
    groups = Volume((labels == by_name("gluteus_maximus").index).astype(np.uint8), fused.grid)
    grouped = LabelMap(
        np.zeros_like(labels), fused.grid, groups={"hamstrings": ("semimembranosus",)}, group_voxels=groups
    )
    assert side_edge_flags(grouped, nifti)[0].structures == ("semimembranosus",)


def test_legs_of_different_length_are_flagged_and_equal_ones_are_not() -> None:
    fused = box_body.fused_of(box_body.grid())
    labels, _ = box_body.box_labels()
    thigh = np.isin(labels, [by_name(name).index for name in THIGH_MUSCLES])
    given = measure(Volume(labels, fused.grid), fused, 1.7)
    assert given.mid_surface is not None and given.flags == ()
    whole = leg_lengths_mm(LabelMap(labels, fused.grid), given.mid_surface)
    assert whole[0] == pytest.approx(whole[1])
    cut = labels.copy()
    cut[:15, :, 40:][thigh[:15, :, 40:]] = 0  # the left is the side of large x
    (flag,) = uneven_leg_flags(LabelMap(cut, fused.grid), given.mid_surface)
    assert flag.code == "uneven-legs" and set(flag.structures) == set(THIGH_MUSCLES)
    left, right = leg_lengths_mm(LabelMap(cut, fused.grid), given.mid_surface)
    assert right == whole[1] and whole[0] - left == pytest.approx(10 * 8.0)  # muscle began in slice 5


def test_muscle_that_is_hardly_brighter_than_noise_is_flagged() -> None:
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(box_body.grid())
    muscle = float(np.median(fused.water[np.isin(labels, [by_name(name).index for name in MUSCLES])]))
    known = LabelMap(labels, fused.grid)
    (flag,) = noise_flags(known, fused, Noise(muscle / 4, muscle / 4))
    assert flag.code == "low-signal-to-noise" and "ratio of 4.0" in flag.message
    assert set(flag.quantities) == {"volume", "fat"}
    assert noise_flags(known, fused, Noise(muscle / 8, muscle / 8)) == noise_flags(known, fused, Noise()) == ()


@pytest.mark.parametrize("slices", [20, 100], ids=["a slab", "pelvis to knee"])
@pytest.mark.parametrize(("sd", "expected"), [(10.0, 0), (35.0, 1), (60.0, 1), (120.0, 1)])
def test_noise_that_spoils_the_body_mask_of_water_alone_is_flagged_too(slices: int, sd: float, expected: int) -> None:
    water = thigh(slices).transpose(2, 1, 0)
    muscle = water > 100
    grid = Grid(water.shape, np.diag([4.0, 4.0, 6.0, 1.0]))  # type: ignore[arg-type]
    noisy = rician(np.ascontiguousarray(water), sd, np.random.default_rng(2))
    station = Station(Contrast.WATER, noisy, grid, None, "1.2", "", 1, "NIfTI")
    fused = fused_elsewhere(Study((station,), "1.2", "made", fused_elsewhere=True), FusionOptions())
    labels = np.where(muscle, by_name("vastus_lateralis").index, 0).astype(np.uint8)
    flags = noise_flags(LabelMap(labels, grid), fused, noise_of(fused))
    assert [flag.code for flag in flags] == ["low-signal-to-noise"] * expected
    assert all("the body mask cannot be relied on" in flag.message for flag in flags)


@pytest.mark.parametrize(
    ("code", "slices", "cut"),
    [
        ("knees-not-seen", (0, 8), True),
        ("knees-not-seen", (2, 8), False),
        ("knees-not-seen", (52, 60), False),
        ("short-trunk", (52, 60), True),
        ("short-trunk", (0, 8), False),
        ("partial-coverage", (1, 8), True),  # 8 mm from the end, where labels of a cut muscle may end
        ("partial-coverage", (52, 59), True),
        ("partial-coverage", (2, 58), False),
    ],
)
def test_muscles_that_an_end_of_the_images_cuts_have_no_volume(code: str, slices: tuple[int, int], cut: bool) -> None:
    fused = box_body.fused_of(box_body.grid())
    labels, _ = box_body.box_labels()
    column = labels[:, 1:3, 42:50]
    name = by_index(int(column[10].max())).name
    column[slice(*slices)] = by_name(name).index
    whole = measure(Volume(labels, fused.grid), fused, 1.7)
    found = measure(Volume(labels, fused.grid), replace(fused, flags=(QualityFlag(code, "warning", "Low."),)), 1.7)
    (marked,) = (m.cut_by_field_of_view for m in found.structures if m.structure.name == name)
    assert whole.phenotypes["tmv_cm3"] is not None
    assert (found.phenotypes["tmv_cm3"] is None) == cut
    assert marked or not cut


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(("missing", "cut"), [(0, False), (4, False), (5, True), (12, True)])
def test_thighs_that_reach_the_lower_end_are_cut_there_and_flagged(missing: int, cut: bool, grouped: bool) -> None:
    """An export has lost the lowest slices of all contrasts."""
    whole, _ = box_body.box_labels()
    labels = np.zeros_like(whole)
    labels[: len(whole) - missing] = whole[missing:]
    affine = box_body.grid().affine
    affine[:3, 2] *= 1.5  # as high as from pelvis to knee
    fused = box_body.fused_of(Grid(labels.shape, affine))
    label_map = LabelMap(labels, fused.grid)
    if grouped:  # as a tool labels them that has no other muscle of the thigh
        thighs = np.isin(labels, [by_name(name).index for name in THIGH_MUSCLES])
        group = Volume(np.isin(labels, [by_name(name).index for name in HAMSTRINGS]).astype(np.uint8), fused.grid)
        alone = np.where(thighs, 0, labels).astype(np.uint8)
        label_map = LabelMap(alone, fused.grid, groups={"hamstrings": HAMSTRINGS}, group_voxels=group)
    found = measure(label_map, fused, 1.7)
    flags = [flag for flag in found.flags if flag.code == "thighs-cut-below"]
    assert [flag.severity for flag in flags] == ["warning"] * cut
    assert (found.phenotypes["pa_ratio"] is None) == (cut or grouped)
    if cut and not grouped:
        assert "Only a part is in the label map" in found.not_given["tmv_cm3"]
        assert {m.structure.name for m in found.structures if m.cut_by_field_of_view} >= set(THIGH_MUSCLES)


def test_thighs_that_reach_the_lower_end_with_little_muscle_are_flagged_and_measured() -> None:
    """As of people who are a little too tall: the archive's lower end lies just above their knees."""
    labels, _ = box_body.box_labels()
    first = int(np.flatnonzero(np.isin(labels, [by_name(name).index for name in THIGH_MUSCLES]).any(axis=(1, 2)))[0])
    labels[:first, ::8] = labels[first, ::8]  # an eighth of the rows
    affine = box_body.grid().affine
    affine[:3, 2] *= 1.5  # as high as from pelvis to knee
    fused = box_body.fused_of(Grid(labels.shape, affine))
    found = measure(Volume(labels, fused.grid), fused, 1.7)
    (flag,) = (flag for flag in found.flags if flag.code == "thighs-cut-below")
    assert flag.structures and set(flag.structures) <= set(THIGH_MUSCLES) and flag.quantities == ("volume",)
    assert "a little too small" in flag.message
    assert found.phenotypes["pa_ratio"] is not None and found.phenotypes["tmv_cm3"] is not None


@pytest.mark.parametrize(
    ("code", "slices"), [("knees-not-seen", (3, 11)), ("short-trunk", (48, 56)), ("partial-coverage", (47, 55))]
)
def test_muscles_that_end_where_the_images_go_on_without_a_body_have_no_volume(
    code: str, slices: tuple[int, int]
) -> None:
    """A tool has added empty slices."""
    fused = box_body.fused_of(box_body.grid())
    body = fused.body.copy()
    body[:3], body[56:] = False, False
    labels, _ = box_body.box_labels()
    column = labels[:, 1:3, 42:50]
    name = by_index(int(column[10].max())).name
    column[slice(*slices)] = by_name(name).index
    flagged = replace(fused, body=body, flags=(QualityFlag(code, "warning", "Low."),))
    whole = measure(Volume(box_body.box_labels()[0], fused.grid), flagged, 1.7)
    assert whole.phenotypes["tmv_cm3"] is not None
    found = measure(Volume(labels, fused.grid), flagged, 1.7)
    (marked,) = (m.cut_by_field_of_view for m in found.structures if m.structure.name == name)
    assert marked and found.phenotypes["tmv_cm3"] is None


def test_low_confidence_names_the_structure() -> None:
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(box_body.grid())
    sure = np.full(labels.shape, 0.9, dtype=np.float32)
    sure[labels == by_name("gracilis").index] = 0.4
    label_map = LabelMap(labels, fused.grid, Volume(sure, fused.grid))
    given = measure(label_map, fused, 1.7)
    (flag,) = given.flags
    assert flag.code == "low-confidence" and flag.structures == ("gracilis",) and "Gracilis (0.40)" in flag.message
    certain = [replace(m, confidence_mean=0.9) for m in given.structures]
    assert confidence_flags(certain) == ()
