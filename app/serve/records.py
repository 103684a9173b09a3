"""What is written down about a study in the queue."""

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
UNREADABLE = "job.json cannot be read: what had been tried is not known any more"
_NAME = "job.json"


def now_utc() -> str:
    """Date and time to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Record:
    """A job's ``job.json``. Which state a job is in stands not here: it is the folder that it lies in.

    Attributes
    ----------
    received_utc : str
    source : {"dicom", "folder"}
    objects, bytes : int
        Of the input.
    runs : int
        Begun so far.
    next_run : float
        Seconds since the epoch before which no other run begins.
    seconds : float
        Of the run that ended well.
    error : str
        Why it failed; empty otherwise.
    given_up : bool
        Whether it has been in ``failed``: who moves it elsewhere wants it to be tried anew.
    sent : mapping of str to str
        Destination to the time at which it had taken everything.
    tries : mapping of str to int
        Failures by destination.
    next_try : mapping of str to float
        Destination to the seconds since the epoch before which nothing is sent there.
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
        """Of a job's folder; the defaults when none was written yet, or when it is damaged (see ``UNREADABLE``)."""
        try:
            content: Any = json.loads((folder / _NAME).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError):
            return cls(error=UNREADABLE)
        if not isinstance(content, dict):
            return cls(error=UNREADABLE)
        if not isinstance(content.get("next_try"), dict):  # a number until there was one for each destination
            content.pop("next_try", None)
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in content.items() if name in known})

    def write(self, folder: Path) -> None:
        """Replace it as a whole; on disk when this returns."""
        content = {item.name: getattr(self, item.name) for item in fields(self)}
        with replacing(folder / _NAME) as temporary, temporary.open("w", encoding="utf-8") as stream:
            stream.write(json.dumps(content, indent=1) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
