"""Intervals in the report, on the page and in the SR, and the reasons where there are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pydicom
import pytest

from benchmarks.calibration_fit import fit, folds
from operators.core.anatomy import STRUCTURES
from operators.core.calibration import Calibration, Curve
from operators.core.model_card import ModelCard
from operators.core.options import RunOptions, SegmentationOptions
from operators.core.phenotypes import PHENOTYPES
from operators.core.report_schema import report_schema
from operators.core.volume import Contrast, QualityFlag, Volume
from operators.dicom_seg_writer import write_dicom
from operators.phenotype_report import Measurements, build_report, measure, render_html, write_reports
from operators.phenotype_report.page_intervals import interval_words
from operators.phenotype_report.uncertainty import doubts_of, with_intervals
from tests import box_body

_CURVE = Curve("relative", 8.0, 8.0, 1.0, 1.0, 0.06, 1.7, 0.1, 0.001, 200)
_FAT = Curve("absolute", 0.1, 0.1, 1.0, 0.02, 0.004, 1.7, 0.1, 0.001, 200)
_SIGNED = replace(_FAT, form="signed", middle=0.0, intercept=0.0)
_VOXELS = tuple((mm, mm) for mm in box_body.SPACING)
CALIBRATION = Calibration(
    box_body.MODEL.sha256,
    "a command",
    "200 phantoms",
    True,
    0.9,
    _VOXELS,
    {"mirror": False},
    {"tmv_cm3": _CURVE, "pa_ratio": _CURVE, "lr_asymmetry": _SIGNED, "thigh_dixon_fat_core": _FAT},
    {s.name: _CURVE for s in STRUCTURES},
    {s.name: _CURVE for s in STRUCTURES},
)
MODEL = replace(box_body.MODEL, calibration=CALIBRATION)


def measured(
    model: ModelCard = MODEL,
    flags: tuple[QualityFlag, ...] = (),
    options: RunOptions | None = None,
    synthetic: bool = True,
) -> Measurements:
    labels, _ = box_body.box_labels(left_scale=0.93)
    fused = box_body.fused_of(box_body.grid(), flags=flags)
    volume = Volume(labels, fused.grid)
    found = measure(volume, fused, 1.7)
    return with_intervals(found, volume, fused, (*flags, *found.flags), model, options, synthetic=synthetic)


def test_what_is_calibrated_has_an_interval_and_the_rest_a_reason() -> None:
    found = measured()
    assert set(found.uncertainty.intervals) == set(CALIBRATION.phenotypes)
    given = {key for key in PHENOTYPES if found.phenotypes[key] is not None}
    assert set(found.uncertainty.not_given) == given - set(CALIBRATION.phenotypes)
    tmv, interval = found.phenotypes["tmv_cm3"], found.uncertainty.intervals["tmv_cm3"]
    assert tmv is not None and interval.low < tmv < interval.high
    asymmetry = found.uncertainty.intervals["lr_asymmetry"]
    assert asymmetry.low < found.phenotypes["lr_asymmetry"] < asymmetry.high  # type: ignore[operator]
    sartorius = found.structures[0]
    assert sartorius.volume_se_cm3 == pytest.approx(0.06 * sartorius.volume_cm3, rel=0.1)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("model", "options", "synthetic", "reason"),
    [
        (box_body.MODEL, None, True, "not calibrated"),
        (MODEL, None, False, "phantoms only"),
        (replace(MODEL, made_elsewhere=True), None, True, "made elsewhere"),
        (replace(MODEL, made="semiautomatic"), None, True, "edited"),
        (MODEL, RunOptions(segmentation=SegmentationOptions(mirror=True)), True, "choice of mirror"),
        (
            replace(MODEL, calibration=replace(CALIBRATION, spacing_mm=((2.0, 2.0),) * 3)),
            None,
            True,
            "other voxels",
        ),
    ],
)
def test_where_the_calibration_does_not_hold_there_is_a_reason(
    model: ModelCard, options: RunOptions | None, synthetic: bool, reason: str
) -> None:
    told = measured(model, options=options, synthetic=synthetic).uncertainty
    assert not told.intervals and told.level is None
    assert told.reason is not None and reason in told.reason


def test_a_number_in_doubt_has_no_interval() -> None:
    flag = QualityFlag("ghosting", "warning", "Ghosts.", structures=("vastus_medialis",), quantities=("volume",))
    found = measured(flags=(flag,))
    assert set(found.uncertainty.intervals) == {"thigh_dixon_fat_core"}
    assert found.uncertainty.not_given["tmv_cm3"].endswith("ghosting.")
    errors = {m.structure.name: m.volume_se_cm3 for m in found.structures}
    assert errors["vastus_medialis"] is None and errors["vastus_lateralis"] is not None


def test_withheld_numbers_have_none() -> None:
    told = measured(flags=(QualityFlag("station-gap", "error", "A gap."),)).uncertainty
    assert not told.intervals and told.reason == "A gap."


def test_a_displacement_at_a_seam_moves_its_area() -> None:
    labels, _ = box_body.box_labels()
    grid = box_body.grid()
    middle = float(grid.affine[2, 3] + 20 * grid.spacing_mm[2])
    doubts = doubts_of((), Volume(labels, grid), [{"shift_z_mm": -2.0, "middle_z_mm": middle}, {"shift_z_mm": 9.0}])
    voxels = np.count_nonzero(labels[20] == STRUCTURES[0].index)
    assert doubts.displaced_cm3[STRUCTURES[0].name] == (pytest.approx(voxels * 0.25 * 0.2),)


def test_report_page_and_sr_show_them_with_the_digits_that_they_leave(tmp_path: Path) -> None:
    labels, _ = box_body.box_labels(left_scale=0.93)
    fused = box_body.fused_of(box_body.grid(), contrasts=tuple(Contrast))
    volume = Volume(labels, fused.grid)
    study = replace(box_body.study_of(fused), patient=box_body.PATIENT | {"SyntheticData": "YES"})
    segmentation = write_dicom(tmp_path, volume, fused, study, MODEL).segmentation
    files = write_reports(tmp_path, volume, fused, study, MODEL, segmentation)
    report = build_report(files.measurements, fused, study, MODEL, {})
    jsonschema.validate(report, report_schema())
    assert "calibration" not in report["model"]
    assert Calibration.of_record(report["calibration"]) == CALIBRATION
    tmv, interval = report["phenotypes"]["tmv_cm3"], report["uncertainty"]["phenotypes"]["tmv_cm3"]
    shown = round(tmv, -2) if interval["standard_error"] > 355 else round(tmv, -1)
    assert interval["standard_error"] > 100  # so that tens or hundreds are the last digit
    page = render_html(report)
    assert f"{shown:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}") in page and "200 phantoms" in page
    assert files.sr is not None
    numbers = _numbers(files.sr)
    assert numbers["Total muscle volume"] == shown
    assert numbers["Total muscle volume, lower 90% limit"] < shown
    assert numbers["Total muscle volume, upper 90% limit"] > shown


def test_the_page_says_when_a_number_lies_outside_its_range() -> None:
    interval = {"low": 1180.0, "high": 1260.0, "standard_error": 24.0}
    inside, outside = (interval_words(PHENOTYPES["bone_cm3"], value, interval) for value in (1200.0, 1090.0))
    assert not inside.startswith("more likely") and outside == f"more likely {inside}"


def _numbers(sr: Path) -> dict[str, float]:
    """Value of each number of the first group, by its meaning."""
    measured = pydicom.dcmread(sr).ContentSequence[-1]
    return {
        str(item.ConceptNameCodeSequence[0].CodeMeaning): float(item.MeasuredValueSequence[0].NumericValue)
        for item in measured.ContentSequence[0].ContentSequence
        if item.ValueType == "NUM"
    }


def _records(count: int) -> list[dict[str, Any]]:
    """Records of a network that finds everything 5% too small, with errors of 2%."""
    rng = np.random.default_rng(1)
    records = []
    for seed in range(count):
        tmv, error = float(rng.normal(9000.0, 1500.0)), float(np.exp(rng.normal(0.0, 0.02)))
        structure = {"truth": [tmv / 50] * 2, "found": [0.95 * tmv / 50 * error] * 2, "doubt": [tmv / 400] * 2}
        records.append(
            {
                "seed": seed,
                "sha256": "ab" * 32,
                "spacing_mm": [2.0, 2.0, 3.0],
                "truth": {"tmv_cm3": tmv},
                "found": {"tmv_cm3": 0.95 * tmv * error},
                "structures": {s.name: structure for s in STRUCTURES},
                "seams": [],
            }
        )
    return records


def test_the_fit_finds_bias_and_scatter_and_its_intervals_hold_for_others() -> None:
    records = _records(200)
    curve = fit(records, "", "").phenotypes["tmv_cm3"]
    assert curve.intercept - curve.middle == pytest.approx(-np.log(0.95), abs=0.005)
    assert curve.sd == pytest.approx(0.02, rel=0.15) and curve.slope == pytest.approx(1.0, abs=0.05)
    checked = folds(records, 5)["tmv_cm3"]
    assert len(checked) == 200 and 0.85 <= np.mean([held for held, _ in checked]) <= 0.95
