"""Water and fat that were stored with scales of their own: told by the in-phase image, put right or said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from operators.core.anatomy import MUSCLES, by_name
from operators.core.volume import Contrast, Fused, Station, Volume
from operators.phenotype_report import measure
from operators.station_fusion import fuse
from tests.station_fusion.made_stations import make_grid, make_position, make_study

IN, OPPOSED, WATER, FAT = Contrast.IN, Contrast.OPPOSED, Contrast.WATER, Contrast.FAT
SHAPE, SPACING = (64, 40, 44), (5.0, 5.0, 3.0)
MUSCLE_FAT_FRACTION = 0.12

Change = Callable[[Contrast, NDArray[np.float32]], NDArray[np.float32]]


def leg(z: float, first_series: int, seed: int) -> list[Station]:
    """Lean muscle within fat, with the noise of a scan."""
    grid = make_grid(SHAPE, SPACING, (-107.5, -97.5, z))
    rng = np.random.default_rng(seed)
    _, y, x = np.indices(SHAPE)
    radius = np.hypot(y - 19.5, x - 21.5)
    water = np.where(radius < 13, 220.0, 25.0 * (radius < 18)) * (1 + 0.1 * rng.random(SHAPE))
    fat = np.where(radius < 13, 30.0, 285.0 * (radius < 18)) * (1 + 0.1 * rng.random(SHAPE))
    images = {IN: water + fat, OPPOSED: np.abs(water - fat), WATER: water, FAT: fat}
    return [
        replace(station, voxels=np.abs(images[station.contrast] + rng.normal(0, 5, SHAPE)).astype(np.float32))
        for station in make_position(grid, first_series=first_series)
    ]


@pytest.fixture(scope="module")
def legs() -> list[list[Station]]:
    """Four stations."""
    return [leg(175.0 * n, 1 + 4 * n, n) for n in range(4)]


def fused_with(legs: list[list[Station]], change: Change, stations: tuple[int, ...] = (0, 1, 2, 3)) -> Fused:
    return fuse(
        make_study(
            [
                [replace(s, voxels=change(s.contrast, s.voxels)) for s in position] if n in stations else position
                for n, position in enumerate(legs)
            ]
        )
    )


def times(**factors: float) -> Change:
    by_contrast = {Contrast(name): np.float32(factor) for name, factor in factors.items()}
    return lambda contrast, voxels: voxels * by_contrast.get(contrast, np.float32(1))


def by_slice(contrast: Contrast, voxels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each slice of fat has a scale slope of its own, as in Philips's private element."""
    slopes = np.linspace(0.4, 4.0, len(voxels), dtype=np.float32)[:, None, None]
    return voxels * slopes if contrast is FAT else voxels


def muscle_fat(fused: Fused) -> float:
    lean = np.hypot(*(np.indices(fused.grid.shape[1:]) - np.array([19.5, 21.5])[:, None, None])) < 10
    return float(fused.fat_fraction[:, lean].mean())


def scale_flags(fused: Fused) -> list[tuple[str, str]]:
    return [(flag.code, flag.severity) for flag in fused.flags if flag.code.startswith("water-fat")]


def test_contrasts_of_one_scale_are_left_alone(legs: list[list[Station]]) -> None:
    fused = fused_with(legs, times())
    assert scale_flags(fused) == []
    assert muscle_fat(fused) == pytest.approx(MUSCLE_FAT_FRACTION, abs=0.02)


def test_one_scale_of_all_contrasts_is_no_fault(legs: list[list[Station]]) -> None:
    assert scale_flags(fused_with(legs, times(**{"in": 4.0, "opp": 4.0, "water": 4.0, "fat": 4.0}))) == []
    assert scale_flags(fused_with(legs, times(**{"in": 4.0, "opp": 4.0}))) == []  # the fat fraction is right


@pytest.mark.parametrize(
    ("change", "stations", "flagged"),
    [
        (times(fat=2.5), (0, 1, 2, 3), 4),
        (times(water=0.3), (0, 1, 2, 3), 4),
        (times(water=7.0, fat=0.5), (0, 1, 2, 3), 4),
        (times(fat=0.4), (2,), 1),
        (times(water=3.0, fat=3.0), (1,), 1),
        (by_slice, (0, 1, 2, 3), 4),
    ],
    ids=["fat", "water", "both", "one station", "one station, water and fat alike", "every slice"],
)
def test_scales_of_their_own_are_taken_out(
    legs: list[list[Station]], change: Change, stations: tuple[int, ...], flagged: int
) -> None:
    right, fused = fused_with(legs, times()), fused_with(legs, change, stations)
    assert scale_flags(fused) == [("water-fat-rescaled", "warning")] * flagged
    assert muscle_fat(fused) == pytest.approx(muscle_fat(right), abs=0.01)
    np.testing.assert_allclose(fused.water[:, 20, 22], right.water[:, 20, 22], rtol=0.08)


