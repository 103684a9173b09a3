"""``sarcomap measure``: a finished study measured again, without its source."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from operators.core.anatomy import by_index, by_name
from operators.core.errors import InputError, InternalError
from operators.core.label_map import LABELLING_FLAGS, LabelMap
from operators.core.nrrd_files import read_segmentation, read_volume, write_segmentation
from operators.core.options import DeidentificationOptions, DicomOptions, LabelOptions, RunOptions, SegmentationOptions
from operators.core.volume import Contrast, Grid, QualityFlag, Volume
from operators.phenotype_report.measurements import MEASURING_FLAGS
from operators.pipeline import fuse_study, process_study
from operators.remeasure import REWRITTEN, measure_study
from sarcomap.__main__ import main
from tests import dciodvfy
from tests.app.made_study import NAME, PATIENT, ROOT, Scanned, contents

_OF_THE_RUN = ("created_utc", "timings_s", "software")


@pytest.fixture(scope="module")
def plain(study: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run. Tests change only copies of it."""
    out = tmp_path_factory.mktemp("plain") / "out"
    options = RunOptions(device="cpu", segmentation=SegmentationOptions(confidence=True))
    process_study(study, out, options, model=bundle)
    return out


@pytest.fixture
def out(plain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "out"))


def report_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


def lasting(report: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key not in _OF_THE_RUN}


def lasting_elements(path: Path) -> str:
    """A DICOM object without its creation times."""
    made = pydicom.dcmread(path)

    def forget(parent: pydicom.Dataset, element: pydicom.DataElement) -> None:
        if element.VR in ("DA", "TM", "DT"):
            del parent[element.tag]

    made.walk(forget)
    return str(made)


def largest(folder: Path) -> str:
    given = [s for s in report_of(folder)["structures"] if s["volume_cm3"] and s["tissue"] == "muscle"]
    return str(max(given, key=lambda s: s["volume_cm3"])["name"])


def without_part_of(folder: Path, name: str) -> Volume:
    """The run's labels without every third slice of a structure."""
    labels = read_segmentation(folder / "segmentation.seg.nrrd")
    voxels = labels.voxels.copy()
    part = voxels[::3]
    part[part == by_name(name).index] = 0
    return Volume(voxels, labels.grid)


def as_slicer_saves(
    path: Path, labels: Volume, *, layers: bool = False, space: str = "left-posterior-superior"
) -> None:
    """Crop to the segments and number them in reverse order; on request in two layers."""
    here = np.argwhere(labels.voxels)
    low, high = here.min(axis=0), here.max(axis=0) + 1
    box = labels.voxels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    indices = sorted({int(v) for v in np.unique(box)} - {0}, reverse=True)
    stack: list[NDArray[np.uint8]] = [np.zeros(box.shape, np.uint8) for _ in range(2 if layers else 1)]
    affine = labels.grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low[::-1]
    if space.startswith("right"):
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    directions = affine[:3, :3].T
    header: dict[str, Any] = {
        "space": space,
        "kinds": (["list"] if layers else []) + ["domain"] * 3,
        "space directions": np.vstack([np.full(3, np.nan), directions]) if layers else directions,
        "space origin": affine[:3, 3],
        "encoding": "gzip",
        "Segmentation_ReferenceImageExtentOffset": " ".join(str(n) for n in low[::-1]),
    }
    for number, index in enumerate(indices):
        layer = number % len(stack)
        stack[layer][box == index] = number + 1
        header |= {
            f"Segment{number}_ID": f"Segment_{number + 1}",
            f"Segment{number}_Name": by_index(index).display_name,
            f"Segment{number}_LabelValue": str(number + 1),
            f"Segment{number}_Layer": str(layer),
        }
    voxels = np.stack(stack, axis=-1) if layers else stack[0]  # C order reverses the file's axes
    nrrd.write(str(path), voxels, header, index_order="C")


