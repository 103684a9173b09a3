"""`python -m monai.bundle run` does what the bundle's README says, on a tiny network and two small participants."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch

from bundle.scripts import latest_checkpoint, save_weights
from phantom.training_set import write_training_set

ROOT = Path(__file__).parents[2]
SMALL = [
    "--roi", "[32,32,32]", "--spacing_mm", "[16.0,16.0,24.0]",
    "--network_def#feature_size", "4", "--network_def#hidden_size", "24", "--network_def#mlp_dim", "48",
]  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    write_training_set(folder, range(3), spacing_mm=(16.0, 16.0, 24.0))
    return folder


def run(*configs: str, arguments: list[str]) -> str:
    files = ",".join(f"'bundle/configs/{name}'" for name in configs)
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", f"[{files}]", *SMALL, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def test_train_resume_evaluate_and_infer(pairs: Path, tmp_path: Path) -> None:
    checkpoints, log = tmp_path / "checkpoints", tmp_path / "log"
    training = [
        "--dataset_dir", str(pairs), "--ckpt_dir", str(checkpoints), "--output_dir", str(log),
        "--validation_count", "1", "--epoch_length", "2", "--val_interval", "1",
    ]  # fmt: skip
    run("train.yaml", "demo.yaml", arguments=[*training, "--max_epochs", "1"])
    first = torch.load(checkpoints / "training_checkpoint_epoch=1.pt", weights_only=True)
    assert first["trainer"]["iteration"] == 2

    said = run("train.yaml", "demo.yaml", arguments=[*training, "--max_epochs", "2"])
    assert "Epoch: 1/2" not in said  # resumed, not begun again
    second = torch.load(checkpoints / "training_checkpoint_epoch=2.pt", weights_only=True)
    assert second["trainer"]["iteration"] == 4
    assert any(not torch.equal(second["network"][name], value) for name, value in first["network"].items())

    start = str(save_weights(str(latest_checkpoint(checkpoints)), tmp_path / "start.pt"))
    again = [*training, "--ckpt_dir", str(tmp_path / "second"), "--max_epochs", "1", "--start_weights", start]
    run("train.yaml", "demo.yaml", "demo_finetune.yaml", arguments=again)
    third = save_weights(str(latest_checkpoint(tmp_path / "second")), tmp_path / "third.pt")
    weights = ["--weights", str(third)]
    scores = tmp_path / "scores"
    run(
        "train.yaml", "demo.yaml", "evaluate.yaml",
        arguments=["--dataset_dir", str(pairs), "--output_dir", str(scores), *weights],
    )  # fmt: skip
    for metric in ("mean_dice", "mean_iou", "precision", "recall"):
        rows = list(csv.reader((scores / f"{metric}_raw.csv").open(), delimiter="\t"))
        assert len(rows) == 1 + 3  # a header and three participants

    labels = tmp_path / "labels"
    run(
        "inference.yaml", "demo.yaml",
        arguments=["--dataset_dir", str(pairs), "--output_dir", str(labels), *weights],
    )  # fmt: skip
    for participant in ("000000", "000001", "000002"):
        image = SimpleITK.ReadImage(str(pairs / participant / "water.nrrd"))
        found = SimpleITK.ReadImage(str(labels / participant / "water_labels.nii.gz"))
        assert found.GetSize() == image.GetSize()
        np.testing.assert_allclose(found.GetOrigin(), image.GetOrigin(), atol=1e-3)
        np.testing.assert_allclose(found.GetDirection(), image.GetDirection(), atol=1e-5)
        assert SimpleITK.GetArrayFromImage(found).max() < 29
