"""Results of a study appear in the cohort's folder whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from app.cohort.ledger import RECORD_FILE, Ledger
from app.cohort.records import Attempt
from app.cohort.study_work import REPORT, THUMBNAIL
from operators.core.errors import OutputError
from operators.core.output_files import put_on_disk, sync_names

__all__ = ["REPLACED", "Archive", "NameTakenError", "bytes_of", "publish", "set_aside", "set_aside_folder"]

REPLACED = "old-"
"""Beginning of the names of results in ``.work`` that were replaced and are being removed."""

_OUTSIDE = {REPORT, THUMBNAIL, RECORD_FILE}


class NameTakenError(Exception):
    """The folder of these results would be that of another study."""


def publish(out: Path, folder: Path, name: str, attempt: Attempt) -> Attempt | None:
    """Rename a finished folder to ``studies/<name>``; earlier results of the same study give way.

    The results are on the disk when this returns: they are recorded as done next, and a power cut must not empty them.

    Returns
    -------
    Attempt or None
        The record of results that stay, because another process has published them for the same attempt meanwhile:
        a worker that lost its scheduler goes on with the study in hand, which is given to another one. None if the
        folder was renamed.

    Raises
    ------
    NameTakenError
        If the folder holds another study. Two inputs have one pseudonym where one was made from the other.
    OutputError
        If a run with other options has published this study since this run began.
    """
    target = out / "studies" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    put_on_disk(folder)
    for _ in range(10):
        try:
            os.rename(folder, target)
            sync_names(target.parent)
            return None
        except OSError:
            if not target.exists():
                raise
            earlier = Ledger(out).record_of(name)
            if earlier is not None and earlier.study != attempt.study:
                raise NameTakenError(name) from None
            if earlier is not None and _as_good(earlier, attempt):
                return earlier
            if earlier is not None and earlier.attempt >= attempt.attempt and earlier.digests != attempt.digests:
                raise OutputError(
                    f"studies/{name}",
                    "results that another run has made meanwhile, with other options, weights or software",
                    "one run at a time in a folder",
                    "Let one of the two end, then run the other again.",
                ) from None
            # Only an empty folder can be replaced by a rename. A kill between the two leaves none of both, and the
            # next run processes the study again.
            _remove(out, target)
    raise OSError(17, "File exists", str(target))


def _as_good(earlier: Attempt, attempt: Attempt) -> bool:
    """Whether published results are those of the same attempt, or of a later one, at the same input."""
    return earlier.attempt >= attempt.attempt and (earlier.digests, earlier.input) == (attempt.digests, attempt.input)


def set_aside(out: Path, name: str) -> None:
    """Take results of earlier options out of ``studies``: the attempt to replace them did not succeed.

    The table must not mix them with new ones. They are kept, in case the new options were a mistake.
    """
    target = set_aside_folder(out) / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    with suppress(FileNotFoundError):
        os.rename(out / "studies" / name, target)


def set_aside_folder(out: Path) -> Path:
    """Where earlier results are that no later attempt has replaced."""
    return out / ".superseded"


def bytes_of(folder: Path) -> int:
    """Size of all files below a folder."""
    return sum(file.stat().st_size for file in _files(folder))


class Archive:
    """A tar to which one worker adds its studies. It can be read while it grows.

    Parameters
    ----------
    out : Path
        The cohort's folder.
    name : str
        The worker's name.
    """

    def __init__(self, out: Path, name: str) -> None:
        self._out = out
        self._path = out / "archives" / f"{name}.tar"
        self._file: BinaryIO | None = None
        self._tar: tarfile.TarFile | None = None

    def add(self, folder: Path, name: str) -> str:
        """Add all files of a study's folder, and leave only its report and thumbnail in it.

        Returns
        -------
        str
            The tar, relative to the cohort's folder.
        """
        if self._file is None or self._tar is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb")
            # Opened once: opening a tar to append to it reads it from its beginning.
            self._tar = tarfile.TarFile(fileobj=self._file, mode="w")
        before = self._tar.offset
        try:
            for file in sorted(_files(folder)):
                self._tar.add(file, f"{name}/{file.relative_to(folder).as_posix()}", recursive=False)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError:  # the disk is full: half a study must not stay at the end
            with suppress(OSError):
                self._file.seek(before)
                self._file.truncate()
            self._tar.offset = before
            raise
        self._tar.members = []  # type: ignore[attr-defined]  # or it would remember every file that it ever had
        for entry in folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name not in _OUTSIDE:
                entry.unlink()
        return self._path.relative_to(self._out).as_posix()

    def close(self) -> None:
        """Write the end of the tar."""
        if self._tar is not None and self._file is not None:
            with suppress(OSError):
                self._tar.close()
                self._file.close()
            self._tar = self._file = None


def _remove(out: Path, target: Path) -> None:
    aside = out / ".work" / f"{REPLACED}{secrets.token_hex(4)}"
    aside.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):  # another process has moved it
        os.rename(target, aside)
    shutil.rmtree(aside, ignore_errors=True)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
