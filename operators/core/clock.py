"""The time of day and of a stop-watch: the one place that a test replaces."""

from __future__ import annotations

import time
from datetime import datetime

__all__ = ["now", "seconds"]


def now() -> datetime:
    """The moment, aware, in local time."""
    return datetime.now().astimezone()


def seconds() -> float:
    """Seconds of a clock that never goes back."""
    return time.perf_counter()
