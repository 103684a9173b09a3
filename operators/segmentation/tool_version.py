"""The version of a tool of another maker."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from operators.core.segmenters import Segmenter
from operators.segmentation.tool_process import run_tool

__all__ = ["version_of"]

_SECONDS = 60
_LONGEST = 64
_INTERPRETER = re.compile(rb"(/[^\s'\"]*python[\d.]*)")
_ASK = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"


def version_of(tool: Segmenter) -> str:
    """What the tool says of its version; empty when it says nothing.

    It is the first line that its version command prints, or the version of its Python package.
    """
    words = tool.version_words()
    if not words and tool.package and (interpreter := _interpreter(tool.program)):
        words = [interpreter, "-c", _ASK, tool.package]
    if not words:
        return ""
    with tempfile.TemporaryDirectory(prefix="sarcomap-version-", ignore_cleanup_errors=True) as name:
        folder = Path(name) / "work"
        folder.mkdir()
        ended = run_tool(words, folder, temporary=Path(name), seconds=_SECONDS, errors=False)
    lines = [] if ended.exceeded or ended.code else ended.lines()
    return lines[0][:_LONGEST].strip() if lines else ""


def _interpreter(program: str) -> str | None:
    """The Python that a program's first lines name, or the program itself if it is a Python."""
    path = shutil.which(program)
    if path is None or re.fullmatch(r"python[\d.]*", Path(path).name):
        return path
    try:
        with Path(path).open("rb") as file:
            head = file.read(512)
    except OSError:
        return None
    if not head.startswith(b"#!"):
        return None
    # Installers write long paths into a second line, which /bin/sh executes.
    found = _INTERPRETER.search(b"\n".join(head.splitlines()[:3]))
    return found[1].decode(errors="replace") if found else None