def test_an_unedited_run_measured_again_gives_the_same_result(plain: Path, out: Path) -> None:
    result = measure_study(out)
    assert lasting(dict(result.report)) == lasting(report_of(plain)) == lasting(report_of(out))
    for name in ("segmentation.dcm", "report.sr.dcm"):
        assert lasting_elements(out / name) == lasting_elements(plain / name)
        assert dciodvfy.errors(out / name) == []
    before, after = contents(plain), contents(out)
    assert before is not None and after is not None and before.keys() == after.keys()
    kept = set(before) - set(REWRITTEN) | {"segmentation.seg.nrrd"}
    assert {name for name in kept if before[name] != after[name]} == set()
    assert "confidence_mean" in result.report["structures"][0] or not result.report["structures"][0]["volume_cm3"]


@pytest.mark.parametrize("form", ["cropped", "layers", "ras"])
def test_edited_labels_change_the_structure_that_was_edited_and_say_so(plain: Path, out: Path, form: str) -> None:
    name = largest(plain)
    edited = without_part_of(plain, name)
    space = "right-anterior-superior" if form == "ras" else "left-posterior-superior"
    as_slicer_saves(out / "segmentation.seg.nrrd", edited, layers=form == "layers", space=space)
    assert main(["measure", str(out), "-q"]) == 0

    before, after = report_of(plain), report_of(out)
    changed = {
        b["name"]
        for b, a in zip(before["structures"], after["structures"], strict=True)
        if b["volume_cm3"] != a["volume_cm3"]
    }
    assert changed == {name}
    voxel_cm3 = edited.grid.voxel_volume_mm3 / 1000
    measured = next(s for s in after["structures"] if s["name"] == name)
    assert measured["volume_cm3"] == pytest.approx((edited.voxels == by_name(name).index).sum() * voxel_cm3, abs=1e-5)
    assert np.array_equal(read_segmentation(out / "segmentation.seg.nrrd").voxels, edited.voxels)

    assert after["model"] == {**before["model"], "made": "semiautomatic"}
    assert "labels-edited" in [flag["code"] for flag in after["quality"]["flags"]]
    assert not {"partial-labels", "labels-made-elsewhere"} & {flag["code"] for flag in after["quality"]["flags"]}
    assert after["quality"]["stations"] == before["quality"]["stations"]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "labels edited by hand" in page.lower() and "not for clinical use" in page
    seg, sr = (pydicom.dcmread(out / name) for name in ("segmentation.dcm", "report.sr.dcm"))
    assert {segment.SegmentAlgorithmType for segment in seg.SegmentSequence} == {"SEMIAUTOMATIC"}
    assert "edited by hand" in seg.SeriesDescription and "edited by hand" in sr.SeriesDescription
    for name in ("segmentation.dcm", "report.sr.dcm"):
        assert dciodvfy.errors(out / name) == []
        assert pydicom.dcmread(out / name).SOPInstanceUID != pydicom.dcmread(plain / name).SOPInstanceUID
    assert not (out / "segmentation_confidence.nrrd").exists()  # it belonged to the network's labels

    measure_study(out)  # no further edit: nothing more to declare
    assert lasting(report_of(out)) == lasting(after)


def test_muscles_that_an_edit_gave_each_others_names_are_flagged_until_they_are_put_right(
    scanned: Scanned, out: Path
) -> None:
    grid = read_volume(out / "fused" / "body.nrrd").grid
    labels = scanned.truth.labels_on(grid)
    numbers = np.arange(256, dtype=np.uint8)
    pair = [by_name("semimembranosus").index, by_name("semitendinosus").index]
    numbers[pair] = pair[::-1]
    for given, expected in ((numbers[labels], 1), (labels, 0)):
        as_slicer_saves(out / "segmentation.seg.nrrd", Volume(given, grid))
        codes = [flag["code"] for flag in measure_study(out).flags]
        assert codes.count("implausible-anatomy") == expected and codes.count("labels-edited") == 1


