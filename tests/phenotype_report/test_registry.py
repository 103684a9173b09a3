"""One entry in the registry is enough: the new phenotype appears in every form of the result."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pydicom
import pytest

from analysis import collect_reports
from operators.core.anatomy import Compartment, by_name
from operators.core.errors import InternalError
from operators.core.phenotypes import CUBIC_CM, FRACTION, PHENOTYPES, Card, MeasuredBody, Phenotype, SrConcept, evaluate
from operators.core.phenotypes.formulas import ratio
from operators.core.report_schema import report_schema, schema_text, schema_version
from operators.core.volume import Volume
from operators.dicom_seg_writer import write_dicom
from operators.phenotype_report import Phenotypes, ReportFiles, measure, render_html, write_reports
from operators.phenotype_report.page_numbers import volume
from operators.phenotype_report.sr_groups import limit_meaning
from phantom.table import draw_cohort
from tests import box_body

ROOT = Path(__file__).resolve().parents[2]
SCHEMA_FILE = ROOT / "operators" / "core" / "schema" / "report.schema.json"

#: A version of the schema that no phenotype of ours has.
FINDING_SITE = "363698007"
NEXT_VERSION = "99.0.0"

TOY = Phenotype(
    key="gracilis_share",
    title="Gracilis share of the medial compartment",
    description="Gracilis over the medial compartment on the left.",
    unit=FRACTION,
    compute=lambda body: ratio(
        body.volume_cm3(("gracilis",), "left"),
        body.volume_cm3(("gracilis", "adductor_longus", "adductor_brevis"), "left"),
    ),
    needs=("gracilis", "adductor_longus", "adductor_brevis"),
    sides=("left",),
    since=NEXT_VERSION,
    decimals=2,
    card=Card("of {medial_cm3} cm³"),
    sr=SrConcept("Gracilis share", site=("SCT", "2577006", "Structure of gracilis muscle")),
)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Phenotype:
    monkeypatch.setitem(PHENOTYPES, TOY.key, TOY)
    return TOY


def written(folder: Path, absent: tuple[str, ...] = ()) -> ReportFiles:
    labels, _ = box_body.box_labels(left_scale=0.8, absent=absent)
    fused = box_body.fused_of(box_body.grid())
    study = box_body.study_of(fused)
    volume = Volume(labels, fused.grid)
    segmentation = write_dicom(folder, volume, fused, study, box_body.MODEL).segmentation
    return write_reports(folder, volume, fused, study, box_body.MODEL, segmentation)


def expected_share() -> float:
    _, counts = box_body.box_labels(left_scale=0.8)
    return counts["gracilis"][0] / sum(counts[name][0] for name in TOY.needs)


def test_a_new_phenotype_is_in_result_json_page_and_sr(toy: Phenotype, tmp_path: Path) -> None:
    files = written(tmp_path)
    assert files.measurements.phenotypes.gracilis_share == pytest.approx(expected_share())
    report = json.loads(files.json.read_text(encoding="utf-8"))
    assert report["phenotypes"][toy.key] == pytest.approx(expected_share(), abs=1e-6)
    assert report["schema_version"] == NEXT_VERSION
    page = files.html.read_text(encoding="utf-8")
    assert toy.title in page
    assert f"{100 * expected_share():.2f}%" in page
    medial = files.measurements.phenotypes.medial_cm3
    assert medial is not None and f"of {volume(medial)} cm³" in page
    ((found, group),) = [
        (item, group)
        for group in pydicom.dcmread(box_body.present(files.sr)).ContentSequence[-1].ContentSequence
        for item in group.ContentSequence
        if item.ValueType == "NUM" and item.ConceptNameCodeSequence[0].get("CodeValue") == toy.key
    ]
    measured = found.MeasuredValueSequence[0]
    assert float(measured.NumericValue) == pytest.approx(100 * expected_share(), abs=0.005)
    assert measured.MeasurementUnitsCodeSequence[0].CodeValue == "%"
    site = found.ContentSequence[0]
    assert site.ConceptCodeSequence[0].CodeValue == by_name("gracilis").code
    of_group = [i for i in group.ContentSequence if i.ConceptNameCodeSequence[0].get("CodeValue") == FINDING_SITE]
    assert of_group[0].ContentSequence[0].ConceptCodeSequence[0].CodeMeaning == "Left"


def test_a_new_phenotype_that_is_missing_says_why(toy: Phenotype, tmp_path: Path) -> None:
    report = json.loads(written(tmp_path, absent=("gracilis",)).json.read_text(encoding="utf-8"))
    assert report["phenotypes"][toy.key] is None
    reason = "Not in the label map on the left: Gracilis."
    assert report["quality"]["not_given"][toy.key] == reason
    assert reason in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_new_phenotype_is_in_the_schema_and_required_since_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = report_schema()["x-readable-versions"]
    monkeypatch.setitem(PHENOTYPES, TOY.key, TOY)
    schema = report_schema()
    entry = schema["properties"]["phenotypes"]["properties"][TOY.key]
    assert (entry["title"], entry["maximum"], entry["x-unit"], entry["x-since"]) == (
        TOY.title,
        1,
        "fraction",
        NEXT_VERSION,
    )
    assert TOY.key in schema["properties"]["phenotypes"]["required"]
    assert schema["properties"]["schema_version"] == {"const": NEXT_VERSION}
    assert schema["x-readable-versions"] == [*before, NEXT_VERSION]


def test_a_new_phenotype_is_a_column_of_collect_beside_older_reports(toy: Phenotype, tmp_path: Path) -> None:
    new = json.loads(written(tmp_path / "new").json.read_text(encoding="utf-8"))
    for version in ("1.0.0", "1.1.0"):
        old = copy.deepcopy(new)
        old["schema_version"] = version
        old["study"]["pseudonym"] = f"of version {version}"
        del old["phenotypes"][toy.key]
        (tmp_path / version).mkdir()
        (tmp_path / version / "report.json").write_text(json.dumps(old), encoding="utf-8")
    collected = collect_reports(tmp_path, schema=report_schema())
    assert collected.left_out == ()
    table = collected.table.set_index("eid")
    assert table.loc["1000123", toy.key] == pytest.approx(expected_share(), abs=1e-6)
    assert table[toy.key].isna().tolist() == [False, True, True]
    assert table.pa_ratio.notna().all()
    assert table.dtypes[toy.key] == np.float64


def test_a_new_report_without_the_new_phenotype_is_left_out(toy: Phenotype, tmp_path: Path) -> None:
    path = written(tmp_path).json
    report = json.loads(path.read_text(encoding="utf-8"))
    second = copy.deepcopy(report)
    second["study"]["pseudonym"] = "2"
    del second["phenotypes"][toy.key]
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "report.json").write_text(json.dumps(second), encoding="utf-8")
    collected = collect_reports(tmp_path, schema=report_schema())
    assert [name for name, _ in collected.left_out] == ["second/report.json"]
    assert toy.key in collected.left_out[0][1]


def test_a_new_phenotype_is_a_column_of_the_synthetic_cohort(toy: Phenotype) -> None:
    table = draw_cohort(50, seed=1).phenotypes
    medial = table.gracilis_left_cm3 + table.adductor_longus_left_cm3 + table.adductor_brevis_left_cm3
    pd.testing.assert_series_equal(table[toy.key], table.gracilis_left_cm3 / medial, check_names=False)


def test_a_replaced_phenotype_stays_and_is_marked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = Phenotype(
        key="front_cm3",
        title="Front of the thigh",
        description="Sartorius.",
        unit=CUBIC_CM,
        compute=lambda body: body.volume_cm3(("sartorius",)),
        needs=("sartorius",),
        since="1.0.0",
        card=Card(),
        replaced_by="anterior_cm3",
    )
    monkeypatch.setitem(PHENOTYPES, old.key, old)
    entry = report_schema()["properties"]["phenotypes"]["properties"][old.key]
    assert entry["deprecated"] is True and entry["x-replaced-by"] == "anterior_cm3"
    report = json.loads(written(tmp_path).json.read_text(encoding="utf-8"))
    assert report["phenotypes"][old.key] > 0
    assert old.title not in render_html(report)


def test_the_schemas_file_is_what_the_registry_generates() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), (
        "run `python -m operators.core.report_schema` to write the schema again"
    )
    jsonschema.Draft202012Validator.check_schema(report_schema())
    assert report_schema()["x-readable-versions"][:2] == ["1.0.0", "1.1.0"]
    assert report_schema()["x-readable-versions"][-1] == schema_version()


def test_every_structure_that_a_phenotype_is_computed_from_is_one_that_it_needs() -> None:
    """A structure missing from ``needs`` would leave a missing value without a reason."""
    fused = box_body.fused_of(box_body.grid())
    for name in dict.fromkeys(s for p in PHENOTYPES.values() for s in p.needs):
        labels, _ = box_body.box_labels(absent=(name,))
        given = measure(Volume(labels, fused.grid), fused, 1.7)
        wanted = {p.key for p in PHENOTYPES.values() if name in p.needs}
        wanted -= {"muscle_fat_fraction", "muscle_dixon_fat_core"}  # means over the muscles that are labelled
        wanted |= box_body.NO_MIDDLE
        assert {key for key, value in given.phenotypes.items() if value is None} == wanted
        for key, reason in given.not_given.items():
            expected = "end to end" if name not in PHENOTYPES[key].needs else by_name(name).display_name
            assert expected in reason


def test_notes_of_cards_and_replacements_name_phenotypes() -> None:
    shown = dict.fromkeys(PHENOTYPES, "")
    for phenotype in PHENOTYPES.values():
        if phenotype.card is not None:
            phenotype.card.note.format_map(shown)
        assert phenotype.replaced_by is None or phenotype.replaced_by in PHENOTYPES


def test_every_compartment_is_a_phenotype() -> None:
    assert {f"{compartment}_cm3" for compartment in Compartment} <= set(PHENOTYPES)


def test_muscles_known_only_with_others_are_named_as_the_reason() -> None:
    volumes = {"outer_hip": 100.0, "rectus_femoris": 10.0}
    body = MeasuredBody(volumes, groups={"outer_hip": ("gluteus_medius", "vastus_lateralis")})
    _, reasons = evaluate(body)
    assert reasons["quadriceps_cm3"] == "Not in the label map: Vastus medialis, Vastus intermedius."
    whole = MeasuredBody(volumes | {"vastus_medialis": 1.0, "vastus_intermedius": 1.0}, groups=body.groups)
    values, reasons = evaluate(whole)
    assert values["quadriceps_cm3"] is None
    assert reasons["quadriceps_cm3"] == "Labelled only together with other structures: Vastus lateralis."


def test_result_is_a_mapping_that_cannot_be_changed() -> None:
    given = Phenotypes({"pa_ratio": 0.45})
    assert list(given) == list(PHENOTYPES)
    assert given["pa_ratio"] == given.pa_ratio == 0.45
    assert given.tmv_cm3 is None
    assert pickle.loads(pickle.dumps(given)) == copy.deepcopy(given) == given
    with pytest.raises(AttributeError, match="cannot be changed"):
        given.pa_ratio = 1.0  # type: ignore[misc]
    with pytest.raises(AttributeError, match="no phenotype"):
        _ = given.pa_ration
    with pytest.raises(InternalError, match="pa_ration"):
        Phenotypes({"pa_ration": 0.45})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"key": "Gracilis share"}, "snake_case"),
        ({"needs": ("gracillis",)}, "structure 'gracillis'"),
        ({"since": "next"}, "a version of the report's schema"),
    ],
)
def test_an_entry_that_is_wrong_is_refused(change: dict[str, object], says: str) -> None:
    parts = {name: getattr(TOY, name) for name in TOY.__dataclass_fields__}
    with pytest.raises(InternalError, match=says):
        Phenotype(**(parts | change))


@pytest.mark.parametrize("key", [key for key, phenotype in PHENOTYPES.items() if phenotype.sr is not None])
def test_a_number_and_its_limits_have_names_that_dicom_allows_in_whole(key: str) -> None:
    """Names that were cut ended in "lower l" and "upper l"."""
    concept = PHENOTYPES[key].sr
    assert concept is not None
    assert all(len(limit_meaning(concept, limit, 0.95)) <= 64 for limit in ("lower", "upper"))
