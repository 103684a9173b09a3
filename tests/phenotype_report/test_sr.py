"""Content of the SR, read with highdicom and pydicom as a recipient would."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import highdicom as hd
import pydicom
import pytest
from pydicom.sr.codedict import codes

from operators.core.anatomy import STRUCTURES, by_name
from operators.core.model_card import ModelCard
from operators.core.options import DicomOptions, SegType
from operators.core.volume import Contrast, Volume
from operators.dicom_seg_writer import write_dicom
from operators.phenotype_report import ReportFiles, write_reports
from tests import box_body

TID1500READER = shutil.which("tid1500reader", path=os.pathsep.join((str(Path(sys.executable).parent), os.defpath)))
PHENOTYPE_GROUPS = 3  # both sides, left, right; they come first


def written(folder: Path, seg_type: SegType = "binary", model: ModelCard = box_body.MODEL) -> ReportFiles:
    labels, _ = box_body.box_labels(left_scale=0.8)
    fused = box_body.fused_of(box_body.grid(), contrasts=tuple(Contrast))
    study, volume = box_body.study_of(fused), Volume(labels, fused.grid)
    files = write_dicom(folder, volume, fused, study, model, options=DicomOptions(seg_type=seg_type))
    return write_reports(folder, volume, fused, study, model, files.segmentation)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    return written(tmp_path_factory.mktemp("sr"))


def groups(sr: Path) -> list[pydicom.Dataset]:
    report = pydicom.dcmread(sr)
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    (measured,) = [i for i in report.ContentSequence if name(i) == codes.DCM.ImagingMeasurements.value]
    return list(measured.ContentSequence)


def name(item: pydicom.Dataset) -> str:
    concept = item.ConceptNameCodeSequence[0]
    return str(concept.get("CodeValue") or concept.LongCodeValue)


def meanings(item: pydicom.Dataset) -> list[str]:
    return [str(e.value) for e in item.iterall() if e.keyword == "CodeMeaning"]


def test_highdicom_finds_a_group_for_each_structure_with_its_segment_and_series(files: ReportFiles) -> None:
    sr = hd.sr.srread(box_body.present(files.sr))
    seg = pydicom.dcmread(box_body.present(files.sr).parent / "segmentation.dcm", stop_before_pixels=True)
    content: Any = sr.content  # a TID 1500 object, which has this method
    found = content.get_volumetric_roi_measurement_groups()
    assert len(found) == len(STRUCTURES)
    tracking = {item.SegmentNumber: item.TrackingUID for item in seg.SegmentSequence}
    for structure, group in zip(STRUCTURES, found, strict=True):
        items = {name(item): item for item in group[0].ContentSequence}
        reference = items[codes.DCM.ReferencedSegment.value].ReferencedSOPSequence[0]
        assert reference.ReferencedSOPInstanceUID == seg.SOPInstanceUID
        assert reference.ReferencedSegmentNumber == structure.index
        assert group.tracking_uid == tracking[structure.index]
        assert (group.finding_type.value, group.finding_type.scheme_designator) == (structure.code, structure.scheme)
        named_series = items[codes.DCM.SourceSeriesForSegmentation.value].UID
        assert named_series == seg.ReferencedSeriesSequence[0].SeriesInstanceUID


def test_groups_of_a_structure_that_the_field_of_view_cuts_say_so(files: ReportFiles) -> None:
    said = [group for group in groups(box_body.present(files.sr)) if "Coverage of the structure" in meanings(group)]
    assert len(said) == 3  # both sides, left, right
    for group in said:
        assert "Cut by the field of view: volume is a lower bound" in meanings(group)
        assert by_name("femur").meaning in meanings(group)  # it begins in slice 0; all others end inside


def test_units_are_ucum(files: ReportFiles) -> None:
    units = {
        (str(unit.CodingSchemeDesignator), str(unit.CodeValue))
        for group in groups(box_body.present(files.sr))
        for item in group.ContentSequence
        if item.ValueType == "NUM"
        for unit in item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence
    }
    assert units == {("UCUM", unit) for unit in ("cm3", "cm3/cm2", "%", "{ratio}")}


def laterality(group: pydicom.Dataset) -> str | None:
    """The laterality of a group's finding site; None for both sides together."""
    sites = [i for i in group.ContentSequence if name(i) == codes.SCT.FindingSite.value]
    codes_of = [str(i.ContentSequence[0].ConceptCodeSequence[0].CodeValue) for i in sites if "ContentSequence" in i]
    return codes_of[0] if codes_of else None


