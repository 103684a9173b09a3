"""`make train-demo` in small, from participants to weights that the bundle loads, without and with painted pairs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from operators.core.volume import Contrast
from operators.segmentation import load_model
from tests.bundle.tiny import NETWORK, ROOT

SHORT = ["--validation_count", "1", "--epoch_length", "2", "--max_epochs", "1"]


def train_demo(work: Path, **more: str) -> None:
    done = subprocess.run(
        ["bash", "bundle/scripts/train_demo.sh", *NETWORK, *SHORT, "--val_interval", "1"],
        cwd=ROOT,
        env=os.environ
        | {"WORK": str(work), "COUNT": "1", "USUAL": "1", "PYTHON": sys.executable, "COARSE_ROI": "[32,32,32]"}
        | more,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_one_command_makes_participants_both_phases_weights_and_curve(tmp_path: Path) -> None:
    train_demo(tmp_path)
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["100000", "200000"]
    for phase in ("coarse", "fine"):
        assert (tmp_path / phase / "log" / "validation.csv").is_file()
    coarse, fine = (torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in ("coarse", "fine"))
    assert any(not torch.equal(fine[name], value) for name, value in coarse.items())
    assert (tmp_path / "curve" / "training.svg").is_file()
    model = load_model(tmp_path / "bundle")
    assert model.card.synthetic_training and "SarcoMAP phantoms" in model.card.training_data
    assert all(torch.equal(fine[name], value.cpu()) for name, value in model.network.state_dict().items())


@pytest.mark.slow
def test_painted_pairs_add_three_phases_and_the_card_names_their_source(tmp_path: Path, pairs: Path) -> None:
    data = tmp_path / "work" / "data"
    shutil.copytree(pairs / "000000", data / "100000")  # made already, so that the phantoms are not made again
    shutil.copytree(pairs / "000001", data / "200000")
    shutil.copytree(pairs / "000002", tmp_path / "painted" / "person")
    drawn = {"annotated": ["femur", "gluteus_maximus"], "merged": {}}
    (tmp_path / "painted" / "person" / "classes.json").write_text(json.dumps(drawn))
    train_demo(tmp_path / "work", PAINTED=str(tmp_path / "painted"), SOURCES="label map of one person (this test)")
    assert sorted(path.name for path in (tmp_path / "work" / "people-data").iterdir()) == [
        "100000", "painted-person", "usual-200000",
    ]  # fmt: skip
    fine, people, end, longer = (
        torch.load(tmp_path / "work" / phase / "weights.pt", weights_only=True)
        for phase in ("fine", "people", "people-end", "people-long")
    )
    assert any(not torch.equal(people[name], value) for name, value in fine.items())
    assert any(not torch.equal(end[name], value) for name, value in people.items())
    assert any(not torch.equal(longer[name], value) for name, value in end.items())
    model = load_model(tmp_path / "work" / "bundle")
    assert all(torch.equal(longer[name], value.cpu()) for name, value in model.network.state_dict().items())
    assert model.card.synthetic_training and "real anatomy: label map of one person" in model.card.training_data
    assert model.can_lack == {Contrast.FAT}


def test_painted_pairs_need_their_source(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "bundle/scripts/train_demo.sh"],
        cwd=ROOT,
        env=os.environ | {"WORK": str(tmp_path / "work"), "PAINTED": str(tmp_path), "PYTHON": "false", "SOURCES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0 and "where the painted label maps come from" in done.stderr
    assert not (tmp_path / "work").exists()
