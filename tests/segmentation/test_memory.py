"""Releasing memory loses nothing that is still needed."""

from __future__ import annotations

import mmap
import os
import re
from pathlib import Path

import pytest

from operators.segmentation.memory import drop_mapped_pages

SMAPS = Path("/proc/self/smaps")
pytestmark = pytest.mark.skipif(not SMAPS.is_file(), reason="the kernel does not report which pages are in memory")
SIZE = 64 * mmap.PAGESIZE


def resident_bytes(path: Path) -> int:
    """Bytes of a mapped file that are in this process's memory."""
    parts = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", SMAPS.read_text(), flags=re.MULTILINE)
    return sum(
        1024 * int(found[1]) for part in parts if str(path) in part and (found := re.search(r"Rss: +(\d+)", part))
    )


def test_pages_mapped_for_reading_are_released_and_read_again_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "compiled.blob"
    content = os.urandom(SIZE)
    path.write_bytes(content)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert mapped[:] == content and resident_bytes(path) == SIZE
        drop_mapped_pages(tmp_path, ".blob")
        assert resident_bytes(path) == 0
        assert mapped[:] == content


def test_other_folders_and_what_was_written_stay(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    mine, other = tmp_path / "mine.blob", tmp_path / "other" / "theirs.blob"
    mine.write_bytes(bytes(SIZE))
    other.write_bytes(bytes(SIZE))
    with (
        mine.open("rb") as a,
        other.open("rb") as b,
        mmap.mmap(a.fileno(), 0, access=mmap.ACCESS_COPY) as changed,
        mmap.mmap(b.fileno(), 0, access=mmap.ACCESS_READ) as theirs,
    ):
        changed[:] = b"\1" * SIZE
        assert theirs[:] == bytes(SIZE)
        drop_mapped_pages(tmp_path, ".blob")
        assert changed[:] == b"\1" * SIZE
        assert resident_bytes(other) == SIZE
