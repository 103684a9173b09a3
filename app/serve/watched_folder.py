"""The watched folder: zips and folders that have stopped growing."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["Watcher"]


class Watcher:
    """Finds studies that have been copied completely into a folder.

    Each zip and each folder at the top level is one study. Names that begin with
    a dot or end with ``.part``, ``.partial`` or ``.tmp`` are ignored: they are
    still being written.

    Parameters
    ----------
    folder : Path
    quiet_s : float
        A study is complete when no name, size or date has changed for this many seconds.
    """

    def __init__(self, folder: Path, quiet_s: float) -> None:
        self.folder = folder
        self._quiet_s = quiet_s
        self._seen: dict[Path, tuple[object, float]] = {}

    def settled(self, now: float | None = None) -> list[Path]:
        """Complete studies, sorted by name.

        A file's modification date is not enough, because copies keep the date of their original. A folder
        without a file is one whose files are still to come.
        """
        now = time.monotonic() if now is None else now
        entries = {path: _appearance(path) for path in sorted(self.folder.iterdir()) if _is_study(path)}
        self._seen = {
            path: self._seen[path] if path in self._seen and self._seen[path][0] == looks else (looks, now)
            for path, looks in entries.items()
        }
        return [path for path, (looks, since) in self._seen.items() if looks and now - since >= self._quiet_s]


def _is_study(path: Path) -> bool:
    if path.name.startswith(".") or path.name.lower().endswith((".part", ".partial", ".tmp")) or path.is_symlink():
        return False
    return path.is_dir() or (path.is_file() and path.suffix.lower() == ".zip")


def _appearance(path: Path) -> object:
    with suppress(FileNotFoundError, NotADirectoryError):  # it was removed or renamed meanwhile
        if path.is_file():
            state = path.stat()
            return state.st_size, state.st_mtime_ns
    found = []
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                state = os.lstat(os.path.join(folder, name))
            except FileNotFoundError:  # being renamed
                continue
            found.append((folder, name, state.st_size, state.st_mtime_ns))
    return tuple(sorted(found))
