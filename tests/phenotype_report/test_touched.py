"""Each flag says which phenotypes it casts doubt on."""

from __future__ import annotations

import jsonschema
import pytest

from operators.core.anatomy import HAMSTRINGS, THIGH_MUSCLES
from operators.core.phenotypes import PHENOTYPES
from operators.core.report_schema import report_schema
from operators.core.volume import QualityFlag, Volume
from operators.phenotype_report import Measurements, build_report, measure, render_html
from operators.phenotype_report.touched import doubting, touched
from tests import box_body


@pytest.fixture(scope="module")
def measured() -> Measurements:
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(box_body.grid())
    return measure(Volume(labels, fused.grid), fused, 1.7)


def test_an_error_touches_everything_and_information_nothing(measured: Measurements) -> None:
    assert touched(QualityFlag("a", "error", "m"), measured) == tuple(PHENOTYPES)
    assert touched(QualityFlag("a", "info", "m"), measured) == ()
    assert touched(QualityFlag("a", "warning", "m", quantities=()), measured) == ()
    given = tuple(key for key in PHENOTYPES if key not in box_body.NO_MIDDLE)
    assert touched(QualityFlag("a", "warning", "m"), measured) == given


def test_a_flag_about_structures_touches_what_is_computed_from_them(measured: Measurements) -> None:
    found = touched(QualityFlag("a", "warning", "m", structures=("semitendinosus",)), measured)
    of_muscle = {key for key, p in PHENOTYPES.items() if "semitendinosus" in p.needs}
    assert set(found) == of_muscle - box_body.NO_MIDDLE
    assert {"pa_ratio", "tmv_cm3", "hamstrings_cm3"} <= set(found) and "quadriceps_cm3" not in found


def test_a_flag_about_fat_leaves_volumes_alone(measured: Measurements) -> None:
    found = touched(QualityFlag("a", "warning", "m", quantities=("fat",)), measured)
    assert {"muscle_fat_fraction", "thigh_dixon_fat_core", "thigh_subcutaneous_adipose_cm3"} <= set(found)
    assert not {"tmv_cm3", "pa_ratio"} & set(found)


def test_a_flag_about_a_range_touches_what_lies_there(measured: Measurements) -> None:
    low = box_body.grid().affine[2, 3]
    femur_only = QualityFlag("a", "warning", "m", z_mm=(low - 20, low + 20))  # below all muscles of the box body
    of_femur = {key for key, p in PHENOTYPES.items() if "femur" in p.needs}
    assert set(touched(femur_only, measured)) == of_femur - box_body.NO_MIDDLE
    nothing = QualityFlag("a", "warning", "m", z_mm=(low - 500, low - 400))
    assert touched(nothing, measured) == ()


def test_a_structure_is_in_doubt_by_warnings_about_it_in_its_range(measured: Measurements) -> None:
    ranges = measured.z_ranges_mm
    low = box_body.grid().affine[2, 3]
    flags = (
        QualityFlag("everything", "warning", "m"),
        QualityFlag("below-the-muscles", "warning", "m", z_mm=(low - 20, low + 20)),
        QualityFlag("of-hamstrings", "warning", "m", structures=HAMSTRINGS),
        QualityFlag("of-fat", "warning", "m", quantities=("fat",)),
        QualityFlag("only-said", "info", "m"),
        QualityFlag("everything", "warning", "another station"),
    )
    assert doubting("semitendinosus", flags, ranges) == ("everything", "of-hamstrings", "of-fat")
    assert doubting("semitendinosus", flags, ranges, ("volume",)) == ("everything", "of-hamstrings")
    assert doubting("femur", flags, ranges) == ("everything", "below-the-muscles", "of-fat")


def test_the_report_names_them(measured: Measurements) -> None:
    flag = QualityFlag("shifted-station", "warning", "Moved.", structures=HAMSTRINGS)
    fused = box_body.fused_of(box_body.grid(), flags=(flag,))
    report = build_report(measured, fused, box_body.study_of(fused), box_body.MODEL, {})
    jsonschema.validate(report, report_schema())
    (entry,) = report["quality"]["flags"]
    assert entry["structures"] == list(HAMSTRINGS)
    doubted = {row["name"] for row in report["structures"] if row["in_doubt"] == ["shifted-station"]}
    assert doubted == set(HAMSTRINGS)
    assert "pa_ratio" in entry["touches"] and "quadriceps_cm3" not in entry["touches"]
    assert set(THIGH_MUSCLES) > set(HAMSTRINGS)
    page = render_html(report)
    assert "Touches: Total muscle volume" in page and "Hamstrings" in page
