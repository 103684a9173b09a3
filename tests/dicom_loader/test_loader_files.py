"""How the loader handles the files in a folder."""

from __future__ import annotations

import gzip
import os
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, RLELossless

from operators.core.errors import DicomError, GeometryError, InputError, SarcoMapError
from operators.core.study_key import study_key
from operators.core.volume import Contrast
from operators.dicom_loader import ArchiveLimits, load_study
from tests.dicom_loader.dicom_maker import PATIENT_NAME, ROOT, SLICES, STUDY_UID, series_number, write, write_study


def rejection(path: Path, error: type[SarcoMapError]) -> str:
    with pytest.raises(error) as caught:
        load_study(path)
    message = str(caught.value)
    assert PATIENT_NAME not in message
    assert "Secret" not in message
    assert "ID-4711" not in message
    assert caught.value.exit_code == 3
    return message


@pytest.mark.parametrize(
    "name",
    [
        "manifest.csv", "manifest.cvs", "manifest", "Manifest.CSV.bak", ".DS_Store", "Thumbs.db", "DICOMDIR",
        "notes.txt", "report.pdf", "README", "LICENSE", "series.json", "old.zip", "._12.dcm", "__MACOSX/1.dcm",
        "@eaDir/1", "LOCKFILE", "VERSION", "autorun",
    ],
)  # fmt: skip
def test_companion_files_of_an_export_are_skipped_silently(tmp_path: Path, name: str) -> None:
    write_study(tmp_path, stations=1)
    companion = tmp_path / name
    companion.parent.mkdir(exist_ok=True)
    companion.write_bytes(b"\x00\x05\x16\x07 filename,eid\n")
    study = load_study(tmp_path)
    assert len(study.stations) == 4
    assert study.flags == ()


@pytest.mark.parametrize(
    "opening", [b"MZ\x90\0", b"\x7fELF", b"PK\3\4", b"%PDF-1.4\n", b"\x89PNG\r\n", b"\xff\xd8\xff\xe0"]
)
def test_programs_and_pictures_without_a_suffix_are_skipped_as_discs_with_a_viewer_hold_them(
    tmp_path: Path, opening: bytes
) -> None:
    write_study(tmp_path, stations=1)
    (tmp_path / "VIEWER").write_bytes(opening + bytes(range(256)))
    assert len(load_study(tmp_path).stations) == 4


def test_a_real_dicomdir_is_skipped(tmp_path: Path) -> None:
    write_study(tmp_path, stations=1)
    index = pydicom.Dataset()
    index.file_meta = pydicom.dataset.FileMetaDataset()
    index.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    index.file_meta.MediaStorageSOPClassUID = pydicom.uid.MediaStorageDirectoryStorage
    index.file_meta.MediaStorageSOPInstanceUID = UID(f"{ROOT}.5")
    index.FileSetID = "STUDY"
    index.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
    assert len(load_study(tmp_path).stations) == 4


@pytest.mark.parametrize("name", ["99.dcm", "99.DCM", "99.ima", "99", "1.2.840.99"])
@pytest.mark.parametrize("content", [b"", b"\x00" * 500, bytes(range(1, 200))])
def test_a_file_that_should_be_dicom_but_is_not_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    write_study(tmp_path, stations=1)
    (tmp_path / "station").mkdir()
    (tmp_path / "station" / name).write_bytes(content)
    message = rejection(tmp_path, DicomError)
    assert f"file station/{name}: " in message
    assert ("an empty file" if not content else "not a DICOM file") in message


@pytest.mark.parametrize("end", [133, 140, 300, 600, 900, -150, -126, -60, -2, -1])
def test_a_truncated_image_is_named_wherever_it_ends(tmp_path: Path, end: int) -> None:
    files = write_study(tmp_path, stations=1)
    files[5].write_bytes(files[5].read_bytes()[:end])  # the last 126 bytes are pixels
    assert f"file {files[5].name}: " in rejection(tmp_path, DicomError)


def test_damaged_headers_are_refused_with_our_errors_only(tmp_path: Path) -> None:
    files = write_study(tmp_path, stations=1)
    content = bytearray(files[0].read_bytes())
    # Two bytes at a time, which reaches tags, value representations, lengths and values.
    for offset in range(132, content.index(b"\xe0\x7f\x10\x00"), 29):
        spoiled = bytearray(content)
        spoiled[offset : offset + 2] = b"\xff\xfe"
        files[0].write_bytes(spoiled)
        with suppress(InputError):
            load_study(tmp_path)
    files[0].write_bytes(content)
    assert len(load_study(tmp_path).stations) == 4


