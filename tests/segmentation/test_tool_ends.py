"""A tool of another maker does not outlive the run that started it, and neither do the images that it was given."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HOLD = """
import sys
from pathlib import Path
from operators.segmentation.tool_process import run_tool
folder = Path(sys.argv[1]) / "temporary" / "work"
folder.mkdir(parents=True)
words = "setsid sleep 120 & echo $! > ../../child; echo $$ > ../../pid; exec sleep 120"
run_tool(["sh", "-c", words], folder, temporary=folder.parent, seconds=100)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_tool_and_what_it_started_end_with_a_run_that_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    # As the workers of a cohort are killed at their time limit, and a run by Ctrl-C.
    run = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], cwd=Path(__file__).parents[2])
    try:
        written = tmp_path / "pid"
        until = time.monotonic() + 120
        while not (written.exists() and written.read_text().strip()):
            assert run.poll() is None and time.monotonic() < until
            time.sleep(0.1)
    finally:
        run.send_signal(number)
        run.wait()
    until = time.monotonic() + 20
    left = [Path("/proc", (tmp_path / name).read_text().strip()) for name in ("pid", "child")]
    while not all(map(ended, left)) or (tmp_path / "temporary").exists():
        assert time.monotonic() < until, "the tool, or its folder, is still there"
        time.sleep(0.1)


def ended(process: Path) -> bool:
    try:
        return " Z " in (process / "stat").read_text()
    except FileNotFoundError:
        return True
