"""A manifest: a table of the studies to process."""

from __future__ import annotations

import csv
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path

from app.cohort.records import InputIdentity
from app.cohort.studies import StudyInput, identity_of, is_url, named_study
from operators.core.errors import InputError

__all__ = ["read_manifest"]

_COLUMNS = ("path", "eid", "visit", "key")
_PLACE = ":place"  # no column has this name
_DELIMITERS = (",", ";", "\t")
# They become names of folders. `<eid>_<visit>` is taken apart again at its last underscore.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,126}")


def read_manifest(file: Path) -> Iterator[StudyInput]:
    """The studies that a manifest lists.

    Parameters
    ----------
    file : Path
        ``.csv``, ``.tsv`` or ``.parquet`` with the columns ``path`` and, if known, ``eid``, ``visit``
        and ``key`` (the name of the results' folder for a study without an eid).
        A relative path starts at the manifest's folder. A text may be UTF-8 or
        UTF-16, and its cells separated by commas, semicolons or tabs.

    Raises
    ------
    InputError
        If the table cannot be read, a study is listed twice, or a value cannot name a folder.
    """
    rows = _rows(file)
    remote: Mapping[str, InputIdentity | None] = {}
    if urls := [row["path"] for row in rows if is_url(row["path"])]:
        from app.cohort.remote import remote_identities

        remote = remote_identities(urls)
    studies = [_study(row, file, remote) for row in rows]
    for what, values in (("path", [one.path for one in studies]), ("study", [one.study for one in studies])):
        twice = [value for value, times in Counter(values).items() if times > 1]
        if twice:
            places = [row[_PLACE] for row, value in zip(rows, values, strict=True) if value == twice[0]]
            raise InputError(
                file.name,
                f"the same {what} more than once, {len(twice)} times; the first in {' and '.join(places[:4])}",
                "each study once",
                "Remove the duplicated rows" + (", or give each its visit or a key." if what == "study" else "."),
            )
    yield from studies


def _study(row: Mapping[str, str], file: Path, remote: Mapping[str, InputIdentity | None]) -> StudyInput:
    where = f"{file.name}, {row[_PLACE]}"
    if not row["path"]:
        raise InputError(where, "no path", "a zip, a folder or a URL", "Fill it in, or remove the row.")
    for column, pattern in (("eid", _NAME), ("visit", _NAME), ("key", _KEY)):
        if row[column] and not pattern.fullmatch(row[column]):
            raise InputError(
                f"{where}, column {column}",
                "a value that cannot be part of a folder's name",
                "letters, digits, dots and dashes" + (" and underscores" if column == "key" else ""),
                "Correct it.",
            )
    if row["visit"] and not (row["eid"] or row["key"]):
        raise InputError(where, "a visit without an eid", "both", "Add the eid, or remove the visit.")
    path = row["path"]
    if is_url(path):
        identity = remote[path]
    else:
        path = str((file.absolute().parent / path).absolute())
        identity = identity_of(Path(path))
    return named_study(path, identity, row["eid"] or None, row["visit"] or None, row["key"] or None)


def _rows(file: Path) -> list[dict[str, str]]:
    """The known columns of each row, and where the row is."""
    try:
        raw = _parquet(file) if file.suffix.lower() == ".parquet" else _text_table(file)
    except FileNotFoundError:
        raise InputError(str(file), "no such file", "a manifest", "Check the path.") from None
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            file.name, f"not readable ({type(error).__name__})", "a CSV or Parquet table", "Check it."
        ) from error
    if not raw:
        raise InputError(file.name, "no rows", "one row for each study", "Check it.")
    names = {str(name).strip().lower(): name for name in raw[0][1]}
    if "path" not in names:
        raise InputError(
            file.name,
            f"columns {', '.join(names)}",
            f"path, and of {', '.join(_COLUMNS[1:])} those known, in the first line",
            "Add path.",
        )
    return [
        {one: _text(row.get(names[one])) if one in names else "" for one in _COLUMNS} | {_PLACE: place}
        for place, row in raw
    ]


def _text_table(file: Path) -> list[tuple[str, dict[str, object]]]:
    lines = csv.reader(StringIO(text := _decoded(file), newline=""), delimiter=_delimiter(text))
    table = [(lines.line_num, row) for row in lines if any(cell.strip() for cell in row)]
    if table and table[0][1][0].lower().startswith("sep="):  # a line for spreadsheets
        del table[0]
    if not table:
        return []
    header = table.pop(0)[1]
    named = [name.strip().lower() for name in header]
    if twice := [name for name in _COLUMNS if named.count(name) > 1]:
        raise InputError(file.name, f"two columns {twice[0]}", "one of each name", "Remove one.")
    for number, row in table:
        where = f"{file.name}, line {number}"
        if any("\n" in cell or "\r" in cell for cell in row):  # the rows up to the next quote would be lost
            raise InputError(
                where, "a cell that goes over several lines", "a line for each study", "Is a quote not closed?"
            )
        if len(row) > len(header):
            raise InputError(
                where,
                f"{len(row)} cells below {len(header)} column names",
                "a cell for each column",
                "Quote paths that have a comma in them.",
            )
    return [
        (f"line {number}", dict(zip(header, row + [""] * (len(header) - len(row)), strict=True)))
        for number, row in table
    ]


def _decoded(file: Path) -> str:
    content = file.read_bytes()
    encoding = "utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{file.name}, line {line}", "a letter that is not UTF-8", "UTF-8", "Save it as CSV UTF-8."
        ) from error


def _delimiter(text: str) -> str:
    """What separates the cells: spreadsheets of many countries write semicolons."""
    first = next((line for line in text.splitlines() if line.strip() and not line.lower().startswith("sep=")), "")
    for one in _DELIMITERS:
        if "path" in (cell.strip().lower() for row in csv.reader([first], delimiter=one) for cell in row):
            return one
    return _DELIMITERS[0]


def _parquet(file: Path) -> list[tuple[str, dict[str, object]]]:
    import pyarrow.parquet as pq  # only for this kind of manifest

    rows: list[dict[str, object]] = pq.read_table(file).to_pylist()
    return [(f"row {number}", row) for number, row in enumerate(rows, start=1)]


def _text(value: object) -> str:
    text = "" if value is None or value != value else str(value).strip()
    # A column with a gap comes as floating point numbers: 1000123.0 is the participant 1000123.
    return text.removesuffix(".0") if re.fullmatch(r"\d+\.0", text) else text
