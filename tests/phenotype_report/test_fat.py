"""Fat in muscle and around it, on bodies whose fat is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from analysis import collect_reports
from operators.core.anatomy import THIGH_MUSCLES, by_name
from operators.core.label_map import LabelMap
from operators.core.report_schema import report_schema
from operators.core.volume import Fused, Grid, Volume
from operators.phenotype_report import build_report, measure
from operators.phenotype_report.adipose import fascia_of, measure_adipose
from operators.phenotype_report.mid_surface import MidSurface
from operators.phenotype_report.muscle_fat import measure_fat
from operators.phenotype_report.signal_noise import Noise, bias_by_mean, noise_of
from tests import box_body

MUSCLE, NEIGHBOUR = by_name("gracilis").index, by_name("sartorius").index
SIGNAL = 250.0


def grid_of(shape: tuple[int, int, int], spacing: tuple[float, float, float] = (2.0, 2.0, 4.0)) -> Grid:
    return Grid(shape, np.diag([*spacing, 1.0]))


def fused_from(fraction: NDArray[np.float32], grid: Grid, body: NDArray[np.bool_] | None = None) -> Fused:
    """Fused images of tissue with this fat fraction and one signal; air outside the body."""
    body = np.ones(grid.shape, dtype=bool) if body is None else body
    fraction = fraction.astype(np.float32)
    signal = np.where(body, SIGNAL, 0.0).astype(np.float32)
    water, fat = signal * (1 - fraction), signal * fraction
    return Fused(water, fat, signal, np.abs(water - fat), grid, body, np.where(body, fraction, 0.0), ())


def block(width: int, plane: float = 0.6) -> tuple[LabelMap, Fused]:
    """A muscle of 10% fat, ``width`` voxels wide, between two planes of fat that its border voxels share."""
    grid = grid_of((6, 30, 40))
    labels = np.full(grid.shape, NEIGHBOUR, dtype=np.uint8)
    labels[:, :, 10 : 10 + width] = MUSCLE
    fraction = np.full(grid.shape, 0.10)
    fraction[:, :, [10, 9 + width]] = plane
    return LabelMap(labels, grid), fused_from(fraction, grid)


def fat_of(labels: LabelMap, fused: Fused, noise: Noise | None = None):  # type: ignore[no-untyped-def]
    left, right = measure_fat(labels, fused, None, noise or Noise())["gracilis"]
    assert not right.whole.any()  # without a mid-surface, everything is on one side
    return left


def test_core_is_the_tissue_inside_the_fat_planes() -> None:
    fat = fat_of(*block(width=12))
    assert fat.core_fraction == pytest.approx(0.10, abs=0.002)
    assert fat.whole_fraction == pytest.approx((2 * 0.6 + 10 * 0.1) / 12, abs=0.002)
    assert fat.core_quartiles == pytest.approx((0.10, 0.10), abs=0.002)
    # 3.5 mm from the border: at 2 mm voxels, the outer two on either side (1 and 3 mm) are left out.
    assert fat.core_cm3 == pytest.approx(8 * 30 * 6 * 0.016)


def test_core_of_a_thin_muscle_is_its_deepest_part() -> None:
    fat = fat_of(*block(width=5))
    assert fat.core_fraction == pytest.approx(0.10, abs=0.002)
    assert fat.core_cm3 == pytest.approx(1 * 30 * 6 * 0.016)
    fat = fat_of(*block(width=2))  # nothing but border
    assert fat.core_fraction == pytest.approx(0.6, abs=0.002)


def test_depth_of_the_core_is_in_millimetres() -> None:
    labels, fused = block(width=12)
    coarse = Grid(labels.grid.shape, np.diag([5.0, 2.0, 4.0, 1.0]))
    fat = fat_of(LabelMap(labels.voxels, coarse), replace(fused, grid=coarse))
    assert fat.core_cm3 == pytest.approx(10 * 30 * 6 * 0.04)  # 2.5 mm for the outer voxel, 7.5 mm for the next


def test_infiltration_and_fat_free_volume_are_of_voxels_below_half_fat() -> None:
    labels, fused = block(width=12, plane=0.8)
    fat = fat_of(labels, fused)
    assert fat.infiltration == pytest.approx(0.10, abs=0.002)
    assert fat.fat_free_cm3 == pytest.approx(10 * 30 * 6 * 0.016)


@pytest.mark.parametrize("sd", [5.0, 12.0])
def test_noise_is_measured_in_air_and_its_bias_is_removed(sd: float) -> None:
    grid = grid_of((10, 80, 80))
    _z, y, x = np.indices(grid.shape)
    body = (x - 40) ** 2 + (y - 40) ** 2 < 18**2
    labels = LabelMap(np.where(body, MUSCLE, 0).astype(np.uint8), grid)
    fused = fused_from(np.full(grid.shape, 0.05), grid, body)
    rng = np.random.default_rng(1)
    noisy = {}
    for name in ("water", "fat"):
        real, imaginary = rng.normal(0.0, sd, (2, *grid.shape))
        noisy[name] = np.hypot(getattr(fused, name) + real, imaginary).astype(np.float32)
    fused = replace(fused, **noisy)
    noise = noise_of(fused)
    assert noise.water_sd == pytest.approx(sd, rel=0.03) and noise.fat_sd == pytest.approx(sd, rel=0.03)
    assert fat_of(labels, fused, noise).core_fraction == pytest.approx(0.05, abs=0.006)
    if sd > 10:
        assert fat_of(labels, fused).core_fraction > 0.065  # what the correction removes


@pytest.mark.parametrize("arms", [3, 7])
def test_arms_and_narrower_stations_do_not_change_the_noise(arms: int) -> None:
    grid = grid_of((10, 80, 80))
    _z, y, x = np.indices(grid.shape)
    body = (x - 40) ** 2 + (y - 40) ** 2 < 18**2
    fused = fused_from(np.full(grid.shape, 0.1), grid, body)
    rng = np.random.default_rng(2)
    noisy = {name: np.hypot(*rng.normal(0.0, 8.0, (2, *grid.shape))).astype(np.float32) for name in ("water", "fat")}
    for image in noisy.values():
        image[body] += 200.0
        image[-arms:, 30:45, -8:] += 200.0  # in a part of the slices, at the edge
        image[:-arms, :, :7] = image[:-arms, :, -7:] = 0.0  # beyond the field of view of the others
    noise = noise_of(replace(fused, **noisy))
    assert noise.water_sd == pytest.approx(8.0, rel=0.03) and noise.fat_sd == pytest.approx(8.0, rel=0.03)


def test_noise_is_not_known_where_the_scanner_has_cleared_the_air_or_something_else_is_there() -> None:
    grid = grid_of((10, 80, 80))
    _z, y, x = np.indices(grid.shape)
    body = (x - 40) ** 2 + (y - 40) ** 2 < 18**2
    fused = fused_from(np.full(grid.shape, 0.1), grid, body)
    assert noise_of(fused) == Noise()
    bright = replace(fused, water=np.where(body, fused.water, 3.0).astype(np.float32))
    assert noise_of(bright) == Noise()  # a constant is not noise
    assert noise_of(replace(fused, body=np.ones_like(body))) == Noise()


@pytest.mark.parametrize(("ghost", "known"), [(0.0, True), (0.06, False)])
def test_the_noise_is_not_known_beside_ghosts(ghost: float, known: bool) -> None:
    grid = grid_of((10, 80, 80))
    _z, y, x = np.indices(grid.shape)
    body = (x - 40) ** 2 + (y - 40) ** 2 < 18**2
    fused = fused_from(np.full(grid.shape, 0.5), grid, body)
    rng = np.random.default_rng(3)
    moved = ghost * np.roll(np.where(body, SIGNAL, 0.0), 38, axis=1)  # half of the field of view away
    noisy = {
        name: np.hypot(getattr(fused, name) + moved + rng.normal(0, 5.0, grid.shape), rng.normal(0, 5.0, grid.shape))
        for name in ("water", "fat")
    }
    found = noise_of(replace(fused, **{name: image.astype(np.float32) for name, image in noisy.items()}))
    expected = pytest.approx(5.0, rel=0.03) if known else 0.0
    assert found.water_sd == expected and found.fat_sd == expected


def test_bias_table_is_that_of_the_rice_distribution() -> None:
    table = bias_by_mean()
    rng = np.random.default_rng(0)
    for signal in (1.0, 2.0, 3.0, 6.0):
        mean = float(np.hypot(signal + rng.normal(size=400_000), rng.normal(size=400_000)).mean())
        assert table[round(mean / 0.02)] == pytest.approx(mean - signal, abs=0.02)
    assert table[50] == pytest.approx(1.0)  # less than the mean of pure noise, 1.25: nothing of it is signal


def leg(fascia_mm: float = 60.0, skin_mm: float = 80.0, x_mm: float = 100.0) -> tuple[LabelMap, Fused, MidSurface]:
    """Two round thighs: femur, a ring of muscle with a gap of fat in it, fat under the skin; hip bones on top."""
    grid = grid_of((30, 90, 190))
    affine = grid.affine.copy()
    affine[:3, 3] = (-189.0, -89.0, 0.0)
    grid = Grid(grid.shape, affine)
    y = -89.0 + 2.0 * np.arange(90)[:, None]
    x = -189.0 + 2.0 * np.arange(190)[None, :]
    radius = np.hypot(np.abs(x) - x_mm, y)
    labels = np.zeros(radius.shape, dtype=np.uint8)
    fraction = np.where(radius < skin_mm, 0.9, 0.0)
    muscle = (radius < fascia_mm) & ~((np.abs(y) < 5) & (np.abs(x) > x_mm + 20))
    labels[muscle] = MUSCLE
    fraction[muscle] = 0.05
    labels[radius < 14] = by_name("femur").index
    fraction[radius < 14] = 0.8
    stack = np.repeat(labels[None], 30, axis=0)
    stack[26:][stack[26:] > 0] = by_name("iliac_bone").index
    body = np.repeat((radius < skin_mm)[None], 30, axis=0)
    surface = MidSurface(np.array([0.0, 200.0]), np.zeros(2), 0.0, 0.0, "bones")
    return LabelMap(stack, grid), fused_from(np.repeat(fraction[None], 30, axis=0), grid, body), surface


def test_adipose_tissue_is_divided_by_the_fascia() -> None:
    labels, fused, surface = leg()
    found = measure_adipose(labels, fused, surface)
    assert found is not None
    slices = 26 - round(0.15 * 26)  # from above the knee to the hip bones
    ring_cm3 = np.pi * (80.0**2 - 60.0**2) * 4.0 * slices / 1000
    assert found.subcutaneous_cm3 == pytest.approx((ring_cm3, ring_cm3), rel=0.02)
    gap_cm3 = 8.0 * 38.0 * 4.0 * slices / 1000  # 4 x 19 voxels of fat between muscles; the marrow does not count
    assert found.intermuscular_cm3 == pytest.approx((gap_cm3, gap_cm3), rel=0.1)


def test_adipose_tissue_needs_femora_and_hip_bones() -> None:
    labels, fused, surface = leg()
    voxels = np.where(labels.voxels == by_name("iliac_bone").index, 0, labels.voxels).astype(np.uint8)
    assert measure_adipose(LabelMap(voxels, labels.grid), fused, surface) is None


def test_fascia_does_not_bridge_the_legs() -> None:
    labels, _fused, _ = leg()
    x = -189.0 + 2.0 * np.arange(190)
    left = np.broadcast_to(x > 0, labels.voxels.shape)
    inside = fascia_of(np.greater(labels.voxels, 0), left, labels.grid)
    assert ndimage.label(inside)[1] == 2


def test_report_gives_fat_by_side_and_marks_the_old_key_as_deprecated() -> None:
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(box_body.grid())
    given = measure(Volume(labels, fused.grid), fused, 1.7)
    report = build_report(given, fused, box_body.study_of(fused), box_body.MODEL, {})
    jsonschema.validate(report, report_schema())
    gracilis = next(s for s in report["structures"] if s["name"] == "gracilis")
    femur = next(s for s in report["structures"] if s["name"] == "femur")
    assert femur["dixon_fat"] is None
    assert gracilis["fat_fraction_mean"] == pytest.approx(0.1)  # as before: from the fat fraction's own volume
    both, left, right = (gracilis["dixon_fat"][side] for side in ("both", "left", "right"))
    mask = labels == by_name("gracilis").index
    expected = (fused.fat / (fused.fat + fused.water))[mask].mean()
    assert both["whole_fraction"] == pytest.approx(expected, abs=0.002)
    assert both["core_cm3"] == pytest.approx(left["core_cm3"] + right["core_cm3"])
    old = report_schema()["properties"]["structures"]["items"]["properties"]["fat_fraction_mean"]
    assert old["deprecated"] and old["x-replaced-by"] == "dixon_fat"


def test_thigh_is_all_of_its_muscles_together() -> None:
    fused = box_body.fused_of(box_body.grid())
    labels, _ = box_body.box_labels(left_scale=0.8)
    given = measure(Volume(labels, fused.grid), fused, 1.7).phenotypes
    thigh = np.isin(labels, [by_name(name).index for name in THIGH_MUSCLES])
    fraction = fused.fat / (fused.fat + fused.water)
    assert given.thigh_dixon_fat_whole == pytest.approx(fraction[thigh].mean(), abs=0.002)
    free = given.thigh_fat_free_muscle_cm3
    assert free == pytest.approx((fraction[thigh] < 0.5).sum() * 0.2)
    sides = given.thigh_fat_free_muscle_left_cm3, given.thigh_fat_free_muscle_right_cm3
    assert free == pytest.approx(sum(side for side in sides if side is not None))


def test_thigh_is_not_given_without_one_of_its_muscles() -> None:
    fused = box_body.fused_of(box_body.grid())
    labels, _ = box_body.box_labels(absent=("gracilis",))
    given = measure(Volume(labels, fused.grid), fused, 1.7)
    assert given.phenotypes.thigh_dixon_fat_core is None and "Gracilis" in given.not_given["thigh_dixon_fat_core"]
    assert given.phenotypes.muscle_dixon_fat_core is not None


def test_collect_has_the_new_columns_and_leaves_them_empty_for_older_reports(tmp_path: Path) -> None:
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(box_body.grid())
    given = measure(Volume(labels, fused.grid), fused, 1.7)
    new = build_report(given, fused, box_body.study_of(fused), box_body.MODEL, {})
    old = json.loads(json.dumps(new))
    old |= {"schema_version": "1.1.0", "study": {**old["study"], "pseudonym": "older"}}
    del old["quality"]["noise"]
    for structure in old["structures"]:
        del structure["dixon_fat"]
    for key in [key for key in old["phenotypes"] if "dixon" in key or "adipose" in key or "fat_free" in key]:
        del old["phenotypes"][key]
    for name, report in (("new", new), ("old", old)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps(report))
    collected = collect_reports(tmp_path)
    assert collected.left_out == ()
    table = collected.table.set_index("eid")
    core = next(s for s in new["structures"] if s["name"] == "gracilis")["dixon_fat"]["both"]["core_fraction"]
    assert table.loc["1000123", "gracilis_dixon_fat_core"] == pytest.approx(core)
    assert np.isnan(table.loc["older", "gracilis_dixon_fat_core"])
    assert table.gracilis_fat_fraction.notna().all()
