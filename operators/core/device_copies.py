"""Copies of arrays that are still on a GPU, so that the next stage need not upload them again.

A stage that computed an array on a GPU and downloaded it remembers the copy here, under the array itself. The copy is
forgotten when the array is. An array that has a copy must not be changed in place; replace it by a new one.
"""

from __future__ import annotations

import weakref
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["copy_of", "forget_all", "remember"]

_copies: dict[int, tuple[weakref.ref[NDArray[np.generic]], Any]] = {}
_lock = Lock()


def remember(array: NDArray[np.generic], copy: Any) -> None:
    """Remember that ``copy``, on a GPU, holds the values of ``array``.

    Parameters
    ----------
    array : ndarray
    copy : object
        A tensor, or anything else that has the CUDA array interface.
    """
    key = id(array)

    def forget(_: object) -> None:
        _copies.pop(key, None)  # one operation of a dict, which no other thread interrupts

    with _lock:
        _copies[key] = (weakref.ref(array, forget), copy)


def copy_of(array: NDArray[np.generic]) -> Any | None:
    """The copy of this very array, or None. Another array with the same values has none."""
    found = _copies.get(id(array))
    return found[1] if found is not None and found[0]() is array else None


def forget_all() -> None:
    """Forget all copies, which frees their memory on the GPU."""
    with _lock:
        _copies.clear()