def test_images_that_do_not_belong_together_give_no_figure_of_fat(legs: list[list[Station]]) -> None:
    def turned(contrast: Contrast, voxels: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.ascontiguousarray(np.roll(voxels, 12, axis=2)) if contrast is FAT else voxels

    fused = fused_with(legs, turned, (1,))
    assert scale_flags(fused) == [("water-fat-mismatch", "warning")]
    labels = np.zeros(fused.grid.shape, dtype=np.uint8)
    for n, name in enumerate(MUSCLES):
        height = slice(4 * n + 4, 4 * n + 8)  # not at the lower end, which would cut it
        labels[height, 15:25, 12:20] = labels[height, 15:25, 24:32] = by_name(name).index
    withheld_by_coverage = replace(fused, flags=tuple(f for f in fused.flags if f.severity != "error"))
    found = measure(Volume(labels, fused.grid), withheld_by_coverage)
    assert found.phenotypes.tmv_cm3 is not None and found.phenotypes.muscle_fat_fraction is None
    assert "do not add up" in found.not_given["muscle_fat_fraction"]
    assert all(structure.fat_fraction_mean is None for structure in found.structures)


def stating(stations: list[Station], **scales: float) -> list[Station]:
    """What Philips' headers would state: Rescale Slope times Scale Slope of each contrast."""
    return [replace(s, private_scale=scales.get(s.contrast.value, 1.0)) for s in stations]


def test_stated_slopes_stand_beside_the_factors_that_the_images_told(legs: list[list[Station]]) -> None:
    fused = fused_with([stating(position, fat=2.5) for position in legs], times(fat=2.5))
    messages = [flag.message for flag in fused.flags if flag.code == "water-fat-rescaled"]
    assert len(messages) == 4
    assert all("(2005,100E) state 1 and 0.4; the images decided" in message for message in messages)
    assert muscle_fat(fused) == pytest.approx(MUSCLE_FAT_FRACTION, abs=0.02)


def test_images_outweigh_stated_slopes_that_are_wrong(legs: list[list[Station]]) -> None:
    fused = fused_with([stating(position, fat=2.5) for position in legs], times())
    assert scale_flags(fused) == []
    assert muscle_fat(fused) == pytest.approx(MUSCLE_FAT_FRACTION, abs=0.02)


def test_a_small_difference_is_corrected_where_headers_state_it(legs: list[list[Station]]) -> None:
    # Too small to be told from T2* by images alone: said, but not corrected.
    assert scale_flags(fused_with(legs, times(fat=1.1))) == [("water-fat-scale-doubtful", "warning")] * 4
    fused = fused_with([stating(position, fat=1.1) for position in legs], times(fat=1.1))
    assert scale_flags(fused) == [("water-fat-rescaled", "warning")] * 4
    assert muscle_fat(fused) == pytest.approx(muscle_fat(fused_with(legs, times())), abs=1e-3)


def test_stated_slopes_decide_where_no_image_can_tell() -> None:
    # Water and fat of one shape: no two factors can be told apart.
    positions = [
        make_position(make_grid((12, 40, 44), (5, 5, 3), (0, 0, 30.0 * n)), first_series=1 + 4 * n) for n in (0, 1)
    ]
    plain = fuse(make_study(positions))
    fused = fuse(make_study([stating(position, fat=2.5) for position in positions]))
    assert scale_flags(plain) == [] and scale_flags(fused) == [("water-fat-rescaled", "warning")] * 2
    np.testing.assert_allclose(fused.fat, 0.4 * plain.fat, rtol=1e-5)
    np.testing.assert_array_equal(fused.water, plain.water)


def displayed(legs: list[list[Station]], stated: tuple[float, ...], shown: tuple[float, ...]) -> Fused:
    """Stations that are shown with factors of their own, and what their headers state."""
    return fuse(
        make_study(
            [
                [replace(s, voxels=s.voxels * np.float32(gain), private_scale=scale) for s in position]
                for position, scale, gain in zip(legs, stated, shown, strict=True)
            ]
        )
    )


def test_stations_that_are_displayed_on_scales_of_their_own_are_brought_to_one(legs: list[list[Station]]) -> None:
    plain, scales = displayed(legs, (1, 1, 1, 1), (1, 1, 1, 1)), (1.0, 1.5, 1.0, 1.5)
    fused = displayed(legs, scales, scales)
    (flag,) = [flag for flag in fused.flags if flag.code == "stations-rescaled"]
    assert flag.severity == "warning" and "(2005,100E)" in flag.message
    common = float(np.median(fused.water[plain.water > 100] / plain.water[plain.water > 100]))
    np.testing.assert_allclose(fused.water, common * plain.water, rtol=1e-4, atol=1e-2)


def test_stated_scales_that_the_overlaps_contradict_are_left(legs: list[list[Station]]) -> None:
    fused = displayed(legs, (1.0, 1.5, 1.0, 1.5), (1, 1, 1, 1))
    assert [flag.severity for flag in fused.flags if flag.code == "stated-scale-not-used"] == ["info"]
    np.testing.assert_array_equal(fused.water, displayed(legs, (1, 1, 1, 1), (1, 1, 1, 1)).water)


@pytest.mark.parametrize("gain", [5.0, 0.03])
def test_a_station_stored_on_another_scale_is_brought_to_that_of_the_others(
    legs: list[list[Station]], gain: float
) -> None:
    plain = fused_with(legs, times())
    fused = fuse(
        make_study(
            [
                [replace(s, voxels=s.voxels * np.float32(gain if number == 1 else 1)) for s in position]
                for number, position in enumerate(legs)
            ]
        )
    )
    (flag,) = [flag for flag in fused.flags if flag.code == "stations-rescaled"]
    assert flag.severity == "warning"
    tissue = plain.water > 100
    ratio = fused.water[tissue] / plain.water[tissue]
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=0.1)
    assert muscle_fat(fused) == pytest.approx(muscle_fat(plain), abs=1e-3)
