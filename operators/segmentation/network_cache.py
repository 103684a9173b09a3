"""Where exported and compiled networks are kept."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from operators.core.user_cache import user_cache

__all__ = ["CACHE_VARIABLE", "cache_folder", "chosen_cache_folder"]

CACHE_VARIABLE = "SARCOMAP_CACHE"


def chosen_cache_folder() -> Path | None:
    """``$SARCOMAP_CACHE``, or else ``sarcomap`` in the user's cache folder, if there is one. It need not exist."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    base = user_cache()
    return base / "sarcomap" if base is not None else None


def cache_folder() -> Path:
    """The folder of `chosen_cache_folder`, made if necessary.

    If that folder cannot be written, it is a temporary folder that is removed
    when the process ends.
    """
    folder = chosen_cache_folder()
    if folder is not None:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK | os.X_OK):
                return folder
    return _temporary_folder()


@cache
def _temporary_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="sarcomap-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
