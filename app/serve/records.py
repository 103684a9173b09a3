"""What is written down about a study in the queue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from operators.output_files import replacing

__all__ = ["Record", "now_utc"]

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
    seconds : float
        Of the run that ended well.
    error : str
        Why it failed; empty otherwise.
    sent : mapping of str to str
        Destination to the time at which it had taken everything.
    tries : mapping of str to int
        Failures by destination.
    next_try : float
        Seconds since the epoch before which nothing is sent.
    """

    received_utc: str = field(default_factory=now_utc)
    source: str = "dicom"
    objects: int = 0
    bytes: int = 0
    runs: int = 0
    seconds: float = 0.0
    error: str = ""
    sent: Mapping[str, str] = field(default_factory=dict)
    tries: Mapping[str, int] = field(default_factory=dict)
    next_try: float = 0.0

    @classmethod
    def read(cls, folder: Path) -> Record:
        """Of a job's folder; the defaults when none was written yet."""
        try:
            content: dict[str, Any] = json.loads((folder / _NAME).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        return cls(**content)

    def write(self, folder: Path) -> None:
        """Replace it as a whole."""
        content = {item.name: getattr(self, item.name) for item in fields(self)}
        with replacing(folder / _NAME) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
