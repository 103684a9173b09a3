"""The user's cache folder."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["user_cache"]


def user_cache() -> Path | None:
    """``$XDG_CACHE_HOME``, or else ``~/.cache``; None for a user without a home, as in a container under any number."""
    given = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    return given if given.is_absolute() else None  # "~" stays as it is where there is no home
