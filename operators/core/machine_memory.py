"""How much memory this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["memory_of_machine"]


def memory_of_machine() -> int:
    """Bytes of memory that this process may use: the machine's, or the limit of its container or job."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in _limit_files():
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            limits.append(int(text))
    if given := os.environ.get("SLURM_MEM_PER_NODE", ""):  # MiB; a site need not enforce it with a cgroup
        limits.append(int(given) << 20 if given.isdecimal() else limits[0])
    return min(limit for limit in limits if limit > 0)


def _limit_files() -> Iterator[Path]:
    root = Path("/sys/fs/cgroup")
    yield root / "memory.max"
    yield root / "memory" / "memory.limit_in_bytes"
    try:
        groups = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in groups:
        inner = root / line.rpartition(":")[2].lstrip("/")
        for folder in (inner, *inner.parents):
            if root in folder.parents:
                yield folder / "memory.max"
