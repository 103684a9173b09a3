"""Zips and folders from the watched folder on their way into the queue."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

__all__ = ["copied", "digest", "remove"]


def digest(path: Path) -> tuple[str, int, int]:
    """Key, number of files and bytes of a zip or folder. Names and dates do not affect the key."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    digests = []
    for file in files:
        with file.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
    key = hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()[:12]
    return key, len(files), sum(file.stat().st_size for file in files)


def copied(path: Path, folder: Path) -> Path:
    """Copy a zip or folder under the same name."""
    target = folder / path.name
    return Path(shutil.copytree(path, target) if path.is_dir() else shutil.copy2(path, target))


def remove(path: Path) -> None:
    """Remove the original of a zip or folder that is in the queue.

    Raises
    ------
    OSError
        If it cannot be removed.
    """
    if not path.is_dir():
        path.unlink()
        return
    # A partly removed folder would count as another study, so it first gets a name that the watched folder ignores.
    hidden = path.with_name(f".{path.name}.taken")
    shutil.rmtree(hidden, ignore_errors=True)
    shutil.rmtree(path.rename(hidden))