def test_a_file_that_slicer_only_saved_again_is_not_edited(plain: Path, out: Path) -> None:
    as_slicer_saves(out / "segmentation.seg.nrrd", read_segmentation(plain / "segmentation.seg.nrrd"))
    measure_study(out)
    assert lasting(report_of(out)) == lasting(report_of(plain))
    assert (out / "segmentation.seg.nrrd").read_bytes() == (plain / "segmentation.seg.nrrd").read_bytes()


@pytest.mark.parametrize("scheme", [(), ("--scheme", "ours")])
def test_an_edited_copy_elsewhere_keeps_what_the_weights_have_seen(
    plain: Path, out: Path, tmp_path: Path, scheme: tuple[str, ...]
) -> None:
    as_slicer_saves(tmp_path / "edited.seg.nrrd", without_part_of(plain, largest(plain)))
    assert main(["measure", str(out), "-q", "--segmentation", str(tmp_path / "edited.seg.nrrd"), *scheme]) == 0
    model = report_of(out)["model"]
    assert model["synthetic_training"] and model["made"] == "semiautomatic" and not model["made_elsewhere"]


def write_thighs(folder: Path, path: Path) -> None:
    """The lower third of the body but for its lowest slices, with TotalSegmentator's numbers of thigh muscles."""
    body = read_volume(folder / "fused" / "body.nrrd")
    inside = body.voxels != 0
    z, y, x = np.indices(inside.shape)
    low = inside & (z >= 5) & (z < inside.shape[0] // 3)  # what reaches the end would be cut there
    left = ((body.grid.affine[0, 0] * x + body.grid.affine[0, 3]) > 0).astype(int)  # LPS
    labels = np.where(low, np.where(y < np.median(y[low]), 2 - left, 6 - left), 0).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(labels.T, np.diag([-1.0, -1.0, 1.0, 1.0]) @ body.grid.affine), path)


def test_labels_of_another_tool_replace_the_networks(plain: Path, out: Path, tmp_path: Path) -> None:
    write_thighs(plain, tmp_path / "thighs.nii.gz")
    arguments = ("--segmentation", str(tmp_path / "thighs.nii.gz"), "--scheme", "totalsegmentator_thigh")
    assert main(["measure", str(out), "-q", *arguments]) == 0
    before, after = report_of(plain), report_of(out)
    assert after["model"]["made_elsewhere"] and not after["model"]["synthetic_training"]
    assert after["phenotypes"]["pa_ratio"] > 0 and after["phenotypes"]["tmv_cm3"] is None
    given = {"segmentation": ["thighs.nii.gz"], "scheme": ["totalsegmentator_thigh"]}
    assert given.items() <= after["options"]["labels"].items()
    assert {**after["options"], "labels": None} == {**before["options"], "labels": None}
    assert after["segmentation"]["engine"] is None
    codes = {flag["code"] for flag in after["quality"]["flags"]}
    assert {"labels-made-elsewhere", "merged-structures"} <= codes and "segmentation-backend" not in codes
    assert "Labels made elsewhere" in (out / "report.html").read_text(encoding="utf-8")
    assert dciodvfy.errors(out / "segmentation.dcm") == dciodvfy.errors(out / "report.sr.dcm") == []
    # Quadriceps and hamstrings are labelled as groups; our own file cannot hold those.
    with pytest.raises(InputError, match="labelled only together"):
        measure_study(out)


def test_run_and_measure_give_the_same_result_for_the_same_labels(
    study: Path, plain: Path, out: Path, tmp_path: Path
) -> None:
    write_thighs(plain, tmp_path / "thighs.nii.gz")
    labels = LabelOptions((tmp_path / "thighs.nii.gz",), ("totalsegmentator_thigh",))
    whole = process_study(study, tmp_path / "run", RunOptions(device="cpu", labels=labels))
    again = measure_study(out, labels)
    for key in ("structures", "phenotypes", "quality", "model", "study"):
        assert again.report[key] == whole.report[key]
    names = ("segmentation.dcm", "report.sr.dcm")
    assert [pydicom.dcmread(out / n).SOPInstanceUID for n in names] == [
        pydicom.dcmread(tmp_path / "run" / n).SOPInstanceUID for n in names
    ]


