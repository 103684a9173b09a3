"""DICOM outputs of the command: stable identifiers, both kinds of segmentation, and no trace of the patient."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import dataclass
from pathlib import Path

import nrrd
import numpy as np
import pydicom
import pytest

from operators.dicom_loader.source import DEFAULT_LIMITS
from operators.dicom_loader.study import load_study
from tests import dciodvfy
from tests.app.made_study import linked_copy, run_app, run_here

#: Unique strings that nothing in our own output contains.
IDENTIFYING = {
    "PatientName": "Qzxfamily^Qzxgiven",
    "PatientID": "QZX-PID-77341",
    "PatientBirthDate": "19431217",
    "PatientSex": "O",
    "PatientAge": "078Y",
    "PatientSize": "1.719327",
    "PatientWeight": "81.627391",
    "OtherPatientIDs": "QZX-OTHER-1",
    "PatientComments": "qzxcomment of the patient",
    "AccessionNumber": "QZXACC9914",
    "StudyID": "QZXSTUDY5",
    "StudyDescription": "qzxstudy description",
    "ReferringPhysicianName": "Qzxreferring^Doctor",
    "OperatorsName": "Qzxoperator^Olga",
    "InstitutionName": "Qzxhospital",
    "StationName": "QZXSTATION",
    "DeviceSerialNumber": "QZXSERIAL88",
    "ProtocolName": "qzxprotocol",
    "ImageComments": "qzximage comment",
    "DeidentificationMethod": "qzxmethod before",
    "StudyDate": "20170829",
    "SeriesDate": "20170830",
    "AcquisitionDate": "20170831",
    "ContentDate": "20170901",
    "StudyTime": "111213.141516",
}
_DATES = ("19431217", "20170829", "20170830", "20170831", "20170901")
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


@dataclass(frozen=True)
class Marked:
    """A study in which every identifying attribute is unique, and all these values."""

    folder: Path
    secrets: frozenset[str]


@pytest.fixture(scope="module")
def marked(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Marked:
    folder = linked_copy(study, tmp_path_factory.mktemp("marked") / "study")
    secrets = set()
    for path in folder.rglob("*.dcm"):
        image = pydicom.dcmread(path)
        description = f"Qzxdescription{image.SeriesNumber}_{image.SeriesDescription}"
        for keyword, value in IDENTIFYING.items():
            setattr(image, keyword, value)
        image.SeriesDescription = description
        secrets |= {str(image[keyword].value) for keyword in _UIDS} | {description}
        path.unlink()  # the file is a hard link to the original
        image.save_as(path)
    # Sex and age are too short to search for in every byte. The tests look in the attributes that could hold them.
    secrets |= {value for keyword, value in IDENTIFYING.items() if keyword not in ("PatientSex", "PatientAge")}
    secrets |= {"Qzxfamily", "Qzxgiven", "Qzxreferring", "Qzxoperator", "Qzxdescription", "111213.14"}
    secrets |= {f"{d[:4]}-{d[4:6]}-{d[6:]}" for d in _DATES}
    return Marked(folder, frozenset(secrets))


def everything_in(path: Path) -> bytes:
    """A file's bytes, and the decompressed bytes in it, without a NRRD's voxels, which are not text."""
    raw = path.read_bytes()
    if path.suffix == ".nrrd":
        return raw.partition(b"\n\n")[0]
    return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw


def found_in(folder: Path, secrets: frozenset[str]) -> list[tuple[str, str]]:
    return [
        (path.relative_to(folder).as_posix(), secret)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for secret in secrets
        if secret.encode() in everything_in(path)
    ]


def run(out: Path, *arguments: object, environment: dict[str, str] | None = None) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        assert run_here("-q", "-o", out, *arguments) == 0
    return out


@pytest.fixture(scope="module")
def plain(marked: Marked, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("plain"), "-i", marked.folder, "-m", bundle)


@pytest.fixture(scope="module")
def nameless(marked: Marked, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("nameless")
    arguments = ("--deidentify", "--seg-type", "labelmap", "--derived", "water", "fat")
    return run(out, "-i", marked.folder, "-m", bundle, *arguments, environment={"SARCOMAP_DEIDENTIFY_KEY": "a secret"})


def objects(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.rglob("*.dcm"))]


def test_no_identifying_value_of_the_source_is_in_any_byte_of_any_output(
    marked: Marked, nameless: Path, plain: Path
) -> None:
    assert found_in(nameless, marked.secrets) == []
    # The same search finds them if de-identification was not requested.
    found = {secret for _, secret in found_in(plain, marked.secrets)}
    assert {"QZX-PID-77341", "QZXACC9914", "19431217", "20170829"} <= found


def test_deidentified_objects_say_so_and_hold_nothing_of_the_person(nameless: Path) -> None:
    report = json.loads((nameless / "report.json").read_text(encoding="utf-8"))
    pseudonym = report["study"]["pseudonym"]
    for made in objects(nameless):
        assert (made.PatientID, str(made.PatientName)) == (pseudonym, f"{pseudonym}^")
        assert made.PatientIdentityRemoved == "YES"
        assert [c.CodeValue for c in made.DeidentificationMethodCodeSequence] == ["113100"]
        assert made.LongitudinalTemporalInformationModified == "REMOVED"
        for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"):
            assert not made.get(keyword), keyword
        for keyword in ("PatientAge", "PatientSize", "PatientWeight", "StudyDescription"):
            assert keyword not in made
        dates = {str(e.value) for e in made.iterall() if e.VR in ("DA", "DT") and e.value}
        assert dates <= {"20000101"}
    assert report["phenotypes"]["tvi_cm3_per_cm2"] is None
    assert report["created_utc"].startswith("2000-01-01")
    assert "date removed" in (nameless / "report.html").read_text(encoding="utf-8")


def test_replaced_uids_still_hold_the_study_together(marked: Marked, nameless: Path) -> None:
    made = objects(nameless)
    assert len({m.StudyInstanceUID for m in made}) == 1
    assert len({m.FrameOfReferenceUID for m in made if "FrameOfReferenceUID" in m}) == 1
    water = [m for m in made if m.get("SeriesDescription") == "SarcoMAP fused water"]
    seg = next(m for m in made if m.Modality == "SEG")
    referenced = {i.ReferencedSOPInstanceUID for i in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert referenced == {m.SOPInstanceUID for m in water}
    # As many sources as the study has water images, each with one new UID.
    sources = {item.ReferencedSOPInstanceUID for m in water for item in m.SourceImageSequence}
    stations = load_study(marked.folder, limits=DEFAULT_LIMITS).stations
    assert len(sources) == sum(len(s.sop_instance_uids) for s in stations if s.contrast == "water")


def test_another_key_gives_other_identifiers_and_the_same_key_the_same(
    marked: Marked, nameless: Path, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("a secret\n", encoding="utf-8")
    arguments = ("--deidentify", "--keep-characteristics", "-i", marked.folder, "-m", bundle)
    same = run(tmp_path / "same", *arguments, "--deidentify-key", tmp_path / "key")
    other = run(tmp_path / "other", *arguments, "--pseudonym", "P-001")
    uids = [next(m for m in objects(o) if m.Modality == "MR").StudyInstanceUID for o in (nameless, same, other)]
    assert uids[0] == uids[1] != uids[2]
    first = objects(other)[0]
    assert (first.PatientID, first.PatientSex, float(first.PatientSize)) == ("P-001", "O", 1.719327)
    assert [c.CodeValue for c in first.DeidentificationMethodCodeSequence] == ["113100", "113108"]
    keeps = frozenset(s for s in marked.secrets if s not in ("1.719327", "81.627391"))
    assert found_in(other, keeps) == []


@pytest.mark.slow
def test_the_same_input_gives_the_same_identifiers_and_volumes(
    marked: Marked, plain: Path, bundle: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    done = run_app("-q", "-o", again, "-i", marked.folder, "-m", bundle)  # a separate process, hence other hashes
    assert done.returncode == 0, done.stderr

    def uids(folder: Path) -> list[list[str]]:
        return [[str(e.value) for e in made.iterall() if e.VR == "UI"] for made in objects(folder)]

    assert uids(plain) == uids(again)
    for path in sorted(plain.rglob("*.nrrd")):
        assert path.read_bytes() == (again / path.relative_to(plain)).read_bytes(), path.name


@pytest.mark.parametrize("deidentified", [False, True], ids=["with-patient", "deidentified"])
def test_dciodvfy_finds_no_error_in_what_a_run_writes(plain: Path, nameless: Path, deidentified: bool) -> None:
    out = nameless if deidentified else plain
    derived = sorted((out / "derived").rglob("*.dcm"))
    for path in (out / "segmentation.dcm", out / "report.sr.dcm", derived[0], derived[len(derived) // 2], derived[-1]):
        assert dciodvfy.errors(path) == [], path.name


def test_label_map_and_derived_series_hold_the_labels_and_the_water(nameless: Path) -> None:
    labels, _ = nrrd.read(str(nameless / "segmentation.seg.nrrd"), index_order="C")
    water, _ = nrrd.read(str(nameless / "fused/water.nrrd"), index_order="C")
    seg = pydicom.dcmread(nameless / "segmentation.dcm")
    assert seg.SegmentationType == "LABELMAP"
    frames = np.atleast_3d(seg.pixel_array.reshape(-1, seg.Rows, seg.Columns))
    by_uid = {}
    for path in sorted((nameless / "derived/water").iterdir()):
        image = pydicom.dcmread(io.BytesIO(path.read_bytes()))
        by_uid[image.SOPInstanceUID] = image
    order = {uid: k for k, uid in enumerate(by_uid)}
    for number, frame in enumerate(seg.PerFrameFunctionalGroupsSequence):
        k = order[frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
        assert np.array_equal(frames[number], labels[k])
    for uid, image in by_uid.items():
        signal = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
        assert np.abs(signal - water[order[uid]]).max() <= float(image.RescaleSlope) / 2 + 1e-3


@pytest.mark.parametrize(
    "arguments", [("--pseudonym", "P1"), ("--deidentify", "--pseudonym", "a^b"), ("--derived", "water", "water")]
)
def test_contradictory_options_are_refused(
    study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert run_here("-i", study, "-o", tmp_path / "out", *arguments) == 2
    assert "error:" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()
