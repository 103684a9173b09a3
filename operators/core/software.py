"""The software that made a report."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from operators.core.dicom_objects import software_version

__all__ = ["git_commit", "software"]

_NAME = "sarcomap"


def software() -> dict[str, str | None]:
    """Name, version and git commit for ``report.json``; the commit is None when it is not known."""
    return {"name": _NAME, "version": software_version(), "git": git_commit()}


@cache
def git_commit() -> str | None:
    """The commit of this code: that of the installed distribution, or else of the working tree that holds it."""
    return _installed_commit() or _work_tree_commit()


def _installed_commit() -> str | None:
    # pip records the commit of what it installs from a repository (PEP 610).
    try:
        text = metadata.distribution(_NAME).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    recorded = json.loads(text) if text else {}
    commit = recorded.get("vcs_info", {}).get("commit_id")
    return str(commit) if commit else None


def _work_tree_commit() -> str | None:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
