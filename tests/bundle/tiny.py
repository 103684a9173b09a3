"""A tiny network, a few coarse participants, and MONAI's own commands run on them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "bundle" / "configs"
SPACING_MM = (16.0, 16.0, 24.0)
NETWORK = [
    "--roi", "[32,32,32]", "--spacing_mm", "[16.0,16.0,24.0]",
    "--network_def#feature_size", "2", "--network_def#hidden_size", "12",
    "--network_def#mlp_dim", "12", "--network_def#num_heads", "2",
]  # fmt: skip


def config_argument(*names: str) -> str:
    """The value of --config_file for files of bundle/configs."""
    files = ",".join(f"'bundle/configs/{name}'" for name in names)
    return f"[{files}]"


def run_bundle(*configs: str, arguments: Sequence[str], network: Sequence[str] = NETWORK) -> str:
    """``python -m monai.bundle run`` in a process of its own; returns what it said."""
    command = [
        sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--config_file", config_argument(*configs),
        *network, *arguments,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]
    return done.stdout + done.stderr
