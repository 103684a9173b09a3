"""The phases of the shipped model's training run in order, on a tiny network and two small participants."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch

from bundle.scripts import latest_checkpoint, load_checkpoint, save_weights
from bundle.scripts.training_curve import read_phase, write_curve
from operators.core.anatomy import CHANNEL_COUNT
from tests.bundle.tiny import ROOT, run_bundle, write_pairs, write_weights


def test_train_resume_finetune_and_infer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    pairs = write_pairs(tmp_path / "pairs", 2)
    checkpoints = tmp_path / "checkpoints"
    training = [
        "--dataset_dir", str(pairs), "--output_dir", str(tmp_path / "log"),
        "--validation_count", "1", "--epoch_length", "2", "--val_interval", "1",
    ]  # fmt: skip
    run_bundle("train.yaml", "demo.yaml", arguments=[*training, "--ckpt_dir", str(checkpoints), "--max_epochs", "1"])
    first = load_checkpoint(checkpoints / "training_checkpoint_epoch=1.pt")
    assert first["trainer"]["iteration"] == 2

    run_bundle("train.yaml", "demo.yaml", arguments=[*training, "--ckpt_dir", str(checkpoints), "--max_epochs", "2"])
    second = load_checkpoint(checkpoints / "training_checkpoint_epoch=2.pt")
    assert second["trainer"]["iteration"] == 4  # resumed, not restarted
    assert any(not torch.equal(second["network"][name], value) for name, value in first["network"].items())

    start = str(latest_checkpoint(checkpoints))
    again = [*training, "--ckpt_dir", str(tmp_path / "second"), "--max_epochs", "1", "--start_weights", start]
    again += ["--output_dir", str(tmp_path / "second_log")]
    run_bundle("train.yaml", "demo.yaml", "demo_finetune.yaml", arguments=again)
    third = save_weights(str(latest_checkpoint(tmp_path / "second")), tmp_path / "third.pt")

    phases = [read_phase(tmp_path / name) for name in ("log", "second_log")]
    assert [len(phase.loss) for phase in phases] == [4, 2]
    assert [[step for step, _ in phase.mean_dice] for phase in phases] == [[2, 4], [2]]
    write_curve(phases, tmp_path / "curve", every=2)
    with (tmp_path / "curve" / "training.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    losses = [(int(row["phase"]), int(row["step"]), float(row["loss"])) for row in rows if row["loss"]]
    assert [(phase, step) for phase, step, _ in losses] == [(1, 2), (1, 4), (2, 6)]
    np.testing.assert_allclose([losses[0][2], losses[2][2]], [p.loss[:2].mean() for p in phases], atol=1e-4)
    assert "</svg>" in (tmp_path / "curve" / "training.svg").read_text()

    labels = tmp_path / "labels"
    arguments = ["--dataset_dir", str(pairs), "--output_dir", str(labels), "--weights", str(third)]
    run_bundle("inference.yaml", "demo.yaml", arguments=arguments)
    for participant in ("000000", "000001"):
        image = SimpleITK.ReadImage(str(pairs / participant / "water.nrrd"))
        found = SimpleITK.ReadImage(str(labels / participant / "water_labels.nii.gz"))
        assert found.GetSize() == image.GetSize()
        np.testing.assert_allclose(found.GetOrigin(), image.GetOrigin(), atol=1e-3)
        np.testing.assert_allclose(found.GetDirection(), image.GetDirection(), atol=1e-5)
        assert SimpleITK.GetArrayFromImage(found).max() < CHANNEL_COUNT


@pytest.mark.parametrize(
    "phase_configs",
    [
        ["demo_people.yaml"],
        ["demo_people.yaml", "demo_people_end.yaml"],
        ["demo_people.yaml", "demo_people_end.yaml", "overrides/muon.yaml", "demo_people_long.yaml"],
    ],
)
def test_phases_on_people_train_on_phantoms_beside_painted_maps(
    tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch, phase_configs: list[str]
) -> None:
    monkeypatch.chdir(ROOT)
    data, checkpoints = tmp_path / "data", tmp_path / "people"
    for source, name in (("000000", "100000"), ("000001", "painted-0000"), ("000002", "usual-200000")):
        shutil.copytree(pairs / source, data / name)
    drawn = {"annotated": ["femur", "vastus_lateralis", "vastus_intermedius"]}
    drawn_as_one = {"vastus_intermedius": "vastus_lateralis"}
    (data / "painted-0000" / "classes.json").write_text(json.dumps(drawn | {"merged": drawn_as_one}))
    start = write_weights(tmp_path / "start.pt", "inference.yaml", "demo.yaml").state_dict()
    arguments = ["--dataset_dir", str(data), "--ckpt_dir", str(checkpoints), "--output_dir", str(tmp_path / "log")]
    arguments += ["--start_weights", str(tmp_path / "start.pt"), "--validation_count", "1"]
    arguments += ["--epoch_length", "4", "--max_epochs", "1", "--val_interval", "1"]
    run_bundle("train.yaml", "demo.yaml", "demo_finetune.yaml", *phase_configs, arguments=arguments)
    trained = load_checkpoint(checkpoints / "training_checkpoint_epoch=1.pt")
    assert trained["trainer"]["iteration"] == 4
    assert all(bool(torch.isfinite(value).all()) for value in trained["network"].values())
    assert any(not torch.equal(trained["network"][name], value) for name, value in start.items())
    phase = read_phase(tmp_path / "log")
    assert len(phase.loss) == 4 and np.isfinite(phase.loss).all() and len(phase.mean_dice) == 1
