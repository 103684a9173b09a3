"""Progress of loading, counted in files."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Progress", "Ticker"]

Progress = Callable[[int, int], None]


class Ticker:
    """Counts every file in both passes. A file that the second pass does not need is counted as done."""

    def __init__(self, progress: Progress | None, files: int) -> None:
        self.files = files
        self._progress, self._done, self._total = progress, 0, 2 * files

    def finish(self) -> None:
        """Count what no pass needed as done."""
        self(self._total - self._done)

    def __call__(self, count: int = 1) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)
