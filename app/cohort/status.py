"""What has become of the studies of a cohort, from its ledger."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from app.cohort.ledger import Ledger, latest
from app.cohort.progress import counted_studies, duration
from app.cohort.records import OUTCOMES, Attempt
from operators.core import clock

__all__ = ["Status", "as_json", "as_text", "read_status"]

_SHOWN = 5
_RECENT = timedelta(hours=1)


@dataclass(frozen=True)
class Status:
    """The state of a cohort.

    Attributes
    ----------
    studies : int
        Studies of the latest run's inputs, and those of earlier runs that are not among them.
    known : mapping of str to Attempt
        The last attempt at each study.
    attempts : int
    damaged : int
        Lines of the ledger that cannot be read.
    unrecorded : int
        Done studies that are not in the ledger, because it was lost, or because a process was killed.
    gone : frozenset of str
        Studies that were done, and whose results are not there any more.
    """

    studies: int
    known: Mapping[str, Attempt]
    attempts: int
    damaged: int
    unrecorded: int = 0
    gone: frozenset[str] = frozenset()

    @property
    def counts(self) -> dict[str, int]:
        """Studies by outcome; without those whose results are gone."""
        found: Counter[str] = Counter(
            one.outcome for one in self.known.values() if not (one.again or one.study in self.gone)
        )
        return {outcome: found.get(outcome, 0) for outcome in OUTCOMES}

    @property
    def left(self) -> int:
        """Studies without an outcome."""
        return max(self.studies - sum(self.counts.values()), 0)


def read_status(out: Path) -> Status:
    """Read the ledger, ``run.json``, and the records of done studies that the ledger does not have."""
    ledger = Ledger(out)
    attempts, damaged = ledger.attempts()
    missing = ledger.unrecorded(attempts)
    known = latest([*attempts, *missing])
    try:
        run = json.loads((out / "run.json").read_bytes())
        studies = int(run["studies"]) + int(run.get("others", 0))
    except (OSError, ValueError, KeyError, TypeError):
        studies = len(known)
    there = ledger.published()
    gone = frozenset(one.study for one in known.values() if one.outcome == "done" and one.folder not in there)
    return Status(max(studies, len(known)), known, len(attempts), damaged, len(missing), gone)


def as_text(status: Status, every_failure: bool) -> str:
    """Lines for a person."""
    lines = [counted_studies(status.studies)]
    lines += [f"  {outcome:<8} {number}" for outcome, number in status.counts.items() if number]
    if status.left:
        lines.append(f"  {'left':<8} {status.left}")
    lines += _pace(status)
    flags = Counter(code for one in status.known.values() for code in one.flags)
    if flags:
        lines.append("flags: " + ", ".join(f"{code} {number}" for code, number in flags.most_common(_SHOWN)))
    failures = [one for one in status.known.values() if one.error is not None]
    if failures and not every_failure:
        lines.append("most frequent reasons:")
        reasons = Counter((one.outcome, one.error.found, one.error.remedy) for one in failures if one.error)
        lines += [f"  {n} {outcome}: {found}. {what}" for (outcome, found, what), n in reasons.most_common(_SHOWN)]
    if every_failure:
        for one in sorted(failures, key=lambda one: one.study):
            if one.error is not None:
                said = one.error
                lines.append(
                    f"{one.study} {one.outcome} (attempt {one.attempt}): {said.where}: {said.found}; "
                    f"expected {said.expected}. {said.remedy}"
                )
    if status.gone:
        gone = counted_studies(len(status.gone))
        lines.append(f"done, but the results are gone: {gone}; a run with their inputs makes them again")
    if status.unrecorded:
        lines.append(f"done but not in the ledger: {counted_studies(status.unrecorded)}; the next run adds them")
    if status.damaged:
        lines.append(f"lines of the ledger that were cut off when a process was killed: {status.damaged}")
    return "\n".join(lines)


def as_json(status: Status) -> str:
    """The same for programs, with the last attempt at each study."""
    studies = [asdict(status.known[study]) for study in sorted(status.known)]
    about = {"studies": status.studies, "outcomes": status.counts, "left": status.left, "attempts": status.attempts}
    about |= {"damaged": status.damaged, "unrecorded": status.unrecorded, "gone": sorted(status.gone)}
    return json.dumps(about | {"latest": studies}, indent=1)


def _pace(status: Status) -> list[str]:
    """Seconds of a study, the rate of the last hour, and the time left at this rate."""
    done = [one for one in status.known.values() if one.outcome == "done"]
    if not done:
        return []
    spent = sum(one.seconds.get("total", 0.0) for one in done)
    size = sum(one.bytes.get("output", 0) for one in done)
    lines = [f"{spent / len(done):.1f} s and {size / len(done) / 1e6:.0f} MB of results a study"]
    now = clock.now()
    ended = [datetime.fromisoformat(one.ended_utc) for one in status.known.values() if one.ended_utc]
    recent = sum(1 for when in ended if timedelta() <= now - when <= _RECENT)
    if recent:
        left = f", {duration(3600 * status.left / recent)} left at this rate" if status.left else ""
        lines.append(f"{recent} in the last hour{left}")
    return lines