def test_pixels_that_do_not_fit_the_header_are_refused(tmp_path: Path) -> None:
    def enlarge(header: Dataset) -> None:
        header.Rows = 65_000

    write_study(tmp_path, stations=1, change=enlarge)
    assert "pixel data" in rejection(tmp_path, DicomError)


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    files = write_study(tmp_path, stations=1)
    (tmp_path / "copy").mkdir()
    content = bytearray(files[3].read_bytes())
    content[-5] ^= 1  # a pixel
    (tmp_path / "copy" / "x.dcm").write_bytes(content)
    message = rejection(tmp_path, DicomError)
    assert "copy/x.dcm" in message
    assert files[3].name in message


def test_an_empty_folder_a_missing_path_and_a_folder_without_dicom(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "empty: no file;" in rejection(empty, InputError)
    assert "nowhere" in rejection(tmp_path / "nowhere", InputError)
    (empty / "table.csv").write_text("eid\n")
    assert "no DICOM file among 1 file;" in rejection(empty, InputError)
    assert "neither a folder nor a zip" in rejection(empty / "table.csv", InputError)


def test_several_studies_are_counted(tmp_path: Path) -> None:
    write_study(tmp_path, stations=1)

    def other(header: Dataset) -> None:
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(header, keyword, f"{header[keyword].value}.2")

    write_study(tmp_path / "second", stations=1, change=other)
    message = rejection(tmp_path, DicomError)
    keys = [study_key(STUDY_UID), study_key(f"{STUDY_UID}.2")]
    assert "2 studies" in message and "--study-uid" in message
    assert all(f"{key} (4 series)" in message for key in keys)
    for chosen in (f"{STUDY_UID}.2", keys[1]):
        study = load_study(tmp_path, study_uid=chosen)
        assert study.study_uid == f"{STUDY_UID}.2"
        assert len(study.stations) == 4
    with pytest.raises(DicomError, match=keys[0]):
        load_study(tmp_path, study_uid="1.2.3")


def test_a_study_uid_for_each_series_of_one_scan_is_one_study(tmp_path: Path) -> None:
    def change(header: pydicom.Dataset) -> None:
        header.StudyInstanceUID = f"{ROOT}.7.{header.SeriesNumber}"

    write_study(tmp_path, change=change)
    study = load_study(tmp_path)
    assert len(study.stations) == 8
    assert [(flag.code, flag.severity) for flag in study.flags] == [("studies-joined", "warning")]
    assert study.study_uid == study.patient["StudyInstanceUID"] == f"{ROOT}.7.2"


def test_a_study_uid_and_a_frame_of_reference_for_each_series_are_several_studies(tmp_path: Path) -> None:
    def change(header: pydicom.Dataset) -> None:
        header.StudyInstanceUID = f"{ROOT}.7.{header.SeriesNumber}"
        header.FrameOfReferenceUID = f"{ROOT}.6.{header.SeriesNumber}"

    write_study(tmp_path, stations=1, change=change)
    assert "Dixon images of 4 studies" in rejection(tmp_path, DicomError)


def test_pipes_and_dangling_links_do_not_stop_the_loader(tmp_path: Path) -> None:
    write_study(tmp_path, stations=1)
    os.mkfifo(tmp_path / "pipe.dcm")
    (tmp_path / ".#lock").symlink_to("an editor's")
    assert load_study(tmp_path).flags == ()
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "nothing")
    (tmp_path / "circle.dcm").symlink_to(tmp_path / "circle.dcm")
    study = load_study(tmp_path)
    assert len(study.stations) == 4
    assert [(flag.code, flag.severity) for flag in study.flags] == [("broken-links", "warning")]
    assert study.flags[0].message.startswith("2 links to files that do not exist")


def test_images_that_are_links_into_a_store_are_read_and_what_was_not_fetched_is_named(tmp_path: Path) -> None:
    """As git-annex keeps files: named by their contents, elsewhere, and absent until they are fetched."""
    files = write_study(tmp_path / "study", stations=1)
    (tmp_path / "annex").mkdir()
    for number, file in enumerate(files):
        file.rename(tmp_path / "annex" / f"SHA256E-s{number}")
        file.symlink_to(f"../annex/SHA256E-s{number}")
    assert load_study(tmp_path / "study").flags == ()
    for stored in (tmp_path / "annex").iterdir():
        stored.unlink()
    with pytest.raises(InputError, match=rf"no file; {len(files)} links to files that do not exist.*Fetch the files"):
        load_study(tmp_path / "study")


