"""Rescale slopes of single slices: used where pixels were scaled by them, not used where they were not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from operators.dicom_loader.slice_slopes import slice_slope_flags, undo_wrong_slopes

COUNT = 40


def body() -> NDArray[np.float32]:
    rng = np.random.default_rng(3)
    brightness = 300 * (1 + 0.02 * rng.standard_normal(COUNT)) * np.linspace(1.1, 0.9, COUNT)
    image = np.zeros((COUNT, 40, 40), dtype=np.float32)
    image[:, 8:32, 8:32] = brightness[:, None, None] * (1 + 0.1 * rng.random((COUNT, 24, 24)))
    return image


SLOPES = {
    "ramp": np.linspace(1, 3, COUNT),
    "ramp down": np.linspace(2, 0.7, COUNT),
    "random": np.random.default_rng(5).uniform(0.5, 2, COUNT),
    "two": np.where(np.arange(COUNT) < 17, 1.0, 1.6),
}


@pytest.mark.parametrize("slopes", SLOPES.values(), ids=SLOPES.keys())
def test_slopes_that_pixels_were_not_scaled_by_are_undone(slopes: NDArray[np.float64]) -> None:
    right = body()
    shown = (right * slopes[:, None, None]).astype(np.float32)
    assert undo_wrong_slopes(shown, list(slopes), [0.0] * COUNT)
    np.testing.assert_allclose(shown, right * np.float32(np.median(slopes)), rtol=1e-5)


@pytest.mark.parametrize("slopes", SLOPES.values(), ids=SLOPES.keys())
def test_slopes_that_pixels_were_scaled_by_are_kept(slopes: NDArray[np.float64]) -> None:
    shown = body()  # rescaled already: stored pixels times slopes
    assert not undo_wrong_slopes(shown, list(slopes), [0.0] * COUNT)
    np.testing.assert_array_equal(shown, body())


def test_one_slope_is_never_looked_at() -> None:
    assert not undo_wrong_slopes(np.zeros((COUNT, 2, 2), np.float32), [3.0] * COUNT, [0.0] * COUNT)


def test_the_flag_names_each_series_once() -> None:
    assert slice_slope_flags([]) == ()
    (flag,) = slice_slope_flags(["series 4 (fat)", "series 4 (fat)"])
    assert flag.severity == "warning" and flag.message.count("series 4") == 1
