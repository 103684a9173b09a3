"""The version of a tool of another maker, and the environment in which it runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from operators.core.segmenters import Segmenter

__all__ = ["environment", "version_of"]

_SECONDS = 60
_LONGEST = 64
_ROOT = Path(__file__).resolve().parents[2]
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
    try:
        answer = subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
            env=environment(tool),
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return next((line.strip()[:_LONGEST] for line in answer.stdout.splitlines() if line.strip()), "")


def environment(tool: Segmenter) -> dict[str, str]:
    """The variables of its process. Our own programs find our packages from any folder."""
    own = dict(os.environ)
    if tool.program == sys.executable:
        own["PYTHONPATH"] = os.pathsep.join([str(_ROOT), *filter(None, [own.get("PYTHONPATH")])])
    return own


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
