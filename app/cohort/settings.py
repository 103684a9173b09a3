"""What a worker must know to process studies; it is sent to other machines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.cohort.records import Attempt, Digests
from app.cohort.studies import StudyInput
from operators.core.options import RunOptions

__all__ = ["STUDY_WORK", "Task", "WorkerSettings"]

STUDY_WORK = "app.cohort.study_work:process"


@dataclass(frozen=True)
class WorkerSettings:
    """Settings of every worker of a run.

    Attributes
    ----------
    out : Path
        The cohort's folder, absolute. All machines have it at the same place.
    options : RunOptions
    model : Path or None
        Folder of a bundle; None for the shipped one.
    digests : Digests
    fuse_only, minimal, archive : bool
    threads : int
    memory_bytes : int
        Most resident memory of one process.
    time_s : float
        Most seconds of one study.
    heartbeat_s : float
        Most seconds between two signs of life.
    attempts : int
        How often a study is tried whose process was killed.
    work : str
        ``module:function`` that processes one study in the child. Tests replace it by a quicker one.
    """

    out: Path
    options: RunOptions
    model: Path | None
    digests: Digests
    fuse_only: bool = False
    minimal: bool = False
    archive: bool = False
    threads: int = 1
    memory_bytes: int = 4 << 30
    time_s: float = 1800.0
    heartbeat_s: float = 300.0
    attempts: int = 3
    work: str = STUDY_WORK


@dataclass(frozen=True, slots=True)
class Task:
    """One study for a worker.

    Attributes
    ----------
    study : StudyInput
    attempt : int
        Number of this attempt.
    earlier : Attempt or None
        The attempt whose results are in the cohort's folder; None if there are none.
    still_valid : bool
        These results still hold if the input's content is the same.
    """

    study: StudyInput
    attempt: int = 1
    earlier: Attempt | None = None
    still_valid: bool = False
