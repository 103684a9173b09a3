"""`make train-demo` in small, from participants to weights that the bundle loads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from operators.segmentation import load_model
from tests.bundle.tiny import NETWORK, ROOT


@pytest.mark.slow
def test_one_command_makes_participants_both_phases_weights_and_curve(tmp_path: Path) -> None:
    short = ["--start_roi", "[32,32,32]", "--validation_count", "1", "--epoch_length", "2", "--max_epochs", "1"]
    done = subprocess.run(
        ["bash", "bundle/scripts/train_demo.sh", *NETWORK, *short, "--val_interval", "1"],
        cwd=ROOT,
        env=os.environ | {"WORK": str(tmp_path), "COUNT": "1", "USUAL": "1", "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["100000", "200000"]
    for phase in ("coarse", "fine"):
        assert (tmp_path / phase / "log" / "validation.csv").is_file()
    coarse, fine = (torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in ("coarse", "fine"))
    assert any(not torch.equal(fine[name], value) for name, value in coarse.items())
    assert (tmp_path / "curve" / "training.svg").is_file()
    model = load_model(tmp_path / "bundle")
    assert model.card.synthetic_training and "SarcoMAP phantoms" in model.card.training_data
    assert all(torch.equal(fine[name], value.cpu()) for name, value in model.network.state_dict().items())
