"""`multi_gpu_train.yaml` with two processes on one CPU: they train like one process with twice the batch."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from bundle.scripts import latest_checkpoint, load_checkpoint
from tests.bundle.test_docs import OTHERS, placed
from tests.bundle.tiny import CONFIGS, NETWORK, ROOT, config_argument, run_bundle, write_weights

#: Crops without randomness, so that a step depends only on the participants of its batch.
CROPS = "[{'_target_': 'ResizeWithPadOrCropd', 'keys': ['image', 'label'], 'spatial_size': [32, 32, 32]}]"
SHORT = ["--epoch_length", "2", "--val_interval", "1", "--validation_count", "3", "--random_transforms", CROPS]


def test_the_config_gives_each_process_its_share_of_the_participants() -> None:
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / name) for name in ("train.yaml", "multi_gpu_train.yaml")])
    parser["train_pairs"] = [{}] * 10
    parser["dist"] = None
    parser["train#sampler#rank"], parser["train#sampler#world_size"] = 1, 2
    parser["train#sampler#samples_per_epoch"] = None
    assert len(parser.get_parsed_content("train#sampler")) == 5


@pytest.mark.slow
def test_two_processes_train_validate_and_resume_as_one(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    two, one = tmp_path / "two", tmp_path / "one"
    for epochs in (1, 2):  # the second resumes from the first
        said = torchrun(pairs, two, *SHORT, "--batch_size", "1", "--max_epochs", str(epochs))
    assert said.count("resumed from") == 1  # only process 0 logs
    paths = ["--dataset_dir", str(pairs), "--ckpt_dir", str(one / "checkpoints"), "--output_dir", str(one / "log")]
    run_bundle("train.yaml", arguments=[*paths, *SHORT, "--batch_size", "2", "--max_epochs", "2"])

    found, expected = (state(folder) for folder in (two, one))
    assert found["trainer"]["iteration"] == expected["trainer"]["iteration"] == 4
    assert found["network"].keys() == expected["network"].keys()  # without `module.`, so that a single GPU can load it
    # Compare the running means of the gradients. The weights' updates divide by their size, which enlarges rounding. By
    # the fourth step, tensors with small means differ by 2% (AVX-512). With half of the batch they differ by 100%.
    means, others = ([m["exp_avg"] for m in each["optimizer"]["state"].values()] for each in (expected, found))
    assert len(means) == len(others)
    assert max(map(difference, others, means)) < 0.1
    assert difference(*(torch.cat([m.flatten() for m in each]) for each in (others, means))) < 0.01
    tables = [validation(folder) for folder in (two, one)]
    assert [row["epoch"] for row in tables[0]] == ["1"] * 4 + ["2"] * 4
    for row, alone in zip(*tables, strict=True):
        assert float(row["mean"]) == pytest.approx(float(alone["mean"]), abs=0.002)
    best = [load_checkpoint(folder / "checkpoints" / "best.pt") for folder in (two, one)]
    assert best[0].keys() == best[1].keys()
    of_two, of_one = (float(state(folder)["progress"]["best_metric"]) for folder in (two, one))
    assert np.isclose(of_two, of_one, atol=0.002)


def torchrun(pairs: Path, out: Path, *arguments: str, configs: Sequence[str] = ()) -> str:
    """Run the documented command on CPUs, perhaps with other configs; returns its output."""
    words = list(next(words for words in OTHERS if words[0] == "torchrun"))
    if configs:
        words[words.index("--config_file") + 1] = config_argument(*configs)
    command = [
        sys.executable, "-W", "ignore", "-m", "torch.distributed.run", *placed(words[1:], pairs, out),
        *NETWORK, *arguments, "--distributed_backend", "gloo",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference over the norm of the expected values."""
    return float((found - expected).norm() / expected.norm())


def state(folder: Path) -> dict[str, Any]:
    return load_checkpoint(str(latest_checkpoint(folder / "checkpoints")))


def validation(folder: Path) -> list[dict[str, str]]:
    with (folder / "log" / "validation.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_two_processes_start_from_given_weights(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    configs = ("train.yaml", "demo.yaml", "demo_finetune.yaml", "multi_gpu_train.yaml")
    start = write_weights(tmp_path / "start.pt", *configs[:2]).half().state_dict()
    torch.save(start, tmp_path / "start.pt")
    torchrun(
        pairs, tmp_path, *SHORT, "--max_epochs", "1", "--learning_rate", "0.0", "--lr_scheduler#end_lr", "0.0",
        "--start_weights", str(tmp_path / "start.pt"), configs=configs,
    )  # fmt: skip
    found = state(tmp_path)["network"]
    assert all(torch.equal(value, start[name].float()) for name, value in found.items())
