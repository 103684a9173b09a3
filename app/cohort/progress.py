"""What a user sees while a cohort is processed: rate, time left, outcomes and flags."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence

from app.cohort.plan import Plan
from app.cohort.records import Attempt
from app.cohort.studies import StudyInput

__all__ = ["CohortProgress", "counted_studies", "duration"]

_TERMINAL_S, _LOG_S = 0.5, 60.0
_FLAGS = 3


class CohortProgress:
    """One line on a terminal that is written again and again, or a line a minute in a log.

    Parameters
    ----------
    quiet : bool
        Show nothing but what `say` is told.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._on_terminal = sys.stderr.isatty()
        self._began = self._shown = time.monotonic()
        self._outcomes: Counter[str] = Counter()
        self._flags: Counter[str] = Counter()
        self._to_do = 0
        self._open = False
        self._unshown = False

    def say(self, text: str) -> None:
        """Show a line by itself."""
        self._close()
        print(text, file=sys.stderr, flush=True)

    def begin(self, total: int, ours: Sequence[StudyInput], plan: Plan) -> None:
        """Say what will be done, and why studies are processed again."""
        self._began = self._shown = time.monotonic()
        self._to_do = len(plan.tasks)
        if self._quiet:
            return
        part = f"{len(ours)} of {total} studies (this shard)" if len(ours) != total else counted_studies(total)
        self.say(f"SarcoMAP cohort: {part}, {len(plan.settled)} have their outcome, {len(plan.tasks)} to process")
        for why, number in plan.reasons.most_common():
            hint = "; --accept-software would take them as done" if why == "software changed" else ""
            self.say(f"  {number} again: {why}{hint}")
        if plan.doubtful:
            self.say(
                f"warning: {plan.doubtful} done studies now have more than one input for their eid and visit; "
                "their results are those of the input that the ledger names"
            )

    def result(self, attempt: Attempt) -> None:
        """A study has its outcome."""
        self._outcomes[attempt.outcome] += 1
        self._flags.update(attempt.flags)
        now = time.monotonic()
        self._unshown = True
        if not self._quiet and now - self._shown >= (_TERMINAL_S if self._on_terminal else _LOG_S):
            self._shown = now
            self._show(self.line(now))
            self._unshown = False

    def end(self) -> None:
        """Show the last line."""
        if not self._quiet and self._unshown:
            self._show(self.line(time.monotonic()))
        self._close()

    def line(self, now: float) -> str:
        """The line at a time of the monotonic clock."""
        ended = sum(self._outcomes.values())
        seconds = max(now - self._began, 1e-6)
        rate = ended / seconds
        left = duration((self._to_do - ended) / rate) if rate else "?"
        parts = [
            f"{ended} of {self._to_do} ({100 * ended / max(self._to_do, 1):.1f}%)",
            f"{3600 * rate:.0f}/h" if rate < 1 else f"{rate:.1f}/s",
            f"{left} left" if ended < self._to_do else f"in {duration(seconds)}",
            *(f"{outcome} {number}" for outcome, number in self._outcomes.most_common()),
        ]
        flags = ", ".join(f"{code} {number}" for code, number in self._flags.most_common(_FLAGS))
        return "  ".join(parts) + (f"  flags: {flags}" if flags else "")

    def _show(self, text: str) -> None:
        if self._on_terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
            self._open = True
        else:
            print(text, file=sys.stderr, flush=True)

    def _close(self) -> None:
        if self._open:
            print(file=sys.stderr, flush=True)
            self._open = False


def counted_studies(number: int) -> str:
    """A number of studies in words.

    Examples
    --------
    >>> counted_studies(1), counted_studies(40000)
    ('1 study', '40000 studies')
    """
    return "1 study" if number == 1 else f"{number} studies"


def duration(seconds: float) -> str:
    """A duration in the two units that matter.

    Examples
    --------
    >>> duration(93784), duration(59)
    ('1 d 2 h', '59 s')
    """
    whole = round(seconds)
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    parts: list[str] = []
    for name, size in units:
        number, whole = divmod(whole, size)
        if number or parts:
            parts.append(f"{number} {name}")
    return " ".join(parts[:2]) or "0 s"
