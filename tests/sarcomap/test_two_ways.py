"""The plain pipeline and the MONAI Deploy application give the same files, byte for byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.made_study import ROOT, clean_environment, contents

#: Both ways in one process with a fixed clock.
_BOTH = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from operators.core import clock
from operators.core.options import DicomOptions, RunOptions, SegmentationOptions

clock.now = lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
clock.seconds = lambda: 0.0
from app.run import run_study
from operators.pipeline import process_study
from operators.segmentation import load_model

study, bundle, out = map(Path, sys.argv[1:])
options = RunOptions(device="cpu", segmentation=SegmentationOptions(confidence=True))
model = load_model(bundle)
process_study(study, out / "plain", options, model=model)
process_study(study, out / "again", options, model=model)
run_study(study, out / "deploy", options, model=model)
"""


@pytest.mark.slow
def test_both_ways_write_the_same_bytes_and_a_model_serves_many_studies(
    study: Path, bundle: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BOTH, str(study), str(bundle), str(tmp_path)],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    plain, again, deploy = (contents(tmp_path / name) for name in ("plain", "again", "deploy"))
    assert plain is not None and "report.json" in plain and "segmentation_confidence.nrrd" in plain
    assert plain.keys() == deploy.keys() == again.keys()  # type: ignore[union-attr]
    assert [name for name in plain if plain[name] != deploy[name]] == []  # type: ignore[index]
    assert [name for name in plain if plain[name] != again[name]] == []  # type: ignore[index]


_WITHOUT = """
import sys
for name in ("monai.deploy", "holoscan", "cuda", "cuda.pathfinder", "operators.deploy"):
    sys.modules[name] = None
from pathlib import Path
from operators.core.options import RunOptions
from operators.pipeline import process_study

result = process_study(Path(sys.argv[1]), Path(sys.argv[3]), RunOptions(device="cpu"), model=Path(sys.argv[2]))
assert result.report["schema_version"] and set(result.seconds) == {"load", "fuse", "segment", "write", "report"}
loaded = {name.split(".")[0] for name in sys.modules if sys.modules[name] is not None}
assert not loaded & {"holoscan", "cupy", "ignite", "tensorboard", "matplotlib"}, loaded
"""


@pytest.mark.slow
def test_the_pipeline_needs_neither_monai_deploy_nor_holoscan_nor_the_cuda_runtime(
    study: Path, bundle: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, str(study), str(bundle), str(tmp_path / "out")],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").is_file()
