"""The record that the queue keeps of each study."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from operators.core.output_files import replacing

__all__ = ["UNREADABLE", "Record", "now_utc"]

#: The ``error`` of a record that was lost.
UNREADABLE = "job.json cannot be read: earlier tries are unknown"
_NAME = "job.json"


def now_utc() -> str:
    """Current date and time to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Record:
    """A job's ``job.json``. It does not hold the job's state: the folder that the job is in is its state.

    Attributes
    ----------
    received_utc : str
    source : {"dicom", "folder"}
    objects, bytes : int
        Size of the input.
    runs : int
        Number of runs begun so far.
    next_run : float
        Earliest time of the next run, in seconds since the epoch.
    seconds : float
        Duration of the successful run.
    error : str
        Why the job failed; empty otherwise.
    given_up : bool
        Whether it has been in ``failed``. Somebody who moves it out of there wants new tries.
    sent : mapping of str to str
        Destination to the time at which it had received everything.
    tries : mapping of str to int
        Number of failures by destination.
    next_try : mapping of str to float
        Destination to the earliest time of the next try, in seconds since the epoch.
    """

    received_utc: str = field(default_factory=now_utc)
    source: str = "dicom"
    objects: int = 0
    bytes: int = 0
    runs: int = 0
    next_run: float = 0.0
    seconds: float = 0.0
    error: str = ""
    given_up: bool = False
    sent: Mapping[str, str] = field(default_factory=dict)
    tries: Mapping[str, int] = field(default_factory=dict)
    next_try: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Record:
        """Read a job folder's record; the defaults if there is none yet or it is damaged (see ``UNREADABLE``)."""
        try:
            content: Any = json.loads((folder / _NAME).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError):
            return cls(error=UNREADABLE)
        if not isinstance(content, dict):
            return cls(error=UNREADABLE)
        if not isinstance(content.get("next_try"), dict):  # older records hold a single number
            content.pop("next_try", None)
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in content.items() if name in known})

    def write(self, folder: Path) -> None:
        """Replace the file atomically. It is on disk when this returns."""
        content = {item.name: getattr(self, item.name) for item in fields(self)}
        with replacing(folder / _NAME) as temporary, temporary.open("w", encoding="utf-8") as stream:
            stream.write(json.dumps(content, indent=1) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
