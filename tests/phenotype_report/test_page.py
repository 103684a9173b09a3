"""The page for people: what it says in words, how it rounds, its viewer, percentiles and changes."""

from __future__ import annotations

import base64
import csv
import io
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from operators.core.anatomy import STRUCTURES
from operators.core.deidentification import deidentify
from operators.core.errors import InputError
from operators.core.options import Deidentification, ReportOptions, RunOptions
from operators.core.phenotypes import PHENOTYPES
from operators.core.volume import Contrast, QualityFlag, Volume
from operators.phenotype_report import ReportFiles, find_mid_surface, render_html
from operators.phenotype_report.comparison import changes_between
from operators.phenotype_report.page_methods import command_of, methods_text, options_of
from operators.phenotype_report.page_numbers import shown, volume
from operators.phenotype_report.page_summary import examined, sentences, verdict
from operators.phenotype_report.percentiles import percentile, percentiles_of, read_reference
from operators.phenotype_report.viewer import viewer_data
from tests import box_body
from tests.phenotype_report.test_reports import WITHHELD, written


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    return written(tmp_path_factory.mktemp("page"))


@pytest.fixture
def report(files: ReportFiles) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(files.json.read_text(encoding="utf-8"))
    return loaded


def test_header_tells_who_was_examined_unless_that_was_removed() -> None:
    study = replace(
        box_body.study_of(box_body.fused_of(box_body.grid())),
        patient={**box_body.PATIENT, "PatientAge": "063Y", "PatientWeight": "71.6"},
    )
    told = dict(examined(study))
    assert told == {"Examined": "4 Mar 2021", "Sex": "female", "Age": "63 years", "Height": "170 cm", "Weight": "72 kg"}
    removed = examined(deidentify(study, Deidentification(key="k")))
    assert {value for _, value in removed} == {"removed (de-identified)"}
    kept = dict(examined(deidentify(study, Deidentification(key="k", keep_characteristics=True))))
    assert (kept["Examined"], kept["Age"]) == ("removed (de-identified)", "63 years")


def test_light_is_as_bad_as_the_worst_flag_and_names_the_numbers_in_doubt(report: dict[str, Any]) -> None:
    report["quality"]["flags"] = []
    assert verdict(report).light == "green"
    flag = {"code": "signal-void", "severity": "warning", "message": "A void.", "touches": ["tmv_cm3", "tmv_left_cm3"]}
    report["quality"]["flags"] = [flag]
    found = verdict(report)
    assert (found.light, found.touched[0]) == ("amber", "Total muscle volume")
    page = render_html(report)
    assert page.index("In doubt:") < page.index('class="cards"')
    report["quality"]["withheld"] = "No knees."
    assert verdict(report).light == "red"


def test_sentences_and_table_mark_what_a_warning_casts_doubt_on(report: dict[str, Any]) -> None:
    report["quality"]["flags"] = []
    for row in report["structures"]:
        row["in_doubt"] = []
    assert not any("doubt" in sentence for sentence in sentences(report))
    assert 'class="in-doubt"' not in render_html(report)
    flag = {"code": "cut-at-side", "severity": "warning", "message": "Cut.", "touches": ["tmv_cm3"], "z_mm": None}
    report["quality"]["flags"] = [flag | {"structures": ["gluteus_maximus"], "quantities": ["volume"]}]
    next(row for row in report["structures"] if row["name"] == "gluteus_maximus")["in_doubt"] = ["cut-at-side"]
    assert ["doubt" in sentence for sentence in sentences(report)] == [True, False, False, False]
    page = render_html(report)
    marked = [row for row in page.split("<tr>") if "In doubt: cut-at-side" in row]
    assert len(marked) == 1 and "Gluteus maximus" in marked[0]
    assert '<td hidden data-v="cut-at-side">' in marked[0]


def test_the_table_gives_no_total_of_a_compartment_of_which_only_a_part_is_in_view(report: dict[str, Any]) -> None:
    def total(page: str) -> str:
        row = next(row for row in page.split("<tr") if '<th scope="rowgroup">gluteal<' in row)
        return row.split('data-label="Total">')[1].split("<")[0]

    assert total(render_html(report)) not in ("", "—")
    next(row for row in report["structures"] if row["name"] == "piriformis")["cut_by_field_of_view"] = True
    report["phenotypes"]["gluteal_cm3"] = None
    assert total(render_html(report)) == "—"


def test_sentences_name_the_larger_side_and_explain_what_is_missing(report: dict[str, Any]) -> None:
    left, right = (report["phenotypes"][f"thigh_{side}_cm3"] for side in ("left", "right"))
    assert left < right
    amount, balance, symmetry, fat = sentences(report)
    assert f"the right thigh are {100 * (right / left - 1):.0f}% larger" in symmetry
    assert "hamstrings" in balance and "muscles" in amount and "fat" in fat
    report["phenotypes"] |= {"thigh_left_cm3": 100.0, "thigh_right_cm3": 101.0}
    assert "equal volume" in sentences(report)[2]
    report["phenotypes"]["pa_ratio"] = None
    report["quality"]["not_given"]["pa_ratio"] = "Not in the label map: Gracilis."
    assert "Gracilis" in sentences(report)[1]


