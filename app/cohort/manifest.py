"""A manifest: a table of the studies to process."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from app.cohort.records import InputIdentity
from app.cohort.studies import StudyInput, identity_of, is_url, named_study
from operators.core.errors import InputError

__all__ = ["read_manifest"]

_COLUMNS = ("path", "eid", "visit", "key")
# They become names of folders. `<eid>_<visit>` is taken apart again at its last underscore.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,126}")


def read_manifest(file: Path) -> Iterator[StudyInput]:
    """The studies that a manifest lists.

    Parameters
    ----------
    file : Path
        ``.csv`` or ``.parquet`` with the columns ``path`` and, if known, ``eid``, ``visit``
        and ``key`` (the name of the results' folder for a study without an eid).
        A relative path starts at the manifest's folder.

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
    studies = [_study(row, file, number, remote) for number, row in enumerate(rows, start=1)]
    for what, values in (("path", [one.path for one in studies]), ("study", [one.study for one in studies])):
        twice = [value for value, times in Counter(values).items() if times > 1]
        if twice:
            numbers = [str(n) for n, value in enumerate(values, start=1) if value == twice[0]]
            raise InputError(
                file.name,
                f"the same {what} in more than one row, {len(twice)} times; the first in rows {', '.join(numbers[:4])}",
                "each study once",
                "Remove the duplicated rows.",
            )
    yield from studies


def _study(row: Mapping[str, str], file: Path, number: int, remote: Mapping[str, InputIdentity | None]) -> StudyInput:
    where = f"{file.name}, row {number}"
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
    try:
        raw = _parquet(file) if file.suffix.lower() == ".parquet" else _csv(file)
    except FileNotFoundError:
        raise InputError(str(file), "no such file", "a manifest", "Check the path.") from None
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            file.name, f"not readable ({type(error).__name__})", "a CSV or Parquet table", "Check it."
        ) from error
    if not raw:
        raise InputError(file.name, "no rows", "one row for each study", "Check it.")
    names = {str(name).strip().lower(): name for name in raw[0]}
    if "path" not in names:
        raise InputError(
            file.name,
            f"columns {', '.join(names)}",
            f"path, and of {', '.join(_COLUMNS[1:])} those known, separated by commas",
            "Add path.",
        )
    return [{one: _text(row.get(names[one])) if one in names else "" for one in _COLUMNS} for row in raw]


def _csv(file: Path) -> list[dict[str, object]]:
    with file.open(newline="", encoding="utf-8-sig") as opened:
        header, *rows = [row for row in csv.reader(opened) if any(cell.strip() for cell in row)] or [[]]
    named = [name.strip().lower() for name in header]
    if twice := [name for name in _COLUMNS if named.count(name) > 1]:
        raise InputError(file.name, f"two columns {twice[0]}", "one of each name", "Remove one.")
    for number, row in enumerate(rows, start=1):
        if len(row) > len(header):
            raise InputError(
                f"{file.name}, row {number}",
                f"{len(row)} cells below {len(header)} column names",
                "a cell for each column",
                "Quote paths that have a comma in them.",
            )
    return [dict(zip(header, row + [""] * (len(header) - len(row)), strict=True)) for row in rows]


def _parquet(file: Path) -> list[dict[str, object]]:
    import pyarrow.parquet as pq  # only for this kind of manifest

    rows: list[dict[str, object]] = pq.read_table(file).to_pylist()
    return rows


def _text(value: object) -> str:
    text = "" if value is None or value != value else str(value).strip()
    # A column with a gap comes as floating point numbers: 1000123.0 is the participant 1000123.
    return text.removesuffix(".0") if re.fullmatch(r"\d+\.0", text) else text
