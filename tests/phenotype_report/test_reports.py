"""The three forms of the report are valid, self-contained, and do not identify the patient."""

from __future__ import annotations

import copy
import io
import json
import re
from pathlib import Path

import jsonschema
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.sr.codedict import codes

import operators
from operators.core.anatomy import STRUCTURES, by_name
from operators.core.errors import InternalError, OutputError
from operators.core.model_card import ModelCard
from operators.core.options import RunOptions
from operators.core.report_schema import report_schema
from operators.core.volume import Contrast, Grid, QualityFlag, Volume
from operators.dicom_seg_writer import write_dicom
from operators.phenotype_report import (
    ReportFiles,
    find_mid_surface,
    overlay_png,
    render_html,
    validate,
    write_report,
    write_reports,
)
from operators.phenotype_report.html import BANNER
from operators.phenotype_report.remedies import REMEDIES
from tests import box_body
from tests.dciodvfy import errors


def written(
    folder: Path,
    flags: tuple[QualityFlag, ...] = (),
    absent: tuple[str, ...] = (),
    model: ModelCard = box_body.MODEL,
    height_m: float | None = 1.70,
    options: RunOptions | None = None,
) -> ReportFiles:
    grid = box_body.grid()
    labels, _ = box_body.box_labels(left_scale=0.8, absent=absent)
    fused = box_body.fused_of(grid, flags=flags, contrasts=tuple(Contrast))
    study = box_body.study_of(fused, height_m)
    volume = Volume(labels, grid)
    segmentation = write_dicom(folder, volume, fused, study, model).segmentation
    timings = {"load": 1.5, "fuse": 2.5, "segment": 30.0}
    return write_reports(folder, volume, fused, study, model, segmentation, timings, options)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    return written(tmp_path_factory.mktemp("report"))


WITHHELD = QualityFlag("no-pelvis-to-knee-coverage", "error", "The stations cover 160 mm of the body.")


@pytest.fixture(scope="module")
def withheld(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    return written(tmp_path_factory.mktemp("withheld"), flags=(WITHHELD,))


def test_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(report_schema())


def test_json_fits_the_schema_and_says_what_was_measured(files: ReportFiles) -> None:
    report = json.loads(files.json.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(report_schema()).validate(report)
    _, counts = box_body.box_labels(left_scale=0.8)
    assert [s["name"] for s in report["structures"]] == [s.name for s in STRUCTURES]
    for structure in report["structures"]:
        assert structure["left_cm3"] == pytest.approx(counts[structure["name"]][0] * 0.2)
    assert report["phenotypes"]["pa_ratio"] == pytest.approx(files.measurements.phenotypes.pa_ratio, abs=1e-6)
    assert report["model"]["sha256"] == box_body.MODEL.sha256
    assert report["quality"]["withheld"] is None
    assert [len(s["series"]) for s in report["quality"]["stations"]] == [4, 4]
    assert report["timings_s"]["segment"] == 30.0
    assert report["timings_s"]["write"] > 0


def test_missing_values_are_null_and_explained(tmp_path: Path) -> None:
    report = json.loads(written(tmp_path, absent=("gracilis",), height_m=None).json.read_text(encoding="utf-8"))
    gracilis = next(s for s in report["structures"] if s["name"] == "gracilis")
    assert gracilis["volume_cm3"] is None
    nulls = {name for name, value in report["phenotypes"].items() if value is None}
    assert set(report["quality"]["not_given"]) == nulls
    assert {"tmv_cm3", "tvi_cm3_per_cm2", "medial_cm3"} <= nulls
    assert 0 not in [s["volume_cm3"] for s in report["structures"]]


def test_withheld_report_has_no_number_and_says_why(withheld: ReportFiles) -> None:
    report = json.loads(withheld.json.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(report_schema()).validate(report)
    assert set(report["phenotypes"].values()) == {None}
    assert {s["volume_cm3"] for s in report["structures"]} == {None}
    assert report["quality"]["withheld"] == WITHHELD.message
    page = withheld.html.read_text(encoding="utf-8")
    assert "Phenotypes are withheld" in page
    assert WITHHELD.message in page
    assert "What to do:" in page


def test_every_error_of_the_stages_has_a_remedy() -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path(operators.__file__).parent.rglob("*.py")]
    quoted = [
        re.findall(r'QualityFlag\(\s*"([a-z-]+)",\s*"(?:error"|warning" if fixed else "error")', s) for s in sources
    ]
    codes = {code for found in quoted for code in found}
    assert {"station-gap", "water-fat-swap"} <= codes
    assert codes == set(REMEDIES)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("phenotypes", "tmv_cm3"), "9321"),
        (("phenotypes", "lr_asymmetry"), 3.1),  # per cent where a fraction belongs
        (("structures", 0, "volume_cm3"), -1.0),
        (("quality", "flags"), [{"code": "Bad Code", "severity": "info", "message": ""}]),
        (("study", "patient_name"), "somebody"),
    ],
)
def test_a_report_that_breaks_the_schema_is_refused(
    files: ReportFiles, tmp_path: Path, path: tuple[str | int, ...], value: object
) -> None:
    report = copy.deepcopy(json.loads(files.json.read_text(encoding="utf-8")))
    validate(report)
    place = report
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InternalError, match="report.json"):
        write_report(tmp_path / "report.json", report)
    assert list(tmp_path.iterdir()) == []


