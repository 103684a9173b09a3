"""The ledger of a cohort: every attempt at every study, in files that are only ever appended to.

Each process that records attempts has a file of its own, ``ledger/<name>.jsonl``, with one attempt a line. Nobody
else writes to it, so that any number of machines can share the folder without locks, which network file systems do
not all have. A line is written by one call and flushed to the disk. A process that is killed can leave half a line at
the end of its file, which readers leave out. 100,000 studies are a few large files instead of 100,000 small ones.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.cohort.records import Attempt
from operators.core.errors import OutputError
from operators.core.output_files import replacing

__all__ = ["RECORD_FILE", "Ledger", "LedgerWriter", "latest", "writer_name"]

RECORD_FILE = "attempt.json"
"""The record of a done study in its own folder, from which the ledger can be rebuilt."""

_ENDING = ".jsonl"
_MACHINES_OWN = "4026531836"  # PROC_PID_INIT_INO of linux/proc_ns.h: the name space of processes outside containers


@dataclass(frozen=True)
class Ledger:
    """Reads the ledger of a cohort.

    Attributes
    ----------
    out : Path
        The cohort's folder.
    """

    out: Path

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self.out / "ledger"

    @property
    def studies(self) -> Path:
        """Where the studies' folders are."""
        return self.out / "studies"

    def exists(self) -> bool:
        """Whether a run has begun here."""
        return self.folder.is_dir()

    def attempts(self) -> tuple[list[Attempt], int]:
        """Every attempt, and the number of lines that are not whole.

        Raises
        ------
        OutputError
            If a file cannot be read.
        """
        found: list[Attempt] = []
        damaged = 0
        for path in sorted(self.folder.glob(f"*{_ENDING}")):
            try:
                with path.open("rb") as lines:  # line by line: a whole file takes more memory than its attempts
                    for line in lines:
                        try:
                            if not line.endswith(b"\n"):  # a writer was killed within a line, or is writing it now
                                raise ValueError("half a line")
                            found.append(Attempt.from_json(line))
                        except ValueError:
                            damaged += 1
            except OSError as error:  # what it holds would be processed again
                raise OutputError(
                    str(path),
                    f"cannot be read ({error.strerror})",
                    "a ledger that every run on this folder can read",
                    "Check its permissions (whoever wrote it may have a strict umask) and the share.",
                ) from error
        return found, damaged

    def unrecorded(self, known: Iterable[Attempt]) -> list[Attempt]:
        """Done studies whose folders are there, but which the ledger does not have.

        The ledger was lost, or a process was killed between publishing a study
        and recording it.
        """
        recorded = {one.folder for one in known if one.folder}
        found = (self.record_of(name) for name in sorted(self.published() - recorded))
        return [one for one in found if one is not None]

    def published(self) -> set[str]:
        """Names of the studies' folders."""
        try:
            with os.scandir(self.studies) as entries:
                return {entry.name for entry in entries if not entry.name.startswith(".")}
        except (FileNotFoundError, NotADirectoryError):
            return set()

    def record_of(self, folder: str) -> Attempt | None:
        """The record of the results in a folder below ``studies``; None if there is none, or it cannot be read."""
        for path in (self.studies / folder / RECORD_FILE, self._hidden(folder)):
            try:
                return Attempt.from_json(path.read_bytes())
            except (OSError, ValueError):
                continue
        return None

    def hide_record(self, attempt: Attempt) -> None:
        """Keep the record of de-identified results here, because it names the input."""
        assert attempt.folder is not None
        path = self._hidden(attempt.folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(attempt.to_json() + "\n", encoding="utf-8")

    def _hidden(self, folder: str) -> Path:
        return self.folder / "deidentified" / f"{folder}.json"


class LedgerWriter:
    """Appends attempts to a file that only this process writes.

    Parameters
    ----------
    out : Path
        The cohort's folder.
    name : str
        From `writer_name`.
    """

    def __init__(self, out: Path, name: str) -> None:
        self.path = out / "ledger" / f"{name}{_ENDING}"
        self._file: int | None = None

    def append(self, attempt: Attempt) -> None:
        """Record an attempt; it is on the disk when this returns.

        Raises
        ------
        OutputError
            If it could not be written. The file then ends with the attempt before.
        """
        line = attempt.to_json().encode() + b"\n"
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
            before = os.fstat(self._file).st_size
            try:
                written = os.write(self._file, line)
                if written != len(line):  # the disk is full
                    raise OSError(28, "No space left on device")
                os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, before)
                raise
        except OSError as error:
            raise OutputError(
                str(self.path.parent),
                f"cannot be written ({error.strerror})",
                "a folder with space left",
                "Free space or mend the share, then run the same command again.",
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def writer_name() -> str:
    """A name that no other process has: machine, process and a random part."""
    host = "".join(letter if letter.isalnum() or letter == "-" else "-" for letter in socket.gethostname())[:40]
    return f"{host}{_container()}.{os.getpid()}.{secrets.token_hex(4)}"


def _container() -> str:
    """What tells apart containers with their machine's host name, whose process numbers say nothing to one another."""
    try:
        number = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return ""
    return "" if number == _MACHINES_OWN else f"-{number}"


def latest(attempts: Iterable[Attempt]) -> dict[str, Attempt]:
    """The last attempt at each study. Numbers decide, not clocks; of two with one number, the done one."""
    last: dict[str, Attempt] = {}
    for one in attempts:
        known = last.get(one.study)
        if known is None or _rank(one) > _rank(known):
            last[one.study] = one
    return last


def _rank(one: Attempt) -> tuple[int, bool, str]:
    return one.attempt, one.outcome == "done", one.ended_utc
