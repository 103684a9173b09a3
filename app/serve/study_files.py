"""Somebody else's zips and folders on their way into the queue."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

__all__ = ["copied", "digest", "remove"]


def digest(path: Path) -> tuple[str, int, int]:
    """Key, files and bytes of a zip or a folder; names and dates do not count."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    digests = []
    for file in files:
        with file.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
    key = hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()[:12]
    return key, len(files), sum(file.stat().st_size for file in files)


def copied(path: Path, folder: Path) -> Path:
    """A copy of a zip or a folder, of the same name."""
    target = folder / path.name
    return Path(shutil.copytree(path, target) if path.is_dir() else shutil.copy2(path, target))


def remove(path: Path) -> None:
    """Remove a zip or a folder that is in the queue.

    Raises
    ------
    OSError
        When it cannot be removed.
    """
    if not path.is_dir():
        path.unlink()
        return
    # A folder of which only a part could be removed would be taken for another study; this name is passed over.
    hidden = path.with_name(f".{path.name}.taken")
    shutil.rmtree(hidden, ignore_errors=True)
    shutil.rmtree(path.rename(hidden))
