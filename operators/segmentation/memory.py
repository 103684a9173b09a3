"""Return of unused memory to the system; on systems other than Linux, these functions do nothing."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

__all__ = ["drop_mapped_pages", "return_freed_memory"]

_MAPS = Path("/proc/self/maps")
_MADV_DONTNEED = 4  # Linux, all architectures that PyTorch has


def return_freed_memory() -> None:
    """Return freed memory to the system; glibc would keep hundreds of megabytes of it for later."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def drop_mapped_pages(folder: Path, suffix: str) -> None:
    """Drop the pages of a folder's files that are mapped read-only; they are read again when needed.

    Do not use it for libraries: their pages are read-only now but were written to when they were loaded.
    """
    if not _MAPS.is_file():
        return
    folder = folder.resolve()
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for line in _MAPS.read_text(encoding="utf-8", errors="replace").splitlines():
        addresses, permissions, _, _, _, *path = line.split(maxsplit=5)
        file = Path(*path)
        if permissions.startswith("r--") and file.parent == folder and file.suffix == suffix:
            start, end = (int(address, 16) for address in addresses.split("-"))
            madvise(start, end - start, _MADV_DONTNEED)
