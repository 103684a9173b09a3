"""Find and read the report.json files of many studies quickly."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ReportFile", "find_reports", "read_reports"]

_REPORT = "report.json"
#: A cohort run leaves it beside the report: which participant and visit the study is, as its manifest said.
_RECORD = "attempt.json"
#: Folders of images in a study's folder.
_IMAGES = ("derived", "fused")
# Where the folder is on a network share, the time of a read is nearly all waiting.
_READERS = 8
_WINDOW = 256


@dataclass(frozen=True)
class ReportFile:
    """A report that was found.

    Attributes
    ----------
    folder : Path
        The study's folder.
    where : str
        The report's path below the folder that was searched, for messages.
    has_record : bool
        Whether a cohort run made it.
    """

    folder: Path
    where: str
    has_record: bool = False


def find_reports(folder: Path) -> list[ReportFile]:
    """Every ``report.json`` in a folder and below it, sorted by path.

    A study's own folders are not searched: they have hundreds of images, but no
    report. Neither are hidden folders, which hold files of unfinished runs.
    """
    found: list[ReportFile] = []
    waiting = [folder] if folder.is_dir() else []
    while waiting:
        here = waiting.pop()
        files: set[str] = set()
        below: list[str] = []
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.name in (_REPORT, _RECORD):
                    files.add(entry.name)
                elif not entry.name.startswith(".") and entry.is_dir():
                    below.append(entry.name)
        if _REPORT in files:
            where = (here / _REPORT).relative_to(folder).as_posix()
            found.append(ReportFile(here, where, _RECORD in files))
        waiting += (here / name for name in below if not (files and name in _IMAGES))
    return sorted(found, key=lambda file: file.where)


def read_reports(files: Sequence[ReportFile]) -> Iterator[tuple[ReportFile, bytes | OSError, bytes | None]]:
    """Read files in order, some of them ahead.

    Yields
    ------
    ReportFile
    bytes or OSError
        The report, or why it cannot be read.
    bytes or None
        The cohort's record.
    """
    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(files), _WINDOW):
            window = files[start : start + _WINDOW]
            for file, (report, record) in zip(window, pool.map(_contents, window), strict=True):
                yield file, report, record


def _contents(file: ReportFile) -> tuple[bytes | OSError, bytes | None]:
    try:
        record = (file.folder / _RECORD).read_bytes() if file.has_record else None
        return (file.folder / _REPORT).read_bytes(), record
    except OSError as error:
        return error, None