def test_no_identifying_attribute_comes_into_json_or_html(files: ReportFiles) -> None:
    for path in (files.json, files.html):
        text = path.read_text(encoding="utf-8")
        for keyword in ("PatientName", "PatientID", "PatientBirthDate"):
            assert box_body.PATIENT[keyword] not in text
        assert (path == files.html) == ("4 Mar 2021" in text)  # the page shows when, and the table of reports does not
        assert "Secretname" not in text
        assert "1000123" in text  # the pseudonym, which proves that this is the right study


def test_page_carries_the_banner_only_for_synthetic_training(files: ReportFiles) -> None:
    model = box_body.MODEL  # the banner names the actual model, also for other people's synthetic weights
    assert f"{model.name} {model.version}, {BANNER}" in files.html.read_text(encoding="utf-8")
    report = json.loads(files.json.read_text(encoding="utf-8"))
    report["model"]["synthetic_training"] = False
    assert BANNER not in render_html(report)


def test_page_is_self_contained(files: ReportFiles) -> None:
    page = files.html.read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") >= 2
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:)""", page)
    assert not re.search(r"\b(?:fetch|XMLHttpRequest|WebSocket|sendBeacon)\b|https?://", page)
    assert "@import" not in page
    assert not re.search(r"url\((?!data:)", page)


def test_page_escapes_what_a_file_says_of_itself(files: ReportFiles) -> None:
    report = json.loads(files.json.read_text(encoding="utf-8"))
    report["quality"]["stations"][0]["series"][0]["series_description"] = "<img onerror=alert(1)>"
    assert "<img onerror" not in render_html(report)


def test_a_name_does_not_turn_the_direction_of_the_words_after_it(files: ReportFiles) -> None:
    report = json.loads(files.json.read_text(encoding="utf-8"))
    report["quality"]["stations"][0]["series"][0]["series_description"] = "\u202eDixon"
    assert "Dixon <span" in render_html(report) and "\u202e" not in render_html(report)


def test_sr_is_valid_for_dciodvfy(files: ReportFiles, withheld: ReportFiles) -> None:
    assert errors(box_body.present(files.sr)) == []
    assert errors(box_body.present(withheld.sr)) == []


def code(concept: pydicom.Sequence) -> str:
    """The code of a concept; long codes have a separate attribute (PS3.3 8.1)."""
    return str(concept[0].get("CodeValue") or concept[0].LongCodeValue)


def numbers(item: pydicom.Dataset) -> dict[tuple[str, str, str | None], float]:
    """(structure or concept code, measurement code, laterality code of the group) to value, over a TID 1500 tree."""
    found = {}
    for group in item.ContentSequence:
        if code(group.ConceptNameCodeSequence) != "126010":  # Imaging Measurements
            continue
        for measured in group.ContentSequence:
            named = {code(c.ConceptNameCodeSequence): c for c in measured.ContentSequence if c.ValueType == "CODE"}
            finding = code(named["121071"].ConceptCodeSequence)
            site = named.get("363698007")
            side = code(site.ContentSequence[0].ConceptCodeSequence) if site and "ContentSequence" in site else None
            for content in measured.ContentSequence:
                if content.ValueType == "NUM":
                    value = float(content.MeasuredValueSequence[0].NumericValue)
                    found[finding, code(content.ConceptNameCodeSequence), side] = value
    return found


def test_sr_gives_each_side_of_each_structure_and_the_phenotypes(files: ReportFiles) -> None:
    values = numbers(pydicom.dcmread(box_body.present(files.sr)))
    for m in files.measurements.structures:
        code, volume = m.structure.code, codes.SCT.Volume.value
        assert values[code, volume, codes.SCT.Left.value] == pytest.approx(m.left_cm3, rel=0.005)
        assert values[code, volume, codes.SCT.Right.value] == pytest.approx(m.right_cm3, rel=0.005)
        assert values[code, volume, codes.SCT.RightAndLeft.value] == pytest.approx(m.volume_cm3, rel=0.005)
    muscle, left = codes.SCT.SkeletalMuscle.value, codes.SCT.Left.value
    assert values[muscle, "tmv_cm3", None] == pytest.approx(files.measurements.phenotypes.tmv_cm3, rel=0.005)
    assert values[muscle, "tmv_cm3", left] == pytest.approx(files.measurements.phenotypes.tmv_left_cm3, rel=0.005)
    assert values[muscle, "pa_ratio", None] == pytest.approx(files.measurements.phenotypes.pa_ratio, abs=5e-4)


def test_sr_refers_to_the_segmentation_and_its_source_images(files: ReportFiles) -> None:
    sr = pydicom.dcmread(box_body.present(files.sr))
    segmentation = pydicom.dcmread(box_body.present(files.sr).parent / "segmentation.dcm", stop_before_pixels=True)
    evidence = {
        instance.ReferencedSOPInstanceUID
        for study in sr.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    sources = {item.ReferencedSOPInstanceUID for item in segmentation.SourceImageSequence}
    assert evidence == {segmentation.SOPInstanceUID, *sources}
    assert (sr.StudyInstanceUID, sr.PatientID) == (segmentation.StudyInstanceUID, segmentation.PatientID)


def test_withheld_sr_holds_the_flag_and_no_number(withheld: ReportFiles) -> None:
    sr = pydicom.dcmread(box_body.present(withheld.sr))
    assert numbers(sr) == {}
    assert "no-pelvis-to-knee-coverage" in {element.value for element in sr.iterall() if element.VR == "UC"}


def test_unwritable_folder_is_one_output_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match="taken"):
        written(tmp_path / "taken")


@pytest.mark.parametrize("flip_x", [False, True], ids=["x-left", "x-right"])
@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_pictures_put_the_patients_left_on_the_right(plane: str, flip_x: bool) -> None:
    grid = box_body.grid(flip_x=flip_x)
    labels = np.zeros(grid.shape, np.uint8)
    columns = slice(5, 20) if flip_x else slice(60, 75)  # the patient's left
    femur = by_name("femur")
    labels[40:55, 2:10, columns] = femur.index  # superior and anterior
    index = 45 if plane == "axial" else 5
    water = np.full(grid.shape, 100, np.float32)
    png = overlay_png(water, labels, grid, plane, index, pixel_mm=2.0)  # type: ignore[arg-type]
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    coloured = np.argwhere(picture[..., 0] - picture[..., 2] > 15)
    height, width = picture.shape[:2]
    assert (width, height) == (round(400 / 2), round((120 if plane == "axial" else 480) / 2))
    row, column = coloured.mean(axis=0)
    assert column > width / 2
    assert row < height / 2


def test_mid_line_is_drawn_where_the_sides_meet() -> None:
    grid = box_body.grid()
    labels, _ = box_body.box_labels()
    surface = find_mid_surface(Volume(labels, grid))
    dark = np.zeros(grid.shape, np.float32)
    with_line, without = (
        np.asarray(Image.open(io.BytesIO(overlay_png(dark, None, grid, "coronal", 5, mid_surface=s, pixel_mm=1.0))))
        for s in (surface, None)
    )
    columns = np.argwhere((with_line != without).any(axis=2))[:, 1]
    assert columns.size > 50
    assert np.abs(columns - 200).max() <= 1


def test_a_grid_with_swapped_axes_is_shown_upright() -> None:
    """A coronal acquisition: array z runs posterior, y runs inferior."""
    affine = np.zeros((4, 4))
    affine[0, 0], affine[1, 2], affine[2, 1], affine[3, 3] = 4.0, 6.0, -4.0, 1.0
    grid = Grid((10, 40, 30), affine)
    water = np.zeros(grid.shape, np.float32)
    water[:, :10, 20:] = 100.0  # superior and left
    picture = np.asarray(
        Image.open(io.BytesIO(overlay_png(water, None, grid, "coronal", 5, pixel_mm=4.0))).convert("L")
    )
    assert picture.shape == (40, 30)
    row, column = np.argwhere(picture > 200).mean(axis=0)
    assert row < 20
    assert column > 15
