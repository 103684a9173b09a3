"""Scans that no station should be fused from in silence: empty, moved, on another scale, with a constant added."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from operators.core.errors import InputError
from operators.core.volume import Contrast, Station
from operators.station_fusion import find_positions, fuse
from tests.station_fusion.made_stations import make_study
from tests.station_fusion.test_contrast_scales import leg

Images = Callable[[Contrast, NDArray[np.float32]], NDArray[np.float32]]
WATER, FAT, IN, OPPOSED = Contrast.WATER, Contrast.FAT, Contrast.IN, Contrast.OPPOSED


@pytest.fixture(scope="module")
def legs() -> list[list[Station]]:
    """Three stations, superior first; the middle one overlaps both others."""
    return [leg(175.0 * n, 1 + 4 * n, n) for n in (2, 1, 0)]


def changed(position: list[Station], change: Images) -> list[Station]:
    return [replace(s, voxels=np.asarray(change(s.contrast, s.voxels), dtype=np.float32)) for s in position]


def scanned_again(position: list[Station], change: Images) -> list[Station]:
    later = datetime(2020, 1, 1, 10) + timedelta(minutes=9)
    return [
        replace(s, series_number=s.series_number + 100, series_uid=s.series_uid + ".9", acquired=later)
        for s in changed(position, change)
    ]


def stopped(voxels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The upper third of the slices shows noise only, so that nothing is left to compare with the station above."""
    noise = np.random.default_rng(1).rayleigh(3.0, voxels.shape).astype(np.float32)
    return np.where((np.arange(len(voxels)) < 2 * len(voxels) // 3)[:, None, None], voxels, noise)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda contrast, voxels: voxels * 0, "slices without signal"),
        (lambda contrast, voxels: stopped(voxels), "slices without signal"),
        (lambda contrast, voxels: np.roll(voxels, 3, 2), "agrees less"),
        (lambda contrast, voxels: np.roll(voxels, 5, 1), "agrees less"),
        (lambda contrast, voxels: voxels * (1.0 if contrast is FAT else 1.3), "contrast agent"),
    ],
    ids=["empty", "stopped", "moved to the side", "moved forward", "contrast agent"],
)
def test_a_worse_repeat_does_not_win_by_being_newer(legs: list[list[Station]], change: Images, reason: str) -> None:
    stations = [s for position in (*legs, scanned_again(legs[1], change)) for s in position]
    positions, flags = find_positions(stations)
    assert {s.series_number for s in positions[1].stations.values()} == {s.series_number for s in legs[1]}
    (flag,) = (flag for flag in flags if flag.code == "duplicate-station")
    assert flag.severity == "warning" and reason in flag.message


def enhanced(contrast: Contrast, voxels: NDArray[np.float32]) -> NDArray[np.float32]:
    return voxels * np.float32({WATER: 1.3, FAT: 1.0, IN: 1.25, OPPOSED: 1.25}[contrast])


def test_a_whole_study_repeated_after_an_agent_that_no_header_names_is_not_used(legs: list[list[Station]]) -> None:
    again = [scanned_again(position, enhanced) for position in legs]
    positions, flags = find_positions([s for position in (*legs, *again) for s in position])
    assert max(s.series_number for p in positions for s in p.stations.values()) < 100
    assert [flag.severity for flag in flags] == ["warning"] * 3 and "contrast agent" in flags[0].message


def test_the_newer_of_two_good_scans_is_used(legs: list[list[Station]]) -> None:
    stations = [s for position in (*legs, scanned_again(legs[1], lambda _, voxels: voxels * 1.03)) for s in position]
    positions, _ = find_positions(stations)
    assert min(s.series_number for s in positions[1].stations.values()) > 100


@pytest.mark.parametrize("factor", [0.2, 0.6, 1.6, 1.9, 40.0])
def test_a_station_on_another_scale_is_brought_to_that_of_the_others(legs: list[list[Station]], factor: float) -> None:
    positions = [legs[0], changed(legs[1], lambda _, voxels: voxels * factor), legs[2]]
    fused = fuse(make_study(positions))
    assert "stations-rescaled" in {flag.code for flag in fused.flags}
    steps = fused.water[:, 18:22, 20:24].mean(axis=(1, 2))
    assert steps.max() < 1.15 * steps.min()


@pytest.mark.parametrize("contrasts", [(WATER,), (FAT,), (WATER, FAT)])
def test_a_constant_in_one_station_is_an_error(legs: list[list[Station]], contrasts: tuple[Contrast, ...]) -> None:
    offset = changed(legs[1], lambda contrast, voxels: voxels + 150 if contrast in contrasts else voxels)
    (flag,) = (f for f in fuse(make_study([legs[0], offset, legs[2]])).flags if f.code == "added-constant")
    assert flag.severity == "error" and all(contrast.value in flag.message for contrast in contrasts)


def test_negative_signal_is_refused(legs: list[list[Station]]) -> None:
    with pytest.raises(InputError, match="negative everywhere"):
        fuse(make_study([changed(position, lambda _, voxels: -voxels) for position in legs]))


@pytest.mark.parametrize("missing", [(OPPOSED,), (IN,), (IN, OPPOSED)])
def test_a_contrast_that_one_station_lacks_is_absent_with_a_flag(
    legs: list[list[Station]], missing: tuple[Contrast, ...]
) -> None:
    lacking = [legs[0], [s for s in legs[1] if s.contrast not in missing], legs[2]]
    fused, right = fuse(make_study(lacking)), fuse(make_study(legs))
    assert fused.absent == set(missing)
    for name in ("water", "fat", "fat_fraction"):
        np.testing.assert_allclose(getattr(fused, name), getattr(right, name), rtol=1e-5, atol=1e-6)
    found = [flag.message for flag in fused.flags if flag.code == "contrast-absent"]
    numbers = ", ".join(str(s.series_number) for s in lacking[1])
    assert len(found) == len(missing) and all(f"series {numbers}" in message for message in found)


def test_a_contrast_that_only_an_unused_repeat_lacks_is_there(legs: list[list[Station]]) -> None:
    again = [s for s in scanned_again(legs[1], lambda _, voxels: voxels) if s.contrast is not OPPOSED]
    fused = fuse(make_study([*legs, again]))
    assert fused.absent == frozenset()
    assert "incomplete-duplicate" in {flag.code for flag in fused.flags}


def test_two_bodies_in_one_study_are_an_error(legs: list[list[Station]]) -> None:
    def textured(position: list[Station], seed: int, size: float) -> list[Station]:
        """A thigh with muscles, vessels and bone of its own, which reach through all stations of one person."""
        y, x = np.indices(position[0].voxels.shape[1:])
        rng = np.random.default_rng(seed)
        inside = np.ones(y.shape)
        for _ in range(14):
            row, column, radius = rng.uniform(10, 30), rng.uniform(12, 32), rng.uniform(1.5, 3.5)
            inside[np.hypot(y - row, x - column) < radius] *= rng.uniform(0.3, 0.8)
        body = np.hypot(y - 19.5, x - 21.5) < 14 * size
        return [
            replace(
                s, voxels=np.asarray(np.where(body, 250 * inside, 2) + rng.normal(0, 3, s.voxels.shape), np.float32)
            )
            for s in position
        ]

    one = [textured(position, 1, 1.0) for position in legs]
    two = [one[0], one[1], textured(legs[2], 2, 1.1)]
    assert "body-mismatch" not in {flag.code for flag in fuse(make_study(one)).flags}
    (flag,) = (flag for flag in fuse(make_study(two)).flags if flag.code == "body-mismatch")
    assert flag.severity == "error" and "size" in flag.message
