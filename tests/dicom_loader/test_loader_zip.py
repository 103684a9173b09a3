"""Reading a study from a zip, and refusing damaged or malicious zips."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from operators.core.errors import ArchiveError, DicomError, InputError
from operators.dicom_loader import ArchiveLimits, load_study
from operators.dicom_loader.source import open_source
from tests.dicom_loader.dicom_maker import write_study

LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A study named and packed like the archive's: flat, deflated, with a manifest."""
    files = write_study(tmp_path / "files", stations=1)
    path = tmp_path / "1000123_20201_2_0.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for file in files:
            target.write(file, file.name)
        target.writestr("manifest.cvs", "filename,eid\n")
    return path


def add(path: Path, name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "a", method) as target:
        target.writestr(zipfile.ZipInfo(name), content, compress_type=method)


def patch_entries(path: Path, local: tuple[int, str, int], central: tuple[int, str, int] | None = None) -> None:
    """Overwrite one field (offset, struct format, value) of the first entry's headers."""
    content = bytearray(path.read_bytes())
    for signature, field in ((LOCAL, local), (CENTRAL, central or local)):
        start = content.index(signature)
        struct.pack_into(field[1], content, start + field[0], field[2])
    path.write_bytes(content)


def rejection(path: Path, limits: ArchiveLimits | None = None) -> str:
    with pytest.raises(ArchiveError) as caught:
        load_study(path, limits=limits or ArchiveLimits())
    assert path.name in str(caught.value)
    return str(caught.value)


def test_a_zip_gives_the_same_stations_as_its_folder_and_unpacks_nothing(archive: Path, tmp_path: Path) -> None:
    before = {file: os.stat(file).st_mtime_ns for file in tmp_path.rglob("*")}
    zipped, loose = load_study(archive), load_study(tmp_path / "files")
    assert {file: os.stat(file).st_mtime_ns for file in tmp_path.rglob("*")} == before
    assert zipped.pseudonym == "1000123"
    assert len(zipped.stations) == len(loose.stations) == 4
    for one, other in zip(zipped.stations, loose.stations, strict=True):
        assert one.series_uid == other.series_uid
        assert one.sop_instance_uids == other.sop_instance_uids
        np.testing.assert_array_equal(one.voxels, other.voxels)
        assert one.grid.same_as(other.grid)


@pytest.mark.parametrize(
    "name",
    ["../evil.dcm", "a/../../evil.dcm", "/etc/evil.dcm", "..\\evil.dcm", "C:\\evil.dcm", "c:evil.dcm", "\\\\x\\y"],
)
def test_names_that_leave_the_archive_are_refused(archive: Path, name: str) -> None:
    add(archive, name, b"x")
    assert "points outside the archive" in rejection(archive)


def test_dots_that_stay_inside_are_no_reason_to_refuse(archive: Path) -> None:
    add(archive, "a..b/notes..txt", b"x")
    assert len(load_study(archive).stations) == 4


def test_a_bomb_is_refused_before_it_is_inflated(archive: Path) -> None:
    add(archive, "manifest.csv", b"\0" * 40_000_000)
    assert "-fold" in rejection(archive)


def test_members_that_share_their_bytes_do_not_hide_a_bomb(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "overlap.zip"
    content = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = content.compress(b"\0" * 1_000_000) + content.flush()
    # Each member is below the size from which the ratio is checked, and all point to the same local header.
    local = struct.pack("<4s5HIIIHH", LOCAL, 20, 0, 8, 0, 0, zlib.crc32(b"\0" * 1_000_000),
                        len(deflated), 1_000_000, 1, 0) + b"a" + deflated  # fmt: skip
    directory = b"".join(
        struct.pack("<4s6H3I5H2I", CENTRAL, 20, 20, 0, 8, 0, 0, zlib.crc32(b"\0" * 1_000_000),
                    len(deflated), 1_000_000, 4, 0, 0, 0, 0, 0, 0) + b"%04d" % number
        for number in range(500)
    )  # fmt: skip
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 500, 500, len(directory), len(local), 0)
    path.write_bytes(local + directory + end)
    assert zipfile.ZipFile(path).namelist()[-1] == "0499"
    assert "-fold" in rejection(path)


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        (ArchiveLimits(max_members=24), "25 members"),
        (ArchiveLimits(max_member_bytes=500), "inflates to"),
        (ArchiveLimits(max_total_bytes=10_000), "inflates to"),
    ],
)
def test_each_limit_holds(archive: Path, limits: ArchiveLimits, found: str) -> None:
    assert found in rejection(archive, limits)


