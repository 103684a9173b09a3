"""Every command shows its help without importing the libraries that its work needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Importing any of these takes longer than a help text may take to appear.
HEAVY = {"torch", "monai", "holoscan", "numba", "pandas", "scipy", "matplotlib", "statsmodels", "pydicom", "pynetdicom"}
HEAVY |= {"nibabel", "requests", "dicomweb_client", "SimpleITK", "numpy"}


@pytest.mark.parametrize(
    "command",
    [
        "sarcomap",
        "sarcomap run",
        "sarcomap analysis",
        "sarcomap analysis run",
        "sarcomap analysis collect",
        "sarcomap analysis audit",
        "sarcomap phantom",
        "sarcomap phantom study",
        "sarcomap phantom training-set",
        "sarcomap phantom table",
        "sarcomap serve",
        "analysis",
        "analysis run",
        "phantom",
        "phantom study",
        "app",
        "app.serve",
    ],
)
def test_help_needs_nothing_heavy_and_names_the_command_as_it_was_started(command: str) -> None:
    module, *words = command.split()
    script = (
        "import sys\n"
        f"from {module}.__main__ import main\n"
        f"code = main({[*words, '--help']!r})\n"
        f"assert not {HEAVY!r} & set(sys.modules), sorted({HEAVY!r} & set(sys.modules))\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    name = command if module == "sarcomap" else f"python -m {command}"
    assert done.stdout.startswith(f"Usage: {name}")
    assert max(map(len, done.stdout.splitlines())) <= 110
