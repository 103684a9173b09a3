"""Servers with endless, inflated or incomplete answers: the damage is limited and reported."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
import requests
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, MRImageStorage

from app.dicomweb import Access, fetch_study, store_files
from app.dicomweb.access import Retry
from app.dicomweb.multipart import parts_into
from app.object_uids import UNREADABLE, Identity, identity
from operators.core.errors import InputError, OutputError
from operators.dicom_loader.source import ArchiveLimits
from tests.pacs.scripted import BOUNDARY, Answer, as_json, multipart, scripted

STUDY, SERIES = "1.2.3", "1.2.3.4"
LISTED = {
    "0020000E": {"vr": "UI", "Value": [SERIES]},
    "00080060": {"vr": "CS", "Value": ["MR"]},
}
FIRST = {
    "00080008": {"vr": "CS", "Value": ["ORIGINAL", "PRIMARY", "DIXON", "WATER"]},
    "00080018": {"vr": "UI", "Value": ["1.2.3.4.1"]},
}


def image(number: int = 1, size: int = 1000, syntax: str = ExplicitVRLittleEndian) -> bytes:
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = UID(syntax)
    item.SOPClassUID = item.file_meta.MediaStorageSOPClassUID = MRImageStorage
    item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = UID(f"{SERIES}.{number}")
    item.StudyInstanceUID, item.SeriesInstanceUID = STUDY, SERIES
    item.add_new("PixelData", "OW", bytes(size))
    stream = io.BytesIO()
    item.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def holding(objects: Answer) -> Callable[[str, dict[str, str]], Answer]:
    """One Dixon series, and the answer when it is fetched."""

    def answer(path: str, query: dict[str, str]) -> Answer:
        if path.endswith("/instances"):
            return as_json(FIRST)
        return as_json(LISTED) if path.endswith("/series") else objects

    return answer


def access(url: str) -> Access:
    return Access(url, retry=Retry(attempts=2, first_wait_s=0.01))


def test_objects_are_kept_byte_for_byte(tmp_path: Path) -> None:
    with scripted(holding(multipart(image(1), image(2)))) as url:
        assert fetch_study(access(url), STUDY, tmp_path) == 2
    assert [file.read_bytes() for file in sorted(tmp_path.rglob("*.dcm"))] == [image(1), image(2)]


def test_an_object_without_multipart_framing_is_accepted(tmp_path: Path) -> None:
    with scripted(holding(Answer([image()], "application/dicom"))) as url:
        assert fetch_study(access(url), STUDY, tmp_path) == 1


def test_an_object_without_an_end_is_stopped_at_the_limit(tmp_path: Path) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield multipart(image()).chunks[0]  # type: ignore[index]
        while sent < 1024**3:
            sent += 65536
            yield bytes(65536)

    limits = ArchiveLimits(max_member_bytes=1_000_000)
    with (
        scripted(holding(Answer(endless()))) as url,
        pytest.raises(InputError, match="1000000 bytes in one"),
    ):
        fetch_study(access(url), STUDY, tmp_path, limits=limits)
    assert sent < 100_000_000  # no more than the sockets' buffers
    assert not list(tmp_path.rglob("*.dcm"))


def test_a_list_without_an_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.dicomweb.access._MAX_LIST_BYTES", 1_000_000)
    endless = Answer(itertools.chain([b"["], itertools.repeat(b"{}," * 10_000, 40_000)), "application/dicom+json")
    with (
        scripted(lambda path, query: endless) as url,
        pytest.raises(InputError, match="an answer of more than 1000000 bytes"),
    ):
        fetch_study(access(url), STUDY, tmp_path)


def test_a_deflated_object_is_refused_without_being_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = image(size=10_000_000, syntax=DeflatedExplicitVRLittleEndian)
    assert len(bomb) < 20_000
    monkeypatch.setattr("pydicom.filereader.zlib", None)
    with scripted(holding(multipart(bomb))) as url, pytest.raises(InputError, match="Deflated"):
        fetch_study(access(url), STUDY, tmp_path)
    assert not list(tmp_path.rglob("*.dcm"))


def test_uids_that_stand_behind_a_long_row_of_sequences_are_not_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good.dcm").write_bytes(image())
    assert identity(tmp_path / "good.dcm") == Identity(STUDY, SERIES, f"{SERIES}.1")
    at = image().index(b"\x20\x00\x0d\x00UI")
    # A sequence of undefined length with empty items: 8 bytes each, a hundred times that when parsed.
    start = struct.pack("<HH2sHI", 0x0010, 0x1002, b"SQ", 0, 0xFFFFFFFF)
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 1_500 + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    (tmp_path / "bad.dcm").write_bytes(image()[:at] + start + items + image()[at:])
    monkeypatch.setattr("app.object_uids._HEADER_BYTES", 10_000)
    with pytest.raises(UNREADABLE):
        identity(tmp_path / "bad.dcm")


class Chunked(requests.Response):
    """An answer with chunks of one size, wherever its delimiters are."""

    def __init__(self, answer: Answer, size: int) -> None:
        super().__init__()
        self.headers["Content-Type"] = answer.kind
        self._body, self._size = b"".join(answer.chunks), size

    def iter_content(self, *_: object, **__: object) -> Iterator[bytes]:
        yield from (self._body[at : at + self._size] for at in range(0, len(self._body), self._size))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 10_000])
def test_parts_are_separated_wherever_chunks_end(tmp_path: Path, size: int) -> None:
    parts = [b"", b"\r\n", b"one\r\n--limi", b"\r\n\r\n--" + BOUNDARY[:-1].encode(), b"--", bytes(range(256))]
    files = list(parts_into(tmp_path, Chunked(multipart(*parts), size), lambda size: None))
    assert [file.read_bytes() for file in files] == parts


@pytest.mark.parametrize("cut", [1, 2, 5, 11, 100])
def test_an_answer_without_its_closing_delimiter_is_refused(tmp_path: Path, cut: int) -> None:
    whole = b"".join(multipart(b"one", b"two" * 50).chunks)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        list(parts_into(tmp_path, Chunked(Answer([whole[:-cut]]), 16), lambda size: None))


def test_objects_missing_from_a_truncated_list_are_queried_one_by_one(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.dcm" for number in range(4)]
    for number, file in enumerate(files):
        file.write_bytes(image(number))
    uids = [str(pydicom.dcmread(file).SOPInstanceUID) for file in files]
    lost = uids[3]

    def answer(path: str, query: dict[str, str]) -> Answer:
        if not path.endswith("/instances"):
            return Answer([b"{}"], "application/dicom+json")
        wanted = query.get("SOPInstanceUID", query.get("00080018", uids[0]))
        return as_json(*({"00080018": {"vr": "UI", "Value": [uid]}} for uid in uids if uid == wanted and uid != lost))

    with scripted(answer) as url, pytest.raises(OutputError, match=r"refused 1 of 4 objects: 3\.dcm"):
        store_files(access(url), files)
