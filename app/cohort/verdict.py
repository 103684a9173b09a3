"""Which outcome an error means for its study, or whether it concerns the whole run."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.cohort.records import Outcome, Said
from app.cohort.study_work import ModelError
from operators.core.errors import InputError, OutputError, SarcoMapError, SegmentationError, UsageError

__all__ = ["Verdict", "verdict_on"]

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE, errno.EIO, errno.EACCES, errno.EPERM}
_NOT_READ = {
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.EREMOTEIO,
    errno.ENOTCONN,
    errno.ECONNRESET,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
}
# What NumPy, PyTorch, OpenVINO and ONNX Runtime say when memory cannot be had, besides MemoryError.
_NO_MEMORY = ("allocate memory", "bad_alloc", "out of memory", "failed to allocate", "unable to allocate")
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Verdict:
    """What an error means.

    Attributes
    ----------
    outcome : str
    said : Said
    stops : bool
        Every other study would end like this one: the run must stop, and nothing is recorded.
    exit_code : int
        Of the run, if it stops.
    """

    outcome: Outcome
    said: Said
    stops: bool = False
    exit_code: int = 1


def verdict_on(error: BaseException, stage: str) -> Verdict:
    """The outcome of a study that ended with an error in a stage."""
    causes = tuple(_causes(error))
    if any(isinstance(one, MemoryError) or _says_no_memory(one) for one in causes):
        return Verdict("oom", out_of_memory(stage))
    if isinstance(error, ModelError):
        cause = error.__cause__ or error
        if isinstance(cause, SarcoMapError):
            return Verdict("failed", Said.of(cause), True, cause.exit_code)
        return Verdict("failed", _defect(cause, "model"), True)
    if isinstance(error, OutputError | OSError) and any(
        isinstance(one, OSError) and one.errno in _NO_ROOM for one in causes
    ):
        reason = next(one for one in causes if isinstance(one, OSError) and one.errno in _NO_ROOM)
        said = Said(
            "the cohort's folder",
            f"cannot be written ({reason.strerror})",
            "a folder with space left",
            "Free space or mend the share, then run the same command again.",
        )
        return Verdict("failed", said, True, OutputError.exit_code)
    if isinstance(error, UsageError):
        return Verdict("failed", Said.of(error), True, error.exit_code)
    if isinstance(error, InputError) and any(isinstance(one, OSError) and one.errno in _NOT_READ for one in causes):
        # It says nothing of the file: another day it may be read.
        remedy = "The disk or the share failed while it was read: check them, then run with --retry failed."
        return Verdict("failed", Said(error.where, error.found, error.expected, remedy))
    if isinstance(error, InputError | SegmentationError):
        return Verdict("refused", Said.of(error))
    if isinstance(error, SarcoMapError):
        return Verdict("failed", Said.of(error))
    return Verdict("failed", _defect(error, stage))


def out_of_memory(stage: str) -> Said:
    """The error of a study that needs more memory than it may have."""
    return Said(
        f"stage {stage}",
        "more memory needed than one study may have",
        "a study within --memory-limit",
        "Run with --retry oom and fewer workers or a higher --memory-limit.",
    )


def _defect(error: BaseException, stage: str) -> Said:
    # The message of a foreign exception can quote values of the study. Its place in the code cannot.
    places = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(_ROOT)
    ]
    place = f" in {Path(places[-1].filename).relative_to(_ROOT)}:{places[-1].lineno}" if places else ""
    return Said(
        f"stage {stage}",
        f"{type(error).__name__}{place}",
        "a stage that ends well",
        "This is a defect of SarcoMAP: please report it.",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__]


def _says_no_memory(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _NO_MEMORY)