def test_of_many_structures_that_are_absent_the_page_names_three(report: dict[str, Any]) -> None:
    names = [structure["display_name"] for structure in report["structures"]]
    reason = f"Not in the label map: {', '.join(names)}."
    report["phenotypes"] = dict.fromkeys(report["phenotypes"])
    report["quality"]["not_given"] = dict.fromkeys(report["phenotypes"], reason)
    flag = {"code": "absent", "severity": "warning", "message": f"{reason} Phenotypes that need them are not given."}
    report["quality"]["flags"] = [flag]
    page = render_html(report)
    assert f"{names[0]}, {names[1]}, {names[2]} and {len(names) - 3} more" in page
    assert page.count(", ".join(names)) == 1  # under Quality


@pytest.mark.parametrize(
    ("value", "text"), [(8786.44783, "8\N{NARROW NO-BREAK SPACE}790"), (412.3, "412"), (45.67, "45.7"), (None, "—")]
)
def test_volumes_are_rounded_by_their_uncertainty(value: float | None, text: str) -> None:
    assert volume(value) == shown("tmv_cm3", value) == text


def test_command_makes_the_same_options_again(report: dict[str, Any]) -> None:
    assert command_of(report) == "sarcomap run STUDY -o OUT"
    report["options"]["segmentation"]["mirror"] = True
    report["options"]["fusion"]["spacing_mm"] = 2.0
    assert command_of(report) == "sarcomap run STUDY -o OUT --spacing 2.0 --mirror"
    told = {flag: (value, default) for flag, value, default in options_of(report)}
    assert told["--mirror"] == ("yes", False)
    assert told["--blend"][1]
    assert box_body.MODEL.version in methods_text(report)
    for stage in ("fusion", "segmentation"):
        report["options"][stage]["device"] = "cpu"
    assert command_of(report).count("--device") == 1
    report["options"].setdefault("reading", {})["person"] = True
    assert command_of(report).endswith("# with --sex, --age, --height-cm, --weight-kg as they were given")
    assert not any("--person" in flag for flag, _, _ in options_of(report))
    assert [value for flag, value, _ in options_of(report) if flag == "--device"] == ["cpu"]


def test_methods_text_tells_the_voxels_of_all_stations_and_is_not_given_where_nothing_was_measured(
    report: dict[str, Any],
) -> None:
    report["quality"]["stations"][0]["spacing_mm"] = [2.2, 2.2, 4.5]
    report["quality"]["stations"][1]["spacing_mm"] = [2.2, 2.2, 3.5]
    assert "voxels of 2.20 × 2.20 × 3.50 to 4.50 mm" in methods_text(report)
    assert "methods of a paper" in render_html(report)
    report["quality"]["withheld"] = "No knees."
    assert "methods of a paper" not in render_html(report)


def test_viewer_holds_the_volumes_and_their_labels() -> None:
    fused = box_body.fused_of(box_body.grid(flip_x=True), contrasts=tuple(Contrast))
    labels, _ = box_body.box_labels()
    labels = labels[:, :, ::-1].copy()
    surface = find_mid_surface(Volume(labels, fused.grid))
    data = viewer_data(Volume(labels, fused.grid), fused, surface)
    depth, rows, columns = data["shape"]
    unpacked = np.frombuffer(zlib.decompress(base64.b64decode(data["labels"])), np.uint8).reshape(depth, rows, columns)
    assert {s.index for s in STRUCTURES} == set(np.unique(unpacked)) - {0}
    counts = np.bincount(labels.ravel())[1:]
    assert (np.bincount(unpacked.ravel())[1:] == counts).all() or (counts >= np.bincount(unpacked.ravel())[1:]).all()
    with Image.open(io.BytesIO(base64.b64decode(data["water"][0]))) as sheet:
        assert sheet.mode == "L"
        tile_rows, tile_columns = data["tile"]
        first = np.asarray(sheet)[:rows, :columns].astype(float)
        assert sheet.height % tile_rows == sheet.width % tile_columns == 0
    # The first slice is the highest, and columns run to the patient's left, which the array's x does not.
    expected = fused.water[-1, :, ::-1]
    assert np.corrcoef(first.ravel(), expected[:rows, -columns:].ravel())[0, 1] > 0.9 or columns < expected.shape[1]
    middle = np.array([line[0] for line in data["middle"]])
    assert np.abs(middle - columns / 2).max() < 4


def test_page_without_viewer_is_small_and_withheld_labels_are_not_shown(tmp_path: Path, files: ReportFiles) -> None:
    assert 'id="viewer-data"' in files.html.read_text(encoding="utf-8")
    assert files.html.stat().st_size < 12e6
    flag = QualityFlag("no-pelvis-to-knee-coverage", "error", "Too short.")
    page = written(tmp_path / "withheld", flags=(flag,)).html.read_text(encoding="utf-8")
    assert '"labels":null' in page
    without = written(tmp_path / "without", options=RunOptions(report=ReportOptions(viewer="no"))).html
    assert 'id="viewer-data"' not in without.read_text(encoding="utf-8")


