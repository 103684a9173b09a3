"""The figures that the automatic checks compare, each beside the limit above which it is flagged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from operators.core.phenotypes import PHENOTYPES
from operators.core.volume import Study
from operators.phenotype_report.page_numbers import fixed, percent, shown
from operators.phenotype_report.plausibility import LEAST_CONFIDENCE, usual_range
from operators.station_fusion.agreement import LARGEST_STEP, SHIFT_LIMIT_MM

__all__ = ["LIMITS", "Check", "checks_of"]

LIMITS = {
    "shift_mm": f"at most {SHIFT_LIMIT_MM:g}",
    "gain_ratio": f"{1 / LARGEST_STEP:.2f} to {LARGEST_STEP:.2f}",
}
"""Limits of the columns of the table of overlaps, in words."""


@dataclass(frozen=True)
class Check:
    """One figure of a check.

    Attributes
    ----------
    name, figure, limit : str
    passed : bool
    """

    name: str
    figure: str
    limit: str
    passed: bool


def checks_of(report: Mapping[str, Any], study: Study) -> tuple[Check, ...]:
    """The figures of a report for which there is a limit.

    Parameters
    ----------
    report : mapping
        From `build_report`.
    study : Study
        Gives sex and height.
    """
    return (*_agreement(report["quality"]["overlaps"]), *_confidence(report["structures"]), *_size(report, study))


def _agreement(overlaps: list[Mapping[str, Any]]) -> list[Check]:
    found = []
    shifts = [pair["shift_mm"] for pair in overlaps if pair.get("shift_mm") is not None]
    if shifts:
        passed = max(shifts) <= SHIFT_LIMIT_MM
        found.append(
            Check("Largest shift between stations", f"{fixed(max(shifts))} mm", f"{LIMITS['shift_mm']} mm", passed)
        )
    gains = [pair["gain_ratio"] for pair in overlaps if pair.get("gain_ratio")]
    if gains:
        worst = max(gains, key=lambda gain: max(gain, 1 / gain))
        passed = max(worst, 1 / worst) <= LARGEST_STEP
        found.append(Check("Brightness of neighbouring stations", fixed(worst, 2), LIMITS["gain_ratio"], passed))
    return found


def _confidence(structures: list[Mapping[str, Any]]) -> list[Check]:
    known = [s for s in structures if s.get("confidence_mean") is not None]
    if not known:
        return []
    least = min(known, key=lambda s: float(s["confidence_mean"]))
    value = float(least["confidence_mean"])
    figure = f"{percent(value)} ({least['display_name']})"
    limit = f"at least {percent(LEAST_CONFIDENCE, 0)}"
    return [Check("Lowest mean confidence of a structure", figure, limit, value >= LEAST_CONFIDENCE)]


def _size(report: Mapping[str, Any], study: Study) -> list[Check]:
    key = "tvi_cm3_per_cm2" if study.height_m else "tmv_cm3"
    usual, value = usual_range(study.height_m, study.patient.get("PatientSex")), report["phenotypes"].get(key)
    if usual is None or value is None:
        return []
    low, high = usual
    unit = PHENOTYPES[key].unit.symbol
    limit = f"{shown(key, low)} to {shown(key, high)} {unit}"
    return [Check(PHENOTYPES[key].title, f"{shown(key, value)} {unit}", limit, low <= value <= high)]
