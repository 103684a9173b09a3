"""Exclusive use of a device, one study after the other: in a process in the order of places, or between processes."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

__all__ = ["Turns", "turn_between_processes"]


class Turns:
    """Turns at one device, in the order in which places were taken.

    A place is given up when its block ends, so that a study which fails before its turn holds nobody up.

    Examples
    --------
    >>> turns = Turns()
    >>> with turns.place() as turn:
    ...     with turn:
    ...         print("on the device")
    on the device
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._line: list[object] = []

    def place(self) -> _Place:
        """Take the next place in the line, now; use it as a context manager, from any thread."""
        place = _Place(self)
        with self._changed:
            self._line.append(place)
        return place

    def _wait(self, place: object) -> None:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._line) and self._line[0] is place)

    def _leave(self, place: object) -> None:
        with self._changed:
            if place in self._line:
                self._line.remove(place)
                self._changed.notify_all()


class _Place:
    """A place in the line of `Turns`: gives the context manager of its turn, and leaves the line at its end."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    def __enter__(self) -> AbstractContextManager[None]:
        return self._turn()

    def __exit__(self, *_: object) -> None:
        self._turns._leave(self)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self._turns._wait(self)
        try:
            yield
        finally:
            self._turns._leave(self)


@contextmanager
def turn_between_processes(file: Path) -> Iterator[None]:
    """Wait until no other process of this machine is in such a block with the same file.

    The system ends the turn of a process that dies.

    Parameters
    ----------
    file : Path
        It is made if it is missing, and stays empty. It must be on a file system of this machine.
    """
    with file.open("ab") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
