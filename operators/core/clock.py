"""The time of day and a stopwatch, in one place so that tests can replace them."""

from __future__ import annotations

import time
from datetime import datetime

__all__ = ["now", "seconds"]


def now() -> datetime:
    """The current local time, with its time zone."""
    return datetime.now().astimezone()


def seconds() -> float:
    """Seconds of a clock that never runs backwards."""
    return time.perf_counter()