def test_a_deidentified_study_stays_so(study: Path, bundle: Path, tmp_path: Path) -> None:
    options = RunOptions(
        device="cpu",
        deidentification=DeidentificationOptions(deidentify=True, pseudonym="P-001", keep_characteristics=True),
        dicom=DicomOptions("labelmap", "auto", (Contrast.FAT, Contrast.WATER)),
    )
    out = tmp_path / "out"
    before = process_study(study, out, options, model=bundle).report
    before_dicom = {name: lasting_elements(out / name) for name in ("segmentation.dcm", "report.sr.dcm")}
    assert lasting(dict(measure_study(out).report)) == lasting(dict(before))
    assert {name: lasting_elements(out / name) for name in before_dicom} == before_dicom

    as_slicer_saves(out / "segmentation.seg.nrrd", without_part_of(out, largest(out)))
    after = measure_study(out).report
    assert after["created_utc"].startswith("2000-01-01") and after["study"]["pseudonym"] == "P-001"
    source = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(study.rglob("*.dcm"))]
    secrets = {str(image[keyword].value) for image in source for keyword in ("SOPInstanceUID", "SeriesInstanceUID")}
    secrets |= {str(source[0].StudyInstanceUID), str(source[0].FrameOfReferenceUID), NAME, PATIENT.eid}
    for name in REWRITTEN:
        raw = (out / name).read_bytes()
        raw = raw.partition(b"\n\n")[0] if name.endswith(".nrrd") else raw
        assert [secret for secret in secrets if secret.encode() in raw] == [], name
    for name in ("segmentation.dcm", "report.sr.dcm"):
        made = pydicom.dcmread(out / name)
        assert (made.PatientID, made.PatientIdentityRemoved) == ("P-001", "YES")
        assert [code.CodeValue for code in made.DeidentificationMethodCodeSequence] == ["113100", "113108"]
        assert {str(e.value) for e in made.iterall() if e.VR in ("DA", "DT") and e.value} <= {"20000101"}
        assert dciodvfy.errors(out / name) == []


def test_errors_found_by_fusion_still_withhold_everything(scanned: Scanned, bundle: Path, tmp_path: Path) -> None:
    source = scanned.write_folder(tmp_path / "dicom", ["missing-station"])
    out = tmp_path / "out"
    before = process_study(source, out, RunOptions(device="cpu"), model=bundle).report
    assert before["quality"]["withheld"]
    assert lasting(dict(measure_study(out).report)) == lasting(dict(before))
    write_segmentation(out / "segmentation.seg.nrrd", painted(out))
    after = measure_study(out).report
    assert after["quality"]["withheld"] == before["quality"]["withheld"]
    assert set(after["phenotypes"].values()) == {None}


def painted(folder: Path) -> Volume:
    body = read_volume(folder / "fused" / "body.nrrd")
    return Volume((body.voxels != 0).astype(np.uint8), body.grid)