@pytest.mark.parametrize("where", ["linked", "below"])
def test_a_folder_of_archives_is_one_also_behind_links_and_in_folders(tmp_path: Path, where: str) -> None:
    folder = tmp_path / "given" / "below"
    folder.mkdir(parents=True)
    for name in ("a.ZIP", "b.zip"):
        (tmp_path / name).write_bytes(b"PK")
        (folder / name).symlink_to(tmp_path / name)
    (tmp_path / "given" / "linked").symlink_to(folder)
    with pytest.raises(InputError, match=r"2 zip archives.*sarcomap cohort run FOLDER -o OUT"):
        load_study(tmp_path / "given" / where)


def test_an_archive_beside_the_images_of_a_study_is_passed_over(tmp_path: Path) -> None:
    write_study(tmp_path, stations=1)
    (tmp_path / "the same, packed.zip").write_bytes(b"PK")
    assert len(load_study(tmp_path).stations) == 4


def test_pseudonym_is_the_eid_of_an_archive_name_else_a_digest(tmp_path: Path) -> None:
    named, plain = tmp_path / "1000123_20201_2_0", tmp_path / "patient 4711"
    write_study(named, stations=1)
    write_study(plain, stations=1)
    assert load_study(named).pseudonym == "1000123"
    assert load_study(plain).pseudonym == sha256(STUDY_UID.encode()).hexdigest()[:12]


@pytest.mark.parametrize(
    ("name", "visit"),
    [("1000123_20201_3_0", "3"), ("1000123_20201_12_1", "12"), ("1000123_20201_x", None), ("patient 4711", None)],
)
def test_visit_is_the_instance_of_an_archive_name(tmp_path: Path, name: str, visit: str | None) -> None:
    write_study(tmp_path / name, stations=1)
    assert load_study(tmp_path / name).visit == visit


@pytest.mark.parametrize(("size", "height"), [("1.63", 1.63), ("163", 1.63), ("0", None), ("", None), (None, None)])
def test_height_is_taken_when_plausible(tmp_path: Path, size: str | None, height: float | None) -> None:
    def resize(header: Dataset) -> None:
        del header.PatientSize
        if size is not None:
            header.PatientSize = size

    write_study(tmp_path, stations=1, change=resize)
    assert load_study(tmp_path).height_m == height


def test_patient_attributes_are_kept_for_derived_objects_and_shown_nowhere(tmp_path: Path) -> None:
    write_study(tmp_path, stations=1)
    study = load_study(tmp_path)
    assert study.patient["PatientName"] == PATIENT_NAME
    assert study.patient["PatientID"] == "ID-4711"
    assert study.patient["StudyInstanceUID"] == study.study_uid == STUDY_UID
    assert study.patient["StudyDate"] == "20260301"
    assert study.patient["ReferringPhysicianName"] == "Doctor^Who"
    assert "AccessionNumber" not in study.patient  # empty in the input
    assert "Secret" not in repr(study)


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ({"SeriesDate": "20260301", "SeriesTime": "235900.5"}, datetime(2026, 3, 1, 23, 59, 0, 500000)),
        ({"SeriesDate": "20260301", "AcquisitionDate": "20260302", "AcquisitionTime": "0001"},
         datetime(2026, 3, 2, 0, 1)),
        ({"SeriesDate": "2026", "SeriesTime": "late", "ContentDate": "20260303", "ContentTime": "10"},
         datetime(2026, 3, 3, 10)),
        ({}, None),
    ],
)  # fmt: skip
def test_acquired_is_the_series_time_or_the_next_best(
    tmp_path: Path, moments: dict[str, str], expected: datetime
) -> None:
    def stamp(header: Dataset) -> None:
        del header.SeriesDate, header.SeriesTime
        with pydicom.config.disable_value_validation():
            for keyword, value in moments.items():
                setattr(header, keyword, value)

    write_study(tmp_path, stations=1, change=stamp)
    assert {station.acquired for station in load_study(tmp_path).stations} == {expected}


def test_progress_rises_to_the_total(tmp_path: Path) -> None:
    files = write_study(tmp_path, stations=1)
    (tmp_path / "manifest.csv").write_text("x")
    seen: list[tuple[int, int]] = []
    load_study(tmp_path, progress=lambda done, total: seen.append((done, total)))
    totals = {total for _, total in seen}
    assert totals == {2 * (len(files) + 1)}
    counts = [done for done, _ in seen]
    assert counts == sorted(counts)
    assert counts[-1] == totals.pop()
    assert len(counts) > len(files)


