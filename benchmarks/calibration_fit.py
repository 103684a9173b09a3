"""Calibration curves from records of phantoms, and how often their intervals hold the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from operators.core.anatomy import STRUCTURES
from operators.core.calibration import Calibration, Curve, Form
from operators.core.phenotypes import PHENOTYPES
from operators.phenotype_report.uncertainty import Doubts, interval_of

__all__ = ["LEAST_RECORDS", "coverage", "fit", "folds"]

LEVEL = 0.9
LEAST_RECORDS = 20
_OPTIONS = {"mirror": False, "clean_up": False}


def fit(records: Sequence[Mapping[str, Any]], made_by: str, studies: str) -> Calibration:
    """Fit every number that enough records have."""
    spacings = np.array([r["spacing_mm"] for r in records])
    low, high = spacings.min(axis=0).round(4), spacings.max(axis=0).round(4)
    doubts = [record_doubts(record) for record in records]
    phenotypes = {}
    for key, phenotype in PHENOTYPES.items():
        rows = []
        for record, known in zip(records, doubts, strict=True):
            pair = _pair(record, key)
            if pair is not None:
                rows.append((*pair, known.doubt(phenotype.needs) or 0.0, known.displacement(phenotype.needs) or 0.0))
        if len(rows) >= LEAST_RECORDS:
            phenotypes[key] = _curve(_form(key), np.array(rows))
    structures, sides = {}, {}
    for structure in STRUCTURES:
        both, single = [], []
        for record, known in zip(records, doubts, strict=True):
            one, names = record["structures"][structure.name], [structure.name]
            shares = known.doubt(names) or 0.0, known.displacement(names) or 0.0
            if min(*one["truth"], *one["found"]) > 0:
                both.append((sum(one["found"]), sum(one["truth"]), *shares))
                single += [(f, t, *shares) for f, t in zip(one["found"], one["truth"], strict=True)]
        if len(both) >= LEAST_RECORDS:
            structures[structure.name] = _curve("relative", np.array(both))
            sides[structure.name] = _curve("relative", np.array(single))
    spacing = tuple((float(a), float(b)) for a, b in zip(low, high, strict=True))
    sha256 = str(records[0]["sha256"])
    return Calibration(sha256, made_by, studies, True, LEVEL, spacing, _OPTIONS, phenotypes, structures, sides)


def coverage(calibration: Calibration, records: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[bool, float]]]:
    """For each phenotype, whether its interval holds the truth and the interval's half width, by record.

    The half width is that over the value, or in percentage points for fat and asymmetry.
    """
    found: dict[str, list[tuple[bool, float]]] = {}
    for record in records:
        known = record_doubts(record)
        for key in calibration.phenotypes:
            truth, interval = record["truth"].get(key), interval_of(key, record["found"], known, calibration)
            if truth is None or interval is None:
                continue
            half = 50 * (interval.high - interval.low)
            width = half / record["found"][key] if _form(key) == "relative" else half
            found.setdefault(key, []).append((interval.low <= truth <= interval.high, width))
    return found


def folds(records: Sequence[Mapping[str, Any]], count: int) -> dict[str, list[tuple[bool, float]]]:
    """`coverage` of each part of the records with the calibration that the others give."""
    found: dict[str, list[tuple[bool, float]]] = {}
    for n in range(count):
        left_out = records[n::count]
        others = [record for m, record in enumerate(records) if m % count != n]
        for key, entries in coverage(fit(others, "", ""), left_out).items():
            found.setdefault(key, []).extend(entries)
    return found


def record_doubts(record: Mapping[str, Any]) -> Doubts:
    """What the report knows about the doubt of a record's labels."""
    structures = record["structures"]
    seams = [
        [area * abs(seam["shift_z_mm"]) / 10.0 for area in seam["cm2"]]
        for seam in record["seams"]
        if seam.get("shift_z_mm") is not None and math.isfinite(seam["shift_z_mm"])
    ]
    return Doubts(
        {name: sum(one["found"]) for name, one in structures.items()},
        {name: sum(one["doubt"]) for name, one in structures.items()},
        {s.name: tuple(seam[s.index] for seam in seams) for s in STRUCTURES} if seams else {},
    )


def _form(key: str) -> Form:
    if key == "lr_asymmetry":
        return "signed"
    return "absolute" if PHENOTYPES[key].unit.percent else "relative"


def _pair(record: Mapping[str, Any], key: str) -> tuple[float, float] | None:
    """Found and true value."""
    found, truth = record["found"], record["truth"]
    if found.get(key) is None or truth.get(key) is None:
        return None
    if _form(key) == "signed":
        return _signed(found), _signed(truth)
    return found[key], truth[key]


def _signed(values: Mapping[str, float]) -> float:
    left, right = values["thigh_left_cm3"], values["thigh_right_cm3"]
    return (left - right) / max(left, right)


def _curve(form: Form, rows: np.ndarray[Any, np.dtype[np.float64]]) -> Curve:
    """The line of truth on found values, and the factor that makes the intervals hold `LEVEL` of truths."""
    x, y = (np.log(column) if form == "relative" else column for column in rows.T[:2])
    doubt, displacement = rows.T[2:]
    slope, intercept = np.polyfit(x - x.mean(), y, 1)
    residual = y - intercept - slope * (x - x.mean())
    n = len(rows)
    curve = Curve(
        form=form,
        middle=float(x.mean()),
        intercept=float(intercept),
        slope=float(slope),
        spread=max(float(x.std()), 1e-9),
        sd=max(float(np.sqrt((residual**2).sum() / (n - 2))), 1e-9),
        factor=1.0,
        doubt=float(doubt.mean()),
        displacement=float(np.sqrt((displacement**2).mean())),
        n=n,
    )
    scores = np.abs(residual) / [curve.error(*row) for row in zip(x, doubt, displacement, strict=True)]
    # The finite-sample quantile of split conformal prediction (Lei et al. 2018, doi 10.1080/01621459.2017.1307116).
    rank = min(math.ceil((n + 1) * LEVEL), n)
    return replace(curve, factor=float(np.sort(scores)[rank - 1]))
