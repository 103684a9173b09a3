"""The process of a tool of another maker: nothing of it is left, and its limits hold for all that it starts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from operators.core.errors import SegmentationError
from operators.core.segmenters import Segmenter
from operators.segmentation import other_tool, tool_version
from operators.segmentation.tool_process import Ended, run_tool

BACKGROUND = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]], start_new_session=True)"


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Ended]:
    def run(*words: str, seconds: float = 60, memory_gb: float = 8) -> Ended:
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        return run_tool(list(words), folder, temporary=tmp_path, seconds=seconds, memory_gb=memory_gb)

    return run


def test_what_a_tool_leaves_in_the_background_ends_with_it(run: Callable[..., Ended], tmp_path: Path) -> None:
    later = f"import time; time.sleep(2); open({str(tmp_path / 'later')!r}, 'w')"
    assert run(sys.executable, "-c", BACKGROUND, later).code == 0
    time.sleep(3)
    assert not (tmp_path / "later").exists()


def test_memory_counts_in_a_session_of_its_own_too(run: Callable[..., Ended]) -> None:
    holds = "held = bytearray(400_000_000); import time; time.sleep(60)"
    waits = f"{BACKGROUND}; import time; time.sleep(60)"
    assert run(sys.executable, "-c", waits, holds, memory_gb=0.3).exceeded == "more than 0.3 GB of memory"


def test_of_much_that_a_tool_prints_the_beginning_and_the_end_are_kept(run: Callable[..., Ended]) -> None:
    prints = (
        "print('first'); [print('x' * 999) for _ in range(20_000)]; print('\\x1b[31mlast\\x1b[0m \\u202eword\\x07')"
    )
    ended = run(sys.executable, "-X", "utf8", "-c", prints)
    assert len(ended.printed) < 200_000
    assert (ended.lines()[0], ended.lines()[-1]) == ("first", "last word")


def test_a_tool_can_end_its_workers_though_our_signals_are_blocked(run: Callable[..., Ended]) -> None:
    ends_worker = "import subprocess; p = subprocess.Popen(['sleep', '60']); p.terminate(); print(p.wait(20))"
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # as `sarcomap run` does
    try:
        assert run(sys.executable, "-c", ends_worker).lines() == [str(-signal.SIGTERM)]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
def test_a_tool_that_a_signal_ended_is_told_with_its_name(tmp_path: Path, name: str) -> None:
    words = ["sh", "-c", f"kill -{name[3:]} $$"]
    (tmp_path / "work").mkdir()
    with pytest.raises(SegmentationError, match=f"it was ended by {name}"):
        other_tool._run(Segmenter("t", "sh {input}", "ours"), words, tmp_path / "work", 60, 8)


def test_a_program_that_is_none_is_told(run: Callable[..., Ended], tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("no program")
    (tmp_path / "tool").chmod(0o755)
    assert "cannot be started: Exec format error" in run(str(tmp_path / "tool")).printed


def test_a_tool_does_not_get_our_secrets(run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {"SARCOMAP_DICOMWEB_TOKEN", "SARCOMAP_DEIDENTIFY_KEY"}
    for name in (*secrets, "OTHER"):
        monkeypatch.setenv(name, "told")
    names = {line.partition("=")[0] for line in run("env").lines()}
    assert "OTHER" in names and not names & secrets


def test_the_version_is_the_first_line_without_colours() -> None:
    tool = Segmenter("t", "sh {input}", "ours", version=r"printf '\n\033[31m3.2\033[0m\007 b\nmore\n'")
    assert tool_version.version_of(tool) == "3.2 b"


def test_a_version_command_that_hangs_is_ended_with_all_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_version, "_SECONDS", 0.5)
    assert (
        tool_version.version_of(Segmenter("t", "sh {input}", "ours", version="sh -c 'sleep 98765 & sleep 98765'")) == ""
    )
    assert subprocess.run(["pgrep", "-f", "^sleep 98765"], capture_output=True).stdout == b""
