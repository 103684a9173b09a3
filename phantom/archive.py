"""Write the files of a study: one folder per series, or one zip like the archive's."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from operators.core.errors import OutputError
from operators.core.output_files import new_folder, replacing
from phantom.dicom_files import DicomFile

__all__ = ["MANIFEST_NAME", "write_folder", "write_zip", "zip_name"]

MANIFEST_NAME = "manifest.csv"
# The archive's own manifest is unreliable. Its header misspells a column and does not count the comma inside the
# unquoted date, so columns cannot be found by name (method, section 2).
_MANIFEST_HEADER = ("filename", "patientid", "studyid", "modality", "date", "series discription")
_FIXED_TIME = (2015, 1, 1, 0, 0, 0)  # so that the same seed gives the same bytes


def zip_name(eid: str) -> str:
    """Field 20201 (Dixon), instance 2 (imaging visit), array index 0."""
    return f"{eid}_20201_2_0.zip"


def write_folder(files: Iterable[DicomFile], folder: Path) -> Path:
    """Write ``folder/<number>_<description>/<nnnn>.dcm``. The folder appears when it is complete.

    Raises
    ------
    OutputError
        If the folder exists already or cannot be written.
    """
    _refuse_existing(folder)
    with new_folder(folder) as partial:
        for file in files:
            series = partial / file.folder
            series.mkdir(parents=True, exist_ok=True)
            (series / file.name).write_bytes(file.contents)
    return folder


def write_zip(files: Iterable[DicomFile], path: Path, *, deflate: bool = True) -> Path:
    """Write the files flat into a zip, named by their UIDs, with a manifest. The zip appears when it is complete.

    Raises
    ------
    OutputError
        If the file exists already or cannot be written.
    """
    _refuse_existing(path)
    rows: list[tuple[str, ...]] = []
    with replacing(path) as partial, zipfile.ZipFile(partial, "w", compresslevel=1) as archive:
        for file in files:
            rows.append(_manifest_row(file))
            _add(archive, rows[-1][0], file.contents, deflate)
        _add(archive, MANIFEST_NAME, _manifest(rows).encode("ascii"), deflate)
    return path


def _manifest_row(file: DicomFile) -> tuple[str, ...]:
    series = file.series
    day, year = series.acquired.strftime("%b %d, %Y").split(",")
    return (f"{file.sop_instance_uid}.dcm", "phantom", series.study_uid, "MR", day, year, series.description)


def _manifest(rows: Iterable[Sequence[str]]) -> str:
    # Plain joins, because the archive does not quote the comma inside the date either.
    return "".join(",".join(row) + "\n" for row in (_MANIFEST_HEADER, *rows))


def _add(archive: zipfile.ZipFile, name: str, contents: bytes, deflate: bool) -> None:
    entry = zipfile.ZipInfo(name, _FIXED_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, contents)


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise OutputError(str(path), "it exists already", "a new name", "Remove it, or choose another --out.")
