"""Content of an output folder when runs begin, end and are killed."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from operators.core.errors import OutputError
from operators.core.output_folder import OWN_FILES, refuse_other_study, staged

HOLD = """
import sys, time
from pathlib import Path
from operators.core.output_folder import staged
with staged(Path(sys.argv[1])) as folder:
    (folder / "half.nrrd").write_bytes(b"half")
    print(folder, flush=True)
    time.sleep(60)
"""


def hold(output: Path) -> tuple[subprocess.Popen[str], Path]:
    """A running process and its hidden folder, which is made to look a minute old."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(output)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    assert folder.is_dir()
    minute_ago = folder.stat().st_mtime - 60
    os.utime(folder, (minute_ago, minute_ago))
    return process, folder


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    process, folder = hold(tmp_path)
    process.kill()
    process.wait()
    assert (folder / "half.nrrd").exists()
    with staged(tmp_path) as mine:
        assert mine.exists()
        assert not folder.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_run_beside_another_leaves_it_alone(tmp_path: Path) -> None:
    process, folder = hold(tmp_path)
    try:
        with staged(tmp_path):
            assert (folder / "half.nrrd").exists()
    finally:
        process.kill()
        process.wait()


def test_a_file_system_without_locks_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(file: int, kind: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with staged(tmp_path) as folder:
        (folder / "report.json").write_text("{}")
        os.utime(folder, (1, 1))
        with staged(tmp_path / "b"), staged(tmp_path):
            assert folder.exists()  # nobody knows whether its run lives
    assert (tmp_path / "report.json").exists()


def test_a_finished_folder_holds_one_run_and_what_is_not_ours(tmp_path: Path) -> None:
    ours = ("segmentation_confidence.nrrd", "derived/opp/0001.dcm", "fused/body.nrrd", "report.sr.dcm", "report.json")
    for name in (*ours, "notes.txt", "derived/mine.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("of an earlier run")
    with staged(tmp_path) as folder:
        (folder / "fused").mkdir()
        (folder / "fused" / "body.nrrd").write_text("new")
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"fused/body.nrrd", "notes.txt", "derived/mine.txt"}
    assert (tmp_path / "fused" / "body.nrrd").read_text() == "new"
    assert len(OWN_FILES) == len(set(OWN_FILES))


def test_after_an_error_the_earlier_run_is_still_there(tmp_path: Path) -> None:
    (tmp_path / "segmentation_confidence.nrrd").write_text("earlier")

    def fail() -> None:
        with staged(tmp_path) as folder:
            (folder / "report.json").write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["segmentation_confidence.nrrd"]


def test_another_studys_folder_is_refused_unless_it_may_be_replaced(tmp_path: Path) -> None:
    refuse_other_study(tmp_path / "new", "1.2.3", overwrite=False)
    (tmp_path / "report.json").write_text('{"study": {"study_uid": "1.2.3"}}')
    refuse_other_study(tmp_path, "1.2.3", overwrite=False)
    with pytest.raises(OutputError, match="another study") as raised:
        refuse_other_study(tmp_path, "1.2.4", overwrite=False)
    assert "--overwrite" in str(raised.value)
    refuse_other_study(tmp_path, "1.2.4", overwrite=True)
    (tmp_path / "report.json").write_text("cut o")
    refuse_other_study(tmp_path, "1.2.4", overwrite=False)  # nothing says whose it is
