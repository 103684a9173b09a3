"""A run's output folder: all results appear there together, when the last one is complete."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from operators.core.errors import OutputError

__all__ = [
    "CONFIDENCE_FILE",
    "SIDES_FILE",
    "DERIVED_FILES",
    "DICOM_FILES",
    "FUSED_FILES",
    "OUTPUT_FILES",
    "OWN_FILES",
    "PDF_FILES",
    "abandon",
    "absent_in",
    "beside",
    "missing",
    "refuse_other_study",
    "staged",
    "without",
]

FUSED_FILES = tuple(f"fused/{stem}.nrrd" for stem in ("in", "opp", "water", "fat", "fat_fraction", "body"))

OUTPUT_FILES = (
    *FUSED_FILES,
    "segmentation.seg.nrrd",
    "segmentation.dcm",
    "report.sr.dcm",
    "report.html",
    "report.json",
)

DERIVED_FILES = "derived/*/*.dcm"
"""The images of all derived series, as a glob pattern."""

PDF_FILES = ("report.pdf", "report.pdf.dcm")
"""The printed page, which only some runs write."""

DICOM_FILES = ("segmentation.dcm", "report.sr.dcm", "report.pdf.dcm")
"""Not written for a study without DICOM."""

_MAY_BE_ABSENT = frozenset({"in", "opp", "fat"})
CONFIDENCE_FILE = "segmentation_confidence.nrrd"
SIDES_FILE = "segmentation_sides.nrrd"
NIFTI_FILES = "nifti/*"
"""Copies as NIfTI, as a glob pattern."""

OWN_FILES = (*OUTPUT_FILES, *PDF_FILES, CONFIDENCE_FILE, SIDES_FILE, DERIVED_FILES, NIFTI_FILES)
"""Every file that any run writes, as glob patterns."""

_PREFIX = ".sarcomap-"
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}  # as of parallel file systems
_YOUNG_S = 10.0
"""A staging folder younger than this is left alone: its run may not have locked it yet."""


def absent_in(report: Mapping[str, Any]) -> frozenset[str]:
    """Contrasts that a study does not have, by its report's station table: some of ``in``, ``opp`` and ``fat``."""
    series = [series for station in report["quality"]["stations"] for series in station["series"]]
    return _MAY_BE_ABSENT - {one["contrast"] for one in series} if series else frozenset()


def without(files: Iterable[str], absent: Iterable[str]) -> tuple[str, ...]:
    """Files of a run without the fused volumes of absent contrasts."""
    stems = {*absent, *(("fat_fraction",) if "fat" in absent else ())}
    left_out = {f"fused/{stem}.nrrd" for stem in stems}
    return tuple(name for name in files if name not in left_out)


@contextmanager
def beside(output: Path) -> Iterator[Path]:
    """A hidden folder inside ``output`` for a run's temporary files; it is removed when the block ends.

    If the run is killed, the next run into ``output`` removes it.

    Raises
    ------
    OutputError
        When ``output`` cannot be created or written to.
    """
    staging = _Staging(output)
    _open_stagings.append(staging)
    try:
        yield staging.folder
    finally:
        staging.discard()
        _open_stagings.remove(staging)


@contextmanager
def staged(output: Path, stale: tuple[str, ...] = OWN_FILES) -> Iterator[Path]:
    """A hidden folder inside ``output`` to write into; its contents move to ``output`` when the block succeeds.

    They replace the files of an earlier run only after all of them have been
    written. After a failure, ``output`` is as it was before.

    Parameters
    ----------
    output : Path
    stale : tuple of str
        Glob patterns of files in ``output`` that are removed unless this run
        writes them again: by default all that an earlier run may have written,
        so that the folder holds one run and nothing else of ours.

    Raises
    ------
    OutputError
        When ``output`` cannot be created or written to, or a file in it cannot be replaced.
    """
    staging = _Staging(output)
    _open_stagings.append(staging)
    try:
        yield staging.folder
        with _settling:
            staging.move_up(stale)
    finally:
        staging.discard()
        _open_stagings.remove(staging)