def test_a_station_without_frame_of_reference_is_flagged(tmp_path: Path) -> None:
    def drop(header: Dataset) -> None:
        if header.SeriesNumber == series_number(Contrast.IN, 0):
            header.FrameOfReferenceUID = ""

    write_study(tmp_path, stations=1, change=drop)
    assert [flag.code for flag in load_study(tmp_path).flags] == ["no-frame-of-reference"]


def test_a_study_whose_headers_state_more_voxels_than_the_limit_is_refused_before_decoding(tmp_path: Path) -> None:
    write_study(tmp_path, stations=1)
    with pytest.raises(DicomError, match="bytes of voxels"):
        load_study(tmp_path, limits=ArchiveLimits(max_total_bytes=4 * 4 * 6 * 7 * 9 - 1))


def test_a_folder_of_archives_says_how_to_process_them(tmp_path: Path) -> None:
    for name in ("1000123_20201_2_0.zip", "1000124_20201_2_0.zip"):
        (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(InputError, match=r"2 zip archives, the first 1000123.*sarcomap cohort run FOLDER -o OUT"):
        load_study(tmp_path)


def test_files_that_are_compressed_one_by_one_are_named(tmp_path: Path) -> None:
    for file in write_study(tmp_path, stations=1):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    with pytest.raises(InputError, match=r"24 compressed, such as .*\.dcm\.gz.*Unpack them first"):
        load_study(tmp_path)


def test_links_are_followed_and_a_circle_of_links_ends(tmp_path: Path) -> None:
    write_study(tmp_path / "archive" / "study", stations=1)
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "study").symlink_to(tmp_path / "archive" / "study")
    (tmp_path / "given" / "again").symlink_to(tmp_path / "archive" / "study")
    (tmp_path / "archive" / "study" / "back").symlink_to(tmp_path / "given")
    (tmp_path / "link").symlink_to(tmp_path / "given")
    plain = load_study(tmp_path / "given")
    linked = load_study(tmp_path / "link")
    assert len(plain.stations) == len(linked.stations) == 4
    assert "image-twice" not in [flag.code for flag in linked.flags]


def test_a_copy_that_is_compressed_otherwise_is_the_same_image(tmp_path: Path) -> None:
    for file in write_study(tmp_path / "plain", stations=1):
        header = pydicom.dcmread(file)
        header.compress(RLELossless, generate_instance_uid=False)
        write(header, tmp_path / f"copy-{file.name}")
    study = load_study(tmp_path)
    assert len(study.stations) == 4
    assert [(flag.code, flag.severity) for flag in study.flags] == [("image-twice", "info")]


def test_images_that_a_series_holds_twice_under_new_uids_are_read_once(tmp_path: Path) -> None:
    for file in write_study(tmp_path / "sent", stations=1):
        header = pydicom.dcmread(file)
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = UID(f"{header.SOPInstanceUID}.7")
        write(header, tmp_path / f"again-{file.name}")
    study = load_study(tmp_path)
    assert len(study.stations) == 4
    (flag,) = study.flags
    assert flag.code == "image-twice" and flag.message.startswith(f"{4 * SLICES} files")


@pytest.mark.parametrize("number", [0, 100])
def test_series_that_were_sent_again_under_new_uids_are_read_once(tmp_path: Path, number: int) -> None:
    for file in write_study(tmp_path / "sent"):
        header = pydicom.dcmread(file)
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = UID(f"{header.SOPInstanceUID}.7")
        header.SeriesInstanceUID = UID(f"{header.SeriesInstanceUID}.7")
        header.SeriesNumber += number
        if header.InstanceNumber != 1 or header.SeriesNumber % 2:  # sending was interrupted for some
            write(header, tmp_path / f"again-{file.name}")
    study = load_study(tmp_path)
    assert [station.series_number for station in study.stations] == list(range(2, 10))
    assert [flag.code for flag in study.flags] == ["image-twice"]


def test_different_images_at_one_place_of_a_series_are_not_taken_for_one(tmp_path: Path) -> None:
    file = write_study(tmp_path, stations=1)[0]
    header = pydicom.dcmread(file)
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = UID(f"{header.SOPInstanceUID}.7")
    header.PixelData = bytes(len(header.PixelData))
    write(header, tmp_path / "other.dcm")
    with pytest.raises(GeometryError, match="two slices share a position"):
        load_study(tmp_path)
