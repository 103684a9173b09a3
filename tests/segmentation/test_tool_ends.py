"""A tool of another maker does not outlive the run that started it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

HOLD = """
import os, sys
from pathlib import Path
from types import SimpleNamespace
from operators.segmentation import other_tool
other_tool.environment = lambda tool: dict(os.environ)
folder = Path(sys.argv[1]) / "work"
folder.mkdir()
other_tool._run(SimpleNamespace(name="tool"), ["sh", "-c", "echo $$ > ../pid; exec sleep 120"], folder, 100, 100)
"""


def test_a_tool_ends_with_a_run_that_is_killed(tmp_path: Path) -> None:
    # As the workers of a cohort are killed at their time limit, and a run by Ctrl-C.
    run = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], cwd=Path(__file__).parents[2])
    try:
        written = tmp_path / "pid"
        until = time.monotonic() + 120
        while not (written.exists() and written.read_text().strip()):
            assert run.poll() is None and time.monotonic() < until
            time.sleep(0.1)
    finally:
        run.kill()
        run.wait()
    until = time.monotonic() + 20
    while not ended(Path("/proc", written.read_text().strip())):
        assert time.monotonic() < until, "the tool goes on"
        time.sleep(0.1)


def ended(process: Path) -> bool:
    try:
        return " Z " in (process / "stat").read_text()
    except FileNotFoundError:
        return True