def abandon() -> None:
    """Remove what unfinished runs of this process have written, after waiting for a run that is moving its results.

    No run can finish after this: the process is expected to end.
    """
    _settling.acquire()
    for staging in tuple(_open_stagings):
        staging.discard()


def refuse_other_study(output: Path, study_uid: str, *, overwrite: bool) -> None:
    """Raise if ``output`` holds the results of another study.

    A folder without a readable report is not refused, because nothing says whose it is.

    Parameters
    ----------
    output : Path
    study_uid : str
        Of the study that is processed now.
    overwrite : bool
        Whether another study's results may be replaced.

    Raises
    ------
    OutputError
    """
    if overwrite:
        return
    try:
        earlier = json.loads((output / "report.json").read_text(encoding="utf-8"))["study"]["study_uid"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if earlier != study_uid:
        raise OutputError(
            str(output),
            "the results of another study",
            "an empty folder, or earlier results of this study",
            "Choose another folder with -o, or pass --overwrite to replace them.",
        )


def missing(folder: Path, names: tuple[str, ...]) -> list[str]:
    """Those of ``names`` that are not in the folder, or are empty files."""
    return [name for name in names if not (folder / name).is_file() or (folder / name).stat().st_size == 0]


class _Staging:
    """The hidden folder, and the folders above it that had to be created."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.lock: int | None = None
        self.made = [folder for folder in (output, *output.parents) if not folder.exists()]
        try:
            output.mkdir(parents=True, exist_ok=True)
            _sweep(output)
            self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=output))
            # Held as long as this process lives; see `_sweep`.
            self.lock = os.open(self.folder, os.O_RDONLY)
            _lock(self.lock)
        except OSError as error:
            self._remove_made()
            raise OutputError(
                str(output),
                error.strerror or type(error).__name__,
                "a folder that can be written",
                "Choose another folder with -o, or change its permissions.",
            ) from error
        try:
            self._check_replaceable(OUTPUT_FILES)  # before the work, which takes minutes
        except OutputError:
            self.discard()
            raise

    def move_up(self, stale: tuple[str, ...]) -> None:
        # The report goes last, because programs that watch the folder take it as the end of the run.
        files = sorted(
            (path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()),
            key=lambda name: name == "report.json",
        )
        self._check_replaceable(files)
        try:
            self._remove_stale(files, stale)
            for name in files:
                (self.output / name).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / name).replace(self.output / name)
        except OSError as error:
            raise OutputError(
                str(self.output),
                error.strerror or type(error).__name__,
                "files that can be replaced",
                "Choose another folder.",
            ) from error
        self.made = []

    def _remove_stale(self, files: list[str], stale: tuple[str, ...]) -> None:
        for pattern in stale:
            for path in self.output.glob(pattern):
                if path.relative_to(self.output).as_posix() not in files:
                    path.unlink()
        for folder in (self.output / "derived").glob("*"):
            with suppress(OSError):  # not empty, or not a folder
                folder.rmdir()

    def discard(self) -> None:
        for _ in range(10):  # an interrupted stage may still be writing
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                break
            time.sleep(0.1)
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None
        self._remove_made()

    def _remove_made(self) -> None:
        with suppress(OSError):  # not empty: another program has written there since
            for folder in self.made:
                folder.rmdir()

    def _check_replaceable(self, names: tuple[str, ...] | list[str]) -> None:
        for name in names:
            target = self.output / name
            if target.is_dir() or (target.parent.exists() and not target.parent.is_dir()):
                kind = "a folder" if target.is_dir() else f"cannot be made, because {target.parent.name} is a file"
                raise OutputError(str(target), kind, "a file, or nothing yet", "Choose another folder with -o.")


def _lock(folder: int) -> None:
    """Lock an open folder. Where its file system has no locks, `_sweep` cannot lock either, and removes nothing."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _sweep(output: Path) -> None:
    """Remove what killed runs have left. Their locks were released when they died."""
    for folder in output.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # in use, or already removed
            if time.time() - folder.stat().st_mtime < _YOUNG_S:
                continue
            lock = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


_open_stagings: list[_Staging] = []
_settling = threading.Lock()
"""Held while results move to the output folder, so that `abandon` never interrupts the move."""
