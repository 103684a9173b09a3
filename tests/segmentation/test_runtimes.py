"""The runtimes of networks report nothing about this machine to their makers."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.segmentation.made_bundle import random_unetr_bundle

ROOT = Path(__file__).parents[2]
OPEN = """
import sys
from operators.core.options import SegmentationOptions
from operators.segmentation import load_model
from operators.segmentation.networks import open_network

network = open_network(load_model(sys.argv[1]), SegmentationOptions(backend=sys.argv[2], device="cpu"))
print(network.description, *{name.partition(".")[0] for name in sys.modules if "telemetry" in name})
"""
#: Both runtimes are quiet where one of these is set.
CI = {"CI", "TF_BUILD", "GITHUB_ACTIONS", "CIRCLECI", "TRAVIS", "JENKINS_URL", "ORT_DISABLE_TELEMETRY"}


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_network_leaves_no_identifier_for_telemetry_in_the_home_folder(backend: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    bundle = random_unetr_bundle(tmp_path / "bundle", (6.0, 5.0, 7.0))
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in {*CI, "XDG_CACHE_HOME"}}
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(bundle), backend],
        cwd=ROOT,
        env=kept | {"HOME": str(home), "SARCOMAP_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert backend in done.stdout and "openvino_telemetry" not in done.stdout
    assert [path.name for path in home.rglob("*") if "numba" not in path.parts] == []
