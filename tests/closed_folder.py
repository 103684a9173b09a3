"""A folder that this process may not enter, such as the home of another user."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["closed_folder"]

_NOBODY = 65534


@contextmanager
def closed_folder(parent: Path) -> Iterator[Path]:
    """A new folder in ``parent`` without permissions. A superuser acts as nobody while it exists."""
    folder = parent / "closed"
    folder.mkdir(mode=0o000)
    superuser = os.geteuid() == 0
    if superuser:
        os.seteuid(_NOBODY)
    try:
        yield folder
    finally:
        if superuser:
            os.seteuid(0)
        folder.chmod(0o700)