def spoil(out: Path, how: str) -> tuple[str, ...]:
    """Make a folder impossible to measure; returns the words that the message must contain."""
    if how == "no folder":
        shutil.rmtree(out)
        return ("no such folder",)
    if how == "no report":
        (out / "report.json").unlink()
        shutil.rmtree(out / "fused")
        return ("report.json",)
    if how == "fused only":
        for name in REWRITTEN:
            (out / name).unlink()
        shutil.rmtree(out / "derived")
        return ("fused volumes only", "--fuse-only")
    if how == "missing files":
        (out / "fused" / "body.nrrd").unlink()
        (out / "segmentation.seg.nrrd").unlink()
        return ("fused/body.nrrd", "segmentation.seg.nrrd")
    if how == "missing image":
        (out / "derived" / "water" / "0007.dcm").unlink()
        return ("derived/water/0007.dcm",)
    if how == "other version":
        report = report_of(out) | {"schema_version": "0.9.0"}
        (out / "report.json").write_text(json.dumps(report), encoding="utf-8")
        return ("report.json", "0.9.0")
    if how == "broken report":
        (out / "report.json").write_text("{", encoding="utf-8")
        return ("report.json",)
    if how == "other study":
        report = report_of(out)
        report["study"]["study_uid"] = "1.2.3"
        (out / "report.json").write_text(json.dumps(report), encoding="utf-8")
        return ("another study",)
    labels = read_segmentation(out / "segmentation.seg.nrrd")
    affine = labels.grid.affine.copy()
    if how == "other spacing":
        affine[0, :3] *= 1.5
        what = ("segmentation.seg.nrrd", "fused grid")
    else:
        affine[:3, 3] += 100 * affine[:3, 2]
        what = ("segmentation.seg.nrrd", "outside")
    write_segmentation(out / "segmentation.seg.nrrd", Volume(labels.voxels, Grid(labels.grid.shape, affine)))
    return what


@pytest.mark.parametrize(
    "how",
    [
        "no folder",
        "no report",
        "fused only",
        "missing files",
        "missing image",
        "other version",
        "broken report",
        "other study",
        "other spacing",
        "other place",
    ],
)
def test_what_cannot_be_measured_is_named_and_left_unchanged(
    out: Path, capfd: pytest.CaptureFixture[str], how: str
) -> None:
    named = spoil(out, how)
    before = contents(out)
    assert main(["measure", str(out)]) == 3
    said = capfd.readouterr().err
    assert all(word in said for word in named), said
    assert contents(out) == before


def test_a_failure_while_writing_leaves_the_folder_byte_for_byte(plain: Path, out: Path, tmp_path: Path) -> None:
    as_slicer_saves(tmp_path / "edited.seg.nrrd", without_part_of(plain, largest(plain)))
    header = pydicom.dcmread(out / "derived" / "water" / "0001.dcm")
    del header.Rows, header.PixelData  # making the segmentation fails, after the label map was written
    header.save_as(out / "derived" / "water" / "0001.dcm")
    before = contents(out)
    with pytest.raises(Exception, match="Rows"):
        measure_study(out, tmp_path / "edited.seg.nrrd")
    assert contents(out) == before


def test_a_fused_only_folder_is_told_what_to_do(study: Path, tmp_path: Path) -> None:
    fuse_study(study, tmp_path / "out", RunOptions(device="cpu"))
    with pytest.raises(InputError, match="without --fuse-only"):
        measure_study(tmp_path / "out")


def test_labels_and_schemes_must_go_together(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (("--scheme", "musclemap"), ("--segmentation", str(out / "nowhere.nii.gz"))):
        assert main(["measure", str(out), *arguments]) == 2
        assert "--segmentation" in capfd.readouterr().err


def test_flags_of_loading_and_fusion_are_told_from_those_of_labels_and_measuring() -> None:
    raised = set()
    for room in ("dicom_loader", "station_fusion"):
        for path in (ROOT / "operators" / room).glob("*.py"):
            calls = (
                node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
            )
            made = [call for call in calls if getattr(call.func, "id", "") == "QualityFlag"]
            raised |= {text.value for call in made for text in ast.walk(call.args[0]) if isinstance(text, ast.Constant)}
    assert {"missing-slice", "no-knee-coverage", "water-fat-swap"} <= raised
    assert not raised & (LABELLING_FLAGS | MEASURING_FLAGS)


def test_a_flag_of_labels_that_is_not_declared_is_a_defect() -> None:
    flag = QualityFlag("new-flag", "info", "New.")
    with pytest.raises(InternalError, match="new-flag"):
        LabelMap(np.zeros((2, 2, 2), np.uint8), Grid((2, 2, 2), np.eye(4)), flags=(flag,))
