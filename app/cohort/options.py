"""Options of a cohort's run besides those of each study."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from operators.core.options.declaration import Flag, OptionError, WholeNumber, check_choices, section

__all__ = ["CohortOptions", "Keep", "Retry"]

Keep = Literal["everything", "minimal"]
Retry = Literal["failed", "oom", "timeout", "refused"]

_WHERE = Parameter(group=section("Where it runs", -8))
_LIMITS = Parameter(group=section("Limits of one study", -7))
_KEPT = Parameter(group=section("What is kept and what is done again", -6))


@dataclass(frozen=True)
class CohortOptions:
    """Where a cohort is processed, within what limits, and what is kept.

    Attributes
    ----------
    workers : int or None
        Processes on this machine. Default: one for each core, as far as memory allows 2.5 GiB for each; at most
        4 on a GPU, which take turns at it.
    threads : int
        Threads of each process. One is the most efficient: two processes of one thread do more than one of two.
    scheduler : str or None
        Address of a Dask scheduler (tcp://host:8786), or its scheduler file. Its workers process the studies.
    shard : str or None
        I/N: process the I-th of N parts, for job arrays. All N use one output folder.
    walltime : float or None
        Minutes after which no study is begun that might not end in time; for jobs with a time limit.
    memory_limit : float or None
        GiB of memory for one study. A process above it is ended. Default: this machine's memory divided by workers.
    time_limit : float
        Minutes for one study. A process that takes longer is ended.
    heartbeat : float
        Seconds without a sign of life after which a process is ended.
    attempts : int
        How often a study is tried whose process was killed from outside.
    keep : {"everything", "minimal"}
        Which files of a study are kept. minimal: reports, labels and thumbnail.
    archive : bool
        Pack the files of all studies into one tar for each worker. Only reports and thumbnails stay outside.
    retry : tuple of {"failed", "oom", "timeout", "refused"}
        Try again the studies with this outcome. Repeatable.
    verify : bool
        Read the inputs of done studies again, and process those whose content has changed.
    extend : bool
        Add these inputs to the cohort, although none of them is in it yet.
    accept_software : bool
        Take studies as done that another version of SarcoMAP processed.
    resume : bool
        Accepted; a run always resumes.

    Raises
    ------
    OptionError
        For a value that cannot be used.
    """

    workers: Annotated[int | None, WholeNumber, Parameter(metavar="N"), _WHERE] = None
    threads: Annotated[int, WholeNumber, Parameter(metavar="N"), _WHERE] = 1
    scheduler: Annotated[str | None, Parameter(metavar="ADDRESS"), _WHERE] = None
    shard: Annotated[str | None, Parameter(metavar="I/N"), _WHERE] = None
    walltime: Annotated[float | None, Parameter(metavar="MINUTES"), _WHERE] = None
    memory_limit: Annotated[float | None, Parameter(metavar="GIB"), _LIMITS] = None
    time_limit: Annotated[float, Parameter(metavar="MINUTES"), _LIMITS] = 30.0
    heartbeat: Annotated[float, Parameter(metavar="SECONDS"), _LIMITS] = 300.0
    attempts: Annotated[int, WholeNumber, Parameter(metavar="N"), _LIMITS] = 3
    keep: Annotated[Keep, _KEPT] = "everything"
    archive: Annotated[bool, Flag, _KEPT] = False
    retry: Annotated[tuple[Retry, ...], Parameter(negative="", show_default=False), _KEPT] = ()
    verify: Annotated[bool, Flag, _KEPT] = False
    extend: Annotated[bool, Flag, _KEPT] = False
    accept_software: Annotated[bool, Flag, _KEPT] = False
    resume: Annotated[bool, Flag, _KEPT] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "retry", tuple(self.retry))
        check_choices(self)
        for name in ("workers", "threads", "attempts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(name, f"{value}", "1 or more", "Give another number.")
        for name in ("walltime", "memory_limit", "time_limit", "heartbeat"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise OptionError(name, f"{value:g}", "a number above 0", "Give another number.")
        if self.scheduler is not None and (self.workers is not None or self.shard is not None):
            other = "workers" if self.workers is not None else "shard"
            raise OptionError("scheduler", f"together with --{other}", "one of the two", "Leave one out.")
        self.part  # noqa: B018 (checks it)

    @property
    def part(self) -> tuple[int, int]:
        """Index of the shard, from 0, and number of shards."""
        if self.shard is None:
            return 0, 1
        found = re.fullmatch(r"(\d{1,7})/(\d{1,7})", self.shard)
        index, number = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= index <= number:
            raise OptionError(
                "shard", f"{self.shard!r}", "I/N with I from 1 to N", "For example --shard $SLURM_ARRAY_TASK_ID/100."
            )
        return index - 1, number
