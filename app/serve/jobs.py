"""The elements of the queue: states, and jobs (one run of one study)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.serve.records import Record

__all__ = ["JOB_STATES", "STATES", "Job"]

#: In the order in which a study goes through them. ``failed`` is the alternative end.
STATES = ("incoming", "queued", "running", "sending", "done", "failed")
JOB_STATES = STATES[1:]


@dataclass(frozen=True)
class Job:
    """One run of one study: ``<key>.<generation>``; ``folder`` holds ``input/``, ``results/`` and ``job.json``."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def key(self) -> str:
        return self.name.split(".")[0]

    @property
    def generation(self) -> int:
        return int(self.name.split(".")[1])

    @property
    def state(self) -> str:
        return self.folder.parent.name

    @property
    def input(self) -> Path:
        return self.folder / "input"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def record(self) -> Record:
        return Record.read(self.folder)

    @property
    def changed(self) -> float:
        """When its record was last written, in seconds since the epoch. Without a record: when the folder changed."""
        try:
            return (self.folder / "job.json").stat().st_mtime
        except FileNotFoundError:
            return self.folder.stat().st_mtime

    @property
    def has_input(self) -> bool:
        """Whether the study has been moved in, which is the last step of queueing it."""
        return self.input.is_dir() and any(self.input.iterdir())

    @property
    def run_ended_well(self) -> bool:
        """Whether the report exists: it is the last file that a run writes."""
        return (self.results / "report.json").is_file()
