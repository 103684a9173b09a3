"""Names and identifiers in whatever character set a file is written, whether it declares that set or another."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from operators.core.volume import Study
from operators.dicom_loader import load_study
from tests.dicom_loader.dicom_maker import write_study

JAPANESE = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
pytestmark = pytest.mark.filterwarnings("ignore:Unknown encoding 'XX")
YAMADA = "Yamada^Tarou=山田^太郎=やまだ^たろう"
CHINESE = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab"


def read(folder: Path, charset: str | None, texts: dict[str, bytes], syntax: UID = ExplicitVRLittleEndian) -> Study:
    """A study with these bytes in its headers, put there after pydicom wrote the files: it would encode them anew."""
    texts = {keyword: text + b" " * (len(text) % 2) for keyword, text in texts.items()}
    standing = {keyword: f"{keyword}..".ljust(len(text), ".")[: len(text)] for keyword, text in texts.items()}
    declared = None if charset is None else charset.encode() + b" " * (len(charset) % 2)
    for file in write_study(folder, stations=1):
        header = dcmread(file)
        header.file_meta.TransferSyntaxUID = syntax
        if declared is not None:
            header.SpecificCharacterSet = "X" * len(declared)
        for keyword, text in standing.items():
            setattr(header, keyword, text)
        header.save_as(file, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
        content = file.read_bytes()
        if declared:
            content = content.replace(b"X" * len(declared), declared, 1)
        for keyword, text in standing.items():
            content = content.replace(text.encode(), texts[keyword])
        file.write_bytes(content)
    return load_study(folder)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=["explicit", "implicit"])
@pytest.mark.parametrize(
    ("charset", "name", "expected"),
    [
        (None, "Müller^Jörg".encode(), "Müller^Jörg"),
        ("ISO_IR 100", "Müller^Jörg".encode(), "Müller^Jörg"),
        ("ISO_IR 100", "Müller^Jörg".encode("latin1"), "Müller^Jörg"),
        ("ISO_IR 144", "Иванов^Иван".encode(), "Иванов^Иван"),
        ("ISO_IR 144", "Иванов^Иван".encode("iso8859_5"), "Иванов^Иван"),
        ("GB18030", "王^小东".encode("gb18030"), "王^小东"),
        ("\\ISO 2022 IR 87", JAPANESE, YAMADA),
        ("ISO 2022 IR 87", JAPANESE, YAMADA),
        (None, JAPANESE, YAMADA),
        ("\\ISO 2022 IR 58", CHINESE, "Zhang^XiaoDong=张^小东"),
        ("\\ISO 2022 IR 149", "홍^길동".encode("euc_kr"), "홍^길동"),
        ("ISO 2022 IR 149", "홍^길동".encode("euc_kr"), "홍^길동"),
        ("ISO_IR 13", "ソ表^能".encode("shift_jis"), "ソ表^能"),
    ],
)
def test_a_name_is_read_as_it_is_written_whatever_is_declared(
    tmp_path: Path, charset: str | None, name: bytes, expected: str, syntax: UID
) -> None:
    study = read(tmp_path, charset, {"PatientName": name, "StudyDescription": b"Pelvis and thigh"}, syntax)
    assert study.patient["PatientName"] == expected
    assert study.patient["StudyDescription"] == "Pelvis and thigh"
    assert study.flags == ()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=["explicit", "implicit"])
@pytest.mark.parametrize(
    ("keyword", "severity"),
    [
        ("PatientName", "warning"),
        ("PatientID", "warning"),
        ("AccessionNumber", "warning"),
        ("StudyDescription", "info"),
    ],
)
@pytest.mark.parametrize("charset", [None, "ISO_IR 6"])
def test_text_of_no_declared_set_that_is_not_utf_8_is_read_as_latin_1_and_said_to_be(
    tmp_path: Path, charset: str | None, keyword: str, severity: str, syntax: UID
) -> None:
    study = read(tmp_path, charset, {keyword: "Hüfte-Ä1".encode("latin1")}, syntax)
    assert study.patient[keyword] == "Hüfte-Ä1"
    (flag,) = study.flags
    assert (flag.code, flag.severity) == ("character-set-assumed", severity)
    assert flag.message.startswith(f"{keyword}: ") and "Latin-1" in flag.message
    assert "fte" not in flag.message  # names the attribute, never its value
    assert flag.quantities == ()


def test_a_name_and_an_identifier_with_characters_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    latin = {"PatientName": "Müller^Jörg", "PatientID": "Nr-Ä4711", "StudyDescription": "Hüfte und Oberschenkel"}
    study = read(tmp_path, "ISO_IR 192", {keyword: text.encode("latin1") for keyword, text in latin.items()})
    assert "PatientName" not in study.patient and "PatientID" not in study.patient
    assert study.patient["StudyDescription"] == "H\ufffdfte und Oberschenkel"
    (flag,) = study.flags
    assert flag.code == "header-value-left-out" and flag.message.startswith("PatientName, PatientID: ")
