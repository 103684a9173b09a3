"""Results of a study as they come into the cohort's folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import pytest

from app.cohort.publish import publish
from app.cohort.records import Attempt


def test_results_are_on_the_disk_before_they_have_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".work" / "a"
    (folder / "derived" / "water").mkdir(parents=True)
    for name in ("report.json", "derived/water/1.dcm", "derived/water/2.dcm"):
        (folder / name).write_text("made")
    done: list[str] = []
    fsync, rename = os.fsync, os.rename

    def synced(opened: int) -> None:
        done.append(Path(os.readlink(f"/proc/self/fd/{opened}")).name)
        fsync(opened)

    def renamed(source: Path, target: Path) -> None:
        done.append("renamed")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    assert publish(tmp_path, folder, "1_2", cast(Attempt, None)) is None
    before, after = done[: done.index("renamed")], done[done.index("renamed") + 1 :]
    assert sorted(before) == ["1.dcm", "2.dcm", "a", "derived", "report.json", "water"]
    assert after == ["studies"]
