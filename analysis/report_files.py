"""Find and read the report.json files of many studies quickly, in folders and in archives."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ReportFile", "find_reports", "read_reports"]

_NAME = "report.json"
_ENDING = ".tar"
_OF_A_STUDY = ("derived", "fused")
# Where the folder is on a network share, the time of a read is nearly all waiting.
_READERS = 8
_WINDOW = 256


@dataclass(frozen=True)
class ReportFile:
    """A report that was found.

    Attributes
    ----------
    path : Path
        The report, or the archive that holds it.
    where : str
        Its path below the folder that was searched, for messages.
    folder_name : str
        Name of the study's folder.
    in_cohort : bool
        Whether the study's folder is in the output of a cohort run.
    place : (int, int) or None
        Offset and size of its bytes in the archive.
    """

    path: Path
    where: str
    folder_name: str
    in_cohort: bool = False
    place: tuple[int, int] | None = None


def find_reports(folder: Path) -> list[ReportFile]:
    """Every ``report.json`` in a folder, below it, and in uncompressed tar archives there, sorted by path.

    A study's own folders are not searched: they have hundreds of images, but
    no report. A study's folder is preferred to its copy in an archive.
    """
    found: list[ReportFile] = []
    archives: list[Path] = []
    waiting = [folder] if folder.is_dir() else []
    while waiting:
        here = waiting.pop()
        below: list[Path] = []
        has_report = False
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.name == _NAME and entry.is_file():
                    has_report = True
                elif entry.name.startswith("."):
                    continue  # an unfinished run's files
                elif entry.is_dir():
                    below.append(Path(entry.path))
                elif entry.name.endswith(_ENDING) and entry.is_file():
                    archives.append(Path(entry.path))
        if has_report:
            where = (here / _NAME).relative_to(folder).as_posix()
            found.append(ReportFile(here / _NAME, where, here.resolve().name, _is_study_of_cohort(here)))
        waiting += (path for path in below if not (has_report and path.name in _OF_A_STUDY))
    loose = {file.folder_name for file in found if file.in_cohort}
    for archive in archives:
        found += (file for file in _members(archive, folder) if file.folder_name not in loose)
    return sorted(found, key=lambda file: file.where)


def read_reports(files: Sequence[ReportFile]) -> Iterator[tuple[ReportFile, bytes | OSError]]:
    """Read files in order, some of them ahead. A file that cannot be read gives its error."""
    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(files), _WINDOW):
            window = files[start : start + _WINDOW]
            yield from zip(window, pool.map(_content, window), strict=True)


def _is_study_of_cohort(folder: Path) -> bool:
    studies = folder.resolve().parent
    return studies.name == "studies" and (studies.parent / "ledger").is_dir()


def _members(archive: Path, folder: Path) -> Iterator[ReportFile]:
    base = archive.relative_to(folder).as_posix()
    in_cohort = any((above / "ledger").is_dir() for above in archive.resolve().parents[:2])
    try:
        with tarfile.open(archive, "r:") as opened:
            for member in opened:
                parts = member.name.split("/")
                if parts[-1] == _NAME and len(parts) > 1 and member.isreg():
                    yield ReportFile(
                        archive, f"{base}/{member.name}", parts[-2], in_cohort, (member.offset_data, member.size)
                    )
    except (OSError, tarfile.TarError):
        # Its bytes are no report, so collecting names it among those that were left out.
        yield ReportFile(archive, base, archive.name)


def _content(file: ReportFile) -> bytes | OSError:
    try:
        if file.place is None:
            return file.path.read_bytes()
        offset, size = file.place
        with file.path.open("rb") as opened:
            opened.seek(offset)
            return opened.read(size)
    except OSError as error:
        return error