def test_every_structure_has_a_group_for_both_sides_left_and_right(files: ReportFiles) -> None:
    sides = [codes.SCT.RightAndLeft.value, codes.SCT.Left.value, codes.SCT.Right.value]
    of_structures = groups(box_body.present(files.sr))[PHENOTYPE_GROUPS:]
    assert [laterality(group) for group in of_structures] == sides * len(STRUCTURES)
    for group in of_structures:
        numbers = [i for i in group.ContentSequence if i.ValueType == "NUM"]
        both = laterality(group) == codes.SCT.RightAndLeft.value
        expected = [codes.SCT.Volume.value] + [codes.DCM.FatFraction.value] * both
        assert [name(i) for i in numbers] == expected
        for number in numbers:
            algorithm = [i.TextValue for i in number.ContentSequence if i.ValueType == "TEXT"]
            assert algorithm == [box_body.MODEL.name, box_body.MODEL.version]


def test_phenotypes_exist_for_both_sides(files: ReportFiles) -> None:
    values: dict[str, list[float]] = {}
    first = groups(box_body.present(files.sr))[:PHENOTYPE_GROUPS]
    assert [laterality(group) for group in first] == [None, codes.SCT.Left.value, codes.SCT.Right.value]
    for item in (item for group in first for item in group.ContentSequence):
        if item.ValueType == "NUM":
            values.setdefault(name(item), []).append(float(item.MeasuredValueSequence[0].NumericValue))
    p = files.measurements.phenotypes
    assert values["tmv_cm3"] == pytest.approx([p.tmv_cm3, p.tmv_left_cm3, p.tmv_right_cm3], rel=0.005)
    assert values["pa_ratio"] == pytest.approx([p.pa_ratio, p.pa_ratio_left, p.pa_ratio_right], abs=5e-4)
    assert p.lr_asymmetry is not None
    assert values["lr_asymmetry"] == pytest.approx([100 * p.lr_asymmetry], abs=0.05)
    assert "muscle_fat_fraction" in values


def test_synthetic_weights_are_declared_if_and_only_if_used(files: ReportFiles, tmp_path: Path) -> None:
    statement = "Synthetic weights, not for clinical use"
    assert statement in meanings(groups(box_body.present(files.sr))[0])
    report = pydicom.dcmread(box_body.present(files.sr))
    assert report.ContentQualification == "RESEARCH"
    assert "synthetic" in report.SeriesDescription
    texts = [str(e.value) for e in report.iterall() if e.keyword == "TextValue"]
    assert any(box_body.MODEL.sha256 in text for text in texts)
    model = dataclasses.replace(box_body.MODEL, synthetic_training=False)
    real = box_body.present(written(tmp_path, model=model).sr)
    assert statement not in meanings(groups(real)[0])
    assert "ContentQualification" not in pydicom.dcmread(real)


def test_with_a_label_map_the_segment_is_identified_by_its_tracking_uid(tmp_path: Path) -> None:
    """A reference may name a segment of Segmentation Storage only."""
    sr = box_body.present(written(tmp_path, "labelmap").sr)
    seg = pydicom.dcmread(tmp_path / "segmentation.dcm", stop_before_pixels=True)
    by_uid = {item.TrackingUID: item.SegmentNumber for item in seg.SegmentSequence if "TrackingUID" in item}
    told = [
        by_uid[item.UID]
        for group in groups(sr)[PHENOTYPE_GROUPS::3]
        for item in group.ContentSequence
        if name(item) == codes.DCM.TrackingUniqueIdentifier.value
    ]
    assert told == [s.index for s in STRUCTURES]
    evidence = {
        i.ReferencedSOPInstanceUID
        for study in pydicom.dcmread(sr).CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for i in series.ReferencedSOPSequence
    }
    assert seg.SOPInstanceUID in evidence


def test_uids_repeat_for_the_same_input(tmp_path: Path) -> None:
    made = [pydicom.dcmread(box_body.present(written(tmp_path / n).sr)) for n in ("one", "two")]
    uids = [[str(e.value) for e in sr.iterall() if e.VR == "UI"] for sr in made]
    assert uids[0] == uids[1]


def test_numbers_have_no_more_digits_than_are_known(files: ReportFiles) -> None:
    for group in groups(box_body.present(files.sr)):
        for item in group.ContentSequence:
            if item.ValueType == "NUM":
                shown = str(item.MeasuredValueSequence[0].NumericValue)
                assert len(shown.replace(".", "").strip("0")) <= 4, shown


@pytest.mark.slow
@pytest.mark.skipif(TID1500READER is None, reason="dcmqi is not installed (development extra)")
def test_dcmqi_reads_the_side_of_every_group(files: ReportFiles, tmp_path: Path) -> None:
    read = tmp_path / "read.json"
    command = [str(TID1500READER), "--inputDICOM", str(box_body.present(files.sr)), "--outputMetadata", str(read)]
    subprocess.run(command, check=True, capture_output=True)
    found = [group.get("Laterality", {}).get("CodeMeaning") for group in json.loads(read.read_text())["Measurements"]]
    assert found[:PHENOTYPE_GROUPS] == [None, "Left", "Right"]
    assert found[PHENOTYPE_GROUPS:][1::3] == ["Left"] * len(STRUCTURES)
    assert found[PHENOTYPE_GROUPS:][2::3] == ["Right"] * len(STRUCTURES)