def test_a_zip_beyond_the_limits_can_be_given_unpacked_as_its_message_says(archive: Path, tmp_path: Path) -> None:
    limits = ArchiveLimits(max_members=24)
    assert "unpack it and give the folder" in rejection(archive, limits)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "unpacked")
    assert len(load_study(tmp_path / "unpacked", limits=limits).stations) == 4


@pytest.mark.parametrize("stated", [10, 400, 100_000])
def test_a_directory_that_lies_about_a_size_is_found_out(archive: Path, stated: int) -> None:
    patch_entries(archive, (22, "<I", stated), (24, "<I", stated))
    assert "member 98.2.dcm" in rejection(archive)


def test_a_flipped_bit_is_found_out(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0x10
    archive.write_bytes(content)
    assert "damaged" in rejection(archive)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_zip_is_refused(archive: Path, share: float) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    assert "damaged zip archive" in rejection(archive)


def test_an_encrypted_zip_is_refused(archive: Path) -> None:
    patch_entries(archive, (6, "<H", 1), (8, "<H", 1))
    assert "encrypted" in rejection(archive)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_methods_are_refused(archive: Path, method: int) -> None:
    add(archive, "more.txt", b"x" * 100, method)
    assert "compression method" in rejection(archive)


def test_one_name_twice_is_refused(archive: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        add(archive, "98.2.dcm", b"x")
    assert "two members named 98.2.dcm" in rejection(archive)


def test_zips_inside_are_not_opened(archive: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer.zip"
    with zipfile.ZipFile(outer, "w") as target:
        target.write(archive, archive.name)
    with pytest.raises(InputError, match=r"no DICOM file among 1 file.*Archives inside it are not opened"):
        load_study(outer)


def test_a_broken_image_inside_is_named(archive: Path) -> None:
    add(archive, "12.dcm", b"")
    with pytest.raises(DicomError, match=r"1000123_20201_2_0.zip, file 12.dcm: an empty file"):
        load_study(archive)


def test_an_empty_zip_holds_no_study(tmp_path: Path) -> None:
    path = tmp_path / "empty.zip"
    zipfile.ZipFile(path, "w").close()
    with pytest.raises(InputError, match="no file"):
        load_study(path)


def test_a_member_is_inflated_once_for_its_header_and_its_pixels_and_then_forgotten(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inflated: list[str] = []
    real = zipfile.ZipFile.open

    def counted(self: zipfile.ZipFile, info: zipfile.ZipInfo) -> object:
        inflated.append(info.filename)
        return real(self, info)

    monkeypatch.setattr(zipfile.ZipFile, "open", counted)
    load_study(archive)
    assert len(inflated) == len(set(inflated)) > 20
    with open_source(archive, ArchiveLimits()) as source:
        inflated.clear()
        first, second, *_ = source.members()
        contents = [source.open(member).read() for member in (first, first, first, second)]
        assert contents[0] == contents[1] == contents[2] != contents[3] and inflated == [first, first, second]
        monkeypatch.setattr(source, "_room", 10)  # no room to keep another
        assert source.open(second).read() == source.open(second).read() == contents[3]
        assert inflated == [first, first, second, second]


def test_images_are_decoded_by_as_many_threads_as_the_process_may_use(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []

    class Counted(ThreadPoolExecutor):
        def __init__(self, workers: int, thread_name_prefix: str = "") -> None:
            used.append(workers)
            super().__init__(workers, thread_name_prefix)

    monkeypatch.setattr("operators.dicom_loader.pixels.ThreadPoolExecutor", Counted)
    for count, expected in (("1", 1), ("2", 2), ("64", 4)):
        monkeypatch.setenv("OMP_NUM_THREADS", count)
        load_study(archive)
        assert set(used) == {expected}
        used.clear()
