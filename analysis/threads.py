"""Threads: one for the linear algebra library, one a processor for tables that do not need each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import ThreadpoolController

__all__ = ["made_together", "one_blas_thread"]

P = ParamSpec("P")
R = TypeVar("R")

_CONTROLLER = ThreadpoolController()
# Each thread holds the columns of one model; more of them gain little, because the longest table decides.
_MOST_THREADS = 4


def made_together(makers: Mapping[str, Callable[[], R]]) -> dict[str, R]:
    """Call functions that do not need each other, several at a time; the results in the order of ``makers``.

    NumPy works on large arrays without Python's lock, so that threads use every processor. No function may wait for
    another, and none may draw: matplotlib belongs to one thread.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(min(processors, _MOST_THREADS)) as pool:
        waiting = {name: pool.submit(maker) for name, maker in makers.items()}
        return {name: future.result() for name, future in waiting.items()}


def one_blas_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Run a function with a single BLAS thread.

    Products of a tall matrix with few columns take a millisecond. Using several
    threads for them costs more than it gains. On a busy machine it takes ten
    times as long, because the threads wait for one another.
    """

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        with _CONTROLLER.limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return limited
