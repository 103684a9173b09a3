"""Calibration curves: bias, scatter, extrapolation, doubt; and their file."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from operators.core.calibration import CALIBRATION_FILE, Calibration, Curve, read_calibration
from operators.core.errors import SegmentationError

CURVE = Curve("relative", math.log(8000.0), math.log(8160.0), 1.0, 0.2, 0.03, 1.65, 0.15, 0.002, 1000)
CALIBRATION = Calibration(
    "ab" * 32, "a command", "some phantoms", True, 0.9, ((2.0, 2.0), (2.0, 2.0), (3.0, 3.0)), {}, {"tmv_cm3": CURVE}
)


def test_a_known_bias_moves_the_interval() -> None:
    interval = CURVE.interval(8000.0)
    assert interval is not None
    assert interval.standard_error == pytest.approx(8160 * 0.03, rel=0.01)
    assert math.sqrt(interval.low * interval.high) == pytest.approx(8160.0)
    assert interval.high / interval.low == pytest.approx(math.exp(2 * 1.65 * 0.03), rel=0.002)


def test_more_doubt_and_displacement_than_usual_widen_it_and_less_does_not_narrow_it() -> None:
    usual = CURVE.error(CURVE.middle)
    assert CURVE.error(CURVE.middle, 0.10, 0.001) == usual == CURVE.error(CURVE.middle, 0.15, 0.002)
    assert CURVE.error(CURVE.middle, 0.30) == pytest.approx(2 * usual)
    assert CURVE.error(CURVE.middle, None, 0.05) == pytest.approx(math.hypot(usual, 0.05), rel=0.01)


def test_far_from_the_phantoms_the_interval_is_wider() -> None:
    few = replace(CURVE, n=20)
    assert few.error(few.middle + 4 * few.spread) > 1.3 * few.error(few.middle)


def test_an_asymmetry_is_judged_with_its_sign_and_reported_without() -> None:
    curve = Curve("signed", 0.0, 0.0, 1.0, 0.04, 0.01, 2.0, 0.15, 0.0, 10000)
    around_zero, clear = curve.interval(0.005), curve.interval(-0.06)
    assert around_zero is not None and clear is not None
    assert (around_zero.low, around_zero.high) == (0.0, pytest.approx(0.025, rel=0.01))
    assert (clear.low, clear.high) == (pytest.approx(0.04, rel=0.01), pytest.approx(0.08, rel=0.01))


def test_intervals_hold_the_stated_share_of_truths() -> None:
    rng = np.random.default_rng(0)
    found = np.exp(rng.normal(CURVE.middle, CURVE.spread, 4000))
    truth = np.exp(CURVE.intercept + np.log(found) - CURVE.middle + rng.normal(0.0, CURVE.sd, 4000))
    intervals = [CURVE.interval(float(value)) for value in found]
    held = [i is not None and i.low <= t <= i.high for i, t in zip(intervals, truth, strict=True)]
    assert 0.88 < np.mean(held) < 0.92


def test_a_calibration_is_read_for_its_own_weights_only(tmp_path: Path) -> None:
    assert read_calibration(tmp_path, "ab" * 32) is None
    path = tmp_path / CALIBRATION_FILE
    path.parent.mkdir()
    path.write_text(json.dumps(CALIBRATION.record()))
    found = read_calibration(tmp_path, "ab" * 32)
    assert found is not None and found.record() == CALIBRATION.record()
    assert read_calibration(tmp_path, "cd" * 32) is None


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"version": 9}', '{"version": 1, "phenotypes": {"tmv_cm3": "relative 1"}}']
)
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / CALIBRATION_FILE
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(SegmentationError, match="calibration of the bundle's weights"):
        read_calibration(tmp_path, "ab" * 32)
