"""One attempt at one study, as the ledger records it."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

from operators.core.errors import InternalError, SarcoMapError, printable

__all__ = ["OUTCOMES", "Attempt", "Digests", "InputIdentity", "Outcome", "Said"]

Outcome = Literal["done", "refused", "failed", "oom", "timeout"]
OUTCOMES: tuple[str, ...] = get_args(Outcome)
"""What becomes of a study: done; refused, because its input cannot be used; failed, by a defect or a killed process;
oom, out of memory; timeout, more time than it was given."""

VERSION = 1
_Line = str | bytes
_T = TypeVar("_T")
_SHARED: dict[Any, Any] = {}

# A run has an object of these kinds for each of 100,000 studies; with slots they take half of the memory.


def _shared(value: _T) -> _T:
    """One object for equal values: 100,000 attempts have few different digests, flags and workers."""
    found: _T = _SHARED.setdefault(value, value)
    return found


@dataclass(frozen=True, slots=True)
class InputIdentity:
    """What tells whether an input is still the one that was processed.

    Attributes
    ----------
    path : str
        Path or URL.
    size : int
        Bytes; of a folder, those of its files together.
    mark : str
        Time of the last change in ns, a server's ETag, or a digest of both for the files of a folder.
    sha256 : str or None
        Digest of the content. None until it was read, and for folders.
    """

    path: str
    size: int
    mark: str
    sha256: str | None = None

    def same_file(self, other: InputIdentity) -> bool:
        """Whether path, size and time or ETag agree. The content is not compared."""
        return (self.path, self.size, self.mark) == (other.path, other.size, other.mark)


@dataclass(frozen=True, slots=True)
class Digests:
    """Digests of all that decides a study's results besides its input.

    Attributes
    ----------
    model, options, software : str
        Hex. See `app.cohort.digests`.
    """

    model: str
    options: str
    software: str

    def changed(self, earlier: Digests) -> tuple[str, ...]:
        """Names of those that differ."""
        if self == earlier:
            return ()
        names = (one.name for one in dataclasses.fields(self))
        return tuple(name for name in names if getattr(self, name) != getattr(earlier, name))


@dataclass(frozen=True, slots=True)
class Said:
    """The four parts of an error: see `operators.core.errors.SarcoMapError`."""

    where: str
    found: str
    expected: str
    remedy: str

    def __post_init__(self) -> None:
        for name in ("where", "found"):  # they may name a file
            if not (text := getattr(self, name)).isprintable():
                object.__setattr__(self, name, printable(text))

    @classmethod
    def of(cls, error: SarcoMapError) -> Said:
        """The parts of an error that was raised on purpose."""
        return cls(error.where, error.found, error.expected, error.remedy)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at one study.

    Attributes
    ----------
    study : str
        The study's key: ``<eid>_<visit>``, a manifest's key, or ``input-<digest of its path>``.
    eid, visit : str or None
    input : InputIdentity
    digests : Digests
    outcome : {"done", "refused", "failed", "oom", "timeout"}
    error : Said or None
        None if the study is done.
    attempt : int
        1 for the first attempt at this study.
    worker : str
        Name of the process that recorded it.
    seconds : mapping of str to float
        By stage. ``total`` includes reading the digest and publishing.
    bytes : mapping of str to int
        ``input`` and ``output``.
    started_utc, ended_utc : str
        ISO 8601. For people only: a clock that jumps changes nothing.
    folder : str or None
        Name below ``studies/``; None unless the study is done.
    archive : str or None
        The tar that holds all of its files, relative to the cohort's folder.
    flags : tuple of str
        Codes of the report's quality flags.
    again : bool
        Whether a run tries again by itself, because a process was killed that the study need not have killed.
    peak_bytes : int
        Largest resident memory of the process during this attempt.
    """

    study: str
    eid: str | None
    visit: str | None
    input: InputIdentity
    digests: Digests
    outcome: Outcome
    error: Said | None
    attempt: int
    worker: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    bytes: Mapping[str, int] = field(default_factory=dict)
    started_utc: str = ""
    ended_utc: str = ""
    folder: str | None = None
    archive: str | None = None
    flags: tuple[str, ...] = ()
    again: bool = False
    peak_bytes: int = 0

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise InternalError("ledger", f"outcome {self.outcome}", f"one of {', '.join(OUTCOMES)}")
        if (self.error is None) != (self.outcome == "done"):
            raise InternalError("ledger", f"{self.outcome} with error {self.error}", "an error unless done")

    def without_identity(self) -> str:
        """JSON of what a de-identified study's folder may say of this attempt."""
        return json.dumps({"eid": None, "visit": self.visit, "flags": self.flags, "digests": _fields_of(self.digests)})

    def to_json(self) -> str:
        """One line of JSON."""
        # Ten times as fast as `dataclasses.asdict`, which copies everything.
        error = None if self.error is None else _fields_of(self.error)
        parts = {"input": _fields_of(self.input), "digests": _fields_of(self.digests), "error": error}
        return json.dumps({"version": VERSION} | _fields_of(self) | parts, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: _Line) -> Attempt:
        """The attempt of one line.

        Raises
        ------
        ValueError
            If the line is not one: it was cut off, or another version wrote it.
        """
        try:
            made = json.loads(text)
            if made.pop("version") != VERSION:
                raise ValueError("another version's record")
            made["input"] = InputIdentity(**made["input"])
            made["digests"] = _shared(Digests(**made["digests"]))
            made["error"] = Said(**made["error"]) if made["error"] else None
            made["flags"] = _shared(tuple(map(sys.intern, made["flags"])))
            for name in ("seconds", "bytes"):
                made[name] = {sys.intern(key): value for key, value in made[name].items()}
            for name in ("outcome", "worker", "started_utc", "ended_utc"):
                made[name] = sys.intern(made[name])
            if made["folder"] == made["study"]:
                made["folder"] = made["study"]
            return cls(**made)
        except (KeyError, TypeError, AttributeError, InternalError) as error:
            raise ValueError(f"not a record of an attempt ({type(error).__name__})") from error


def _fields_of(record: InputIdentity | Digests | Said | Attempt) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}
