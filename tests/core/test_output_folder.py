"""Content of an output folder when runs begin, end and are killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from operators.core.output_folder import staged

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
