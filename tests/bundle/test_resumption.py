"""A training that is killed and resumed ends with the same weights as an uninterrupted one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import DataLoader, Dataset
from monai.transforms import RandGaussianNoised

from bundle.scripts import (
    EpochSampler,
    LoaderAhead,
    ResumeTraining,
    SeedEachEpoch,
    WholeFileCheckpointSaver,
    latest_checkpoint,
    load_checkpoint,
)
from bundle.scripts.training_settings import record_settings
from operators.core.errors import OutputError, SegmentationError, UsageError
from tests.bundle.tiny import NETWORK, ROOT, config_argument


def training(pairs: Path, folder: Path, epochs: int) -> subprocess.Popen[str]:
    arguments = [
        "--dataset_dir", str(pairs), "--ckpt_dir", str(folder / "checkpoints"), "--output_dir", str(folder / "log"),
        "--validation_count", "1", "--epoch_length", "2", "--batch_size", "1", "--val_interval", "1",
        "--max_epochs", str(epochs), "--learning_rate", "0.001", "--cache_rate", "1.0",
        "--random_transforms#0#num_samples", "2",
    ]  # fmt: skip
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--config_file", config_argument(
        "train.yaml", "overrides/mirror.yaml"), *NETWORK, *arguments]  # fmt: skip
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said[-3000:]
    return said


@pytest.mark.slow
def test_killed_training_ends_with_the_weights_of_an_uninterrupted_one(pairs: Path, tmp_path: Path) -> None:
    finish(training(pairs, tmp_path / "whole", epochs=4))

    process = training(pairs, tmp_path / "cut", epochs=4)
    until = time.monotonic() + 200
    while latest_checkpoint(tmp_path / "cut" / "checkpoints") is None:  # at least one epoch is done
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = load_checkpoint(str(latest_checkpoint(tmp_path / "cut" / "checkpoints")))["trainer"]["iteration"]
    assert 2 <= done < 8
    assert "resumed from" in finish(training(pairs, tmp_path / "cut", epochs=4))

    whole = load_checkpoint(tmp_path / "whole" / "checkpoints" / "training_checkpoint_epoch=4.pt")
    cut = load_checkpoint(tmp_path / "cut" / "checkpoints" / "training_checkpoint_epoch=4.pt")
    for name, value in whole["network"].items():
        assert torch.equal(value, cut["network"][name]), name
    for number, state in whole["optimizer"]["state"].items():
        assert all(torch.equal(state[key], cut["optimizer"]["state"][number][key]) for key in state)
    assert whole["trainer"] == cut["trainer"]
    assert whole["progress"] == cut["progress"]
    best = [load_checkpoint(tmp_path / run / "checkpoints" / "best.pt") for run in ("whole", "cut")]
    assert all(torch.equal(value, best[1][name]) for name, value in best[0].items())
    tables = [(tmp_path / run / "log" / "validation.csv").read_text() for run in ("whole", "cut")]
    assert tables[0] == tables[1] and tables[0].count("\n") == 1 + 4 * 4


def test_every_participant_is_seen_equally_often_over_short_epochs() -> None:
    sampler = EpochSampler(size=7, seed=3, samples_per_epoch=3)
    seen: list[int] = []
    for epoch in range(1, 15):
        sampler.set_epoch(epoch)
        assert len(sampler) == 3
        seen += sampler
    assert np.bincount(seen).tolist() == [6] * 7
    assert sorted(seen[:7]) == list(range(7)) and seen[:7] != seen[7:14]


def test_processes_share_an_epoch_without_overlap() -> None:
    parts = []
    for rank in range(2):
        sampler = EpochSampler(size=8, seed=3, rank=rank, world_size=2)
        sampler.set_epoch(2)
        parts.append(list(sampler))
    assert sorted(parts[0] + parts[1]) == list(range(8))


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_order_and_augmentation_follow_from_seed_and_epoch_alone(workers: int) -> None:
    def batches(first_epoch: int) -> dict[int, torch.Tensor]:
        data = [{"image": torch.full((1, 2), float(i))} for i in range(5)]
        dataset = Dataset(data, RandGaussianNoised("image", prob=1.0))
        # A fork of a test process, in which other tests started threads, can die.
        context = "spawn" if workers else None
        sampler = EpochSampler(5, seed=1)
        loader = DataLoader(
            dataset, batch_size=2, sampler=sampler, num_workers=workers, multiprocessing_context=context
        )
        seen: dict[int, list[torch.Tensor]] = {}
        engine = Engine(lambda e, batch: seen.setdefault(e.state.epoch, []).append(batch["image"]))
        SeedEachEpoch(loader, seed=1).attach(engine)
        engine.state.max_epochs, engine.state.epoch_length = 3, 3
        engine.state.epoch, engine.state.iteration = first_epoch - 1, 3 * (first_epoch - 1)
        engine.run(loader, max_epochs=3, epoch_length=3)
        return {epoch: torch.cat(parts) for epoch, parts in seen.items()}

    whole, resumed = batches(1), batches(3)
    assert list(resumed) == [3]
    assert torch.equal(whole[3], resumed[3])
    assert not torch.equal(whole[2], whole[3])


def test_checkpoint_of_an_older_version_is_resumed_with_a_warning(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 2)
    torch.save({"network": {k: torch.ones_like(v) for k, v in network.state_dict().items()}}, tmp_path / "old.pt")
    engine = Engine(lambda *_: None)
    ResumeTraining(str(tmp_path / "old.pt"), {"network": network, "progress": network}).attach(engine)
    with pytest.warns(UserWarning, match="no progress"):
        engine.run([0], max_epochs=1)
    assert torch.equal(network.weight, torch.ones(2, 2))


def test_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save({"network": torch.nn.Linear(3, 2).state_dict()}, tmp_path / "other.pt")
    engine = Engine(lambda *_: None)
    ResumeTraining(str(tmp_path / "other.pt"), {"network": torch.nn.Linear(2, 2)}).attach(engine)
    with pytest.raises(SegmentationError, match="do not fit"):
        engine.run([0], max_epochs=1)


def test_a_learning_rate_that_the_checkpoint_overrides_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = torch.nn.Linear(2, 2)

    def engine(learning_rate: float) -> Engine:
        optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate)
        if not (tmp_path / "one.pt").exists():
            torch.save({"optimizer": optimizer.state_dict()}, tmp_path / "one.pt")
        made = Engine(lambda *_: None)
        ResumeTraining(str(tmp_path / "one.pt"), {"optimizer": optimizer}).attach(made)
        return made

    engine(0.5).run([0], max_epochs=1)
    assert not caplog.text
    engine(0.1).run([0], max_epochs=1)
    assert "the learning rate stays 0.5, as one.pt has it, and not 0.1" in caplog.text


@pytest.mark.parametrize(("settings", "refused"), [({"roi": (8, 8, 8)}, False), ({"roi": [8, 8, 4]}, True)])
def test_a_checkpoint_is_not_trained_further_with_other_settings(
    settings: dict[str, Any], refused: bool, tmp_path: Path
) -> None:
    record_settings(tmp_path, roi=[4, 4, 4])
    record_settings(tmp_path, roi=[8, 8, 8])  # nothing was trained yet
    torch.save({"network": {}}, tmp_path / "training_checkpoint_epoch=1.pt")
    if refused:
        with pytest.raises(UsageError, match=r"\[8, 8, 8\], as training_checkpoint_epoch=1.pt"):
            record_settings(tmp_path, **settings)
    else:
        record_settings(tmp_path, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"spacing_mm": 2.0},
        {"spacing_mm": [2.0, 2.0, -3.0]},
        {"spacing_mm": ["a", "b", "c"]},
        {"roi": [96, 96]},
        {"roi": "[96,96,x]"},
        {"intensity_window": [450.0, 80.0]},
    ],
    ids=str,
)
def test_settings_that_no_image_can_have_are_refused(settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=next(iter(settings))):
        record_settings(tmp_path, **settings)
    assert not any(tmp_path.iterdir())


def test_a_full_disk_leaves_no_part_of_a_checkpoint_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 40384 vs 40336")

    network = torch.nn.Linear(2, 2)
    engine = Engine(lambda *_: None)
    WholeFileCheckpointSaver(str(tmp_path), {"network": network}, save_interval=1).attach(engine)
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match="space on the disk"):
        engine.run([0], max_epochs=1)
    assert not any(tmp_path.iterdir())


def test_a_truncated_checkpoint_is_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save({"network": {}}, tmp_path / "training_checkpoint_epoch=9.pt")
    torch.save({"network": {}}, tmp_path / "training_checkpoint_epoch=10.pt")
    whole = (tmp_path / "training_checkpoint_epoch=10.pt").read_bytes()
    (tmp_path / "training_checkpoint_epoch=11.pt").write_bytes(whole[: len(whole) // 2])
    assert str(latest_checkpoint(tmp_path)).endswith("epoch=10.pt")
    assert "epoch=11.pt is not whole" in caplog.text


def test_no_checkpoint_is_ever_seen_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = torch.nn.Linear(2, 2)
    saver = WholeFileCheckpointSaver(str(tmp_path), {"network": network}, save_interval=1, n_saved=2)
    engine = Engine(lambda *_: None)
    saver.attach(engine)
    engine.run([0], max_epochs=1)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.pt")}

    def dies_half_way(_: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr("torch.save", dies_half_way)
    with pytest.raises(KeyboardInterrupt):
        engine.run([0], max_epochs=2)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.pt")} == before


def test_a_thread_that_is_ahead_takes_no_random_number_from_the_next_epoch() -> None:
    def batches(first_epoch: int) -> list[torch.Tensor]:
        data = [{"image": torch.full((1, 2), float(i))} for i in range(8)]
        loader = LoaderAhead(Dataset(data, RandGaussianNoised("image", prob=1.0)), sampler=EpochSampler(8, seed=1))
        seen: list[torch.Tensor] = []
        engine = Engine(lambda e, batch: seen.append(batch["image"]) if e.state.epoch == 2 else None)
        SeedEachEpoch(loader, seed=1).attach(engine)
        engine.state.epoch, engine.state.iteration = first_epoch - 1, 3 * (first_epoch - 1)
        engine.state.max_epochs, engine.state.epoch_length = 2, 3  # of the eight
        engine.run(loader, max_epochs=2, epoch_length=3)
        return seen

    whole, resumed = batches(1), batches(2)
    assert len(whole) == len(resumed) == 3 and all(map(torch.equal, whole, resumed))


def test_an_error_in_the_thread_ends_the_training() -> None:
    def broken(item: int) -> int:
        if item == 2:
            raise ValueError("participant 2 is unreadable")
        return item

    engine = Engine(lambda e, batch: None)
    with pytest.raises(RuntimeError, match="broken"):
        engine.run(LoaderAhead(Dataset(list(range(5)), broken)), max_epochs=1)