def reference(path: Path, synthetic: int) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["phenotype", "sex", "age", "L", "M", "S", "source", "synthetic"])
        rows.writerow(["tmv_cm3", "F", 63, 1.0, 8000.0, 0.125, "A cohort", synthetic])
    return path


def test_percentiles_come_from_the_reference_for_sex_and_age(tmp_path: Path) -> None:
    rows = read_reference(reference(tmp_path / "r.csv", 0), synthetic_images=False)
    assert percentiles_of({"tmv_cm3": 9281.0}, "F", "063Y", rows) == ({"tmv_cm3": 90}, "A cohort")
    assert percentiles_of({"tmv_cm3": 9281.0}, "M", "063Y", rows)[0] == {}
    assert percentiles_of({"tmv_cm3": 9281.0}, "F", "", rows)[0] == {}
    assert percentile(8000.0, 0.0, 8000.0, 0.1) == 50


def test_percentiles_are_those_of_the_height_where_it_is_known(tmp_path: Path) -> None:
    table = reference(tmp_path / "r.csv", 0)
    header, row = table.read_text(encoding="utf-8").splitlines()
    tall = row.replace("8000.0,0.125", "8000.0,0.1") + ",160.0,2.0"
    table.write_text(f"{header},height_cm,height_exponent\n{row},,\n{tall}\n", encoding="utf-8")
    rows = read_reference(table, synthetic_images=False)
    of_any_height = percentiles_of({"tmv_cm3": 9281.0}, "F", "063Y", rows)
    assert of_any_height == ({"tmv_cm3": 90}, "A cohort")
    found, source = percentiles_of({"tmv_cm3": 8000.0 * 1.1**2}, "F", "063Y", rows, height_m=1.76)
    assert found == {"tmv_cm3": 50} and source == "A cohort, for sex, age and height"
    table.write_text(f"{header},height_cm,height_exponent\n{row},1.6,2.0\n", encoding="utf-8")
    with pytest.raises(InputError, match="not readable"):
        read_reference(table, synthetic_images=False)


def test_published_values_are_in_the_package_with_their_source() -> None:
    options = ReportOptions(reference=Path("published"))
    assert options.reference is not None
    rows = read_reference(options.reference, synthetic_images=False)
    assert {row.phenotype for row in rows if row.phenotype in PHENOTYPES} == {"tmv_cm3", "tvi_cm3_per_cm2", "pa_ratio"}
    assert all("doi 10." in row.source and not row.synthetic for row in rows)
    # One SD above the mean of the women of the published cohort.
    found, source = percentiles_of({"tmv_cm3": 7586.2 + 1076.1}, "F", "063Y", rows)
    assert found == {"tmv_cm3": 84} and "Kim" in source and "Anderson" not in source
    assert percentiles_of({"tmv_cm3": 7586.2}, "F", "040Y", rows)[0] == {}


def test_synthetic_reference_is_refused_for_real_images(tmp_path: Path) -> None:
    table = reference(tmp_path / "r.csv", 1)
    assert read_reference(table, synthetic_images=True)[0].synthetic
    with pytest.raises(InputError, match="synthetic people"):
        read_reference(table, synthetic_images=False)
    (tmp_path / "x.csv").write_text("phenotype,sex\ntmv_cm3,F\n")
    with pytest.raises(InputError, match="no column"):
        read_reference(tmp_path / "x.csv", synthetic_images=True)


def test_changes_and_percentiles_are_spoken_of_only_where_there_are_some(tmp_path: Path, files: ReportFiles) -> None:
    page = ReportOptions(viewer="no", reference=reference(tmp_path / "r.csv", 0), previous=files.json)
    withheld = written(tmp_path / "withheld", flags=(WITHHELD,), options=RunOptions(report=page))
    text = withheld.html.read_text(encoding="utf-8")
    assert "Percentiles:" not in text and "Changes are since" not in text
    page = ReportOptions(viewer="no", previous=withheld.json)
    text = written(tmp_path / "later", options=RunOptions(report=page)).html.read_text(encoding="utf-8")
    assert "have no number in common" in text and "Changes are since" not in text


def test_change_is_judged_by_the_smallest_detectable_change(report: dict[str, Any]) -> None:
    later = json.loads(json.dumps(report))
    later["phenotypes"]["tmv_cm3"] *= 1.02
    later["phenotypes"]["quadriceps_cm3"] *= 0.90
    found = {change.phenotype.key: change for change in changes_between(report, later)}
    assert found["tmv_cm3"].verdict == "within error"
    assert found["quadriceps_cm3"].verdict == "decrease"
    assert found["thigh_dixon_fat_core"].verdict == "not known"
    assert "muscle_fat_fraction" not in found  # deprecated
