"""Every named override trains for two iterations and changes what it claims to change."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import SimpleITK
import torch
from monai.bundle import ConfigWorkflow

from bundle.scripts import latest_checkpoint, load_checkpoint
from operators.core import anatomy
from tests.bundle.tiny import CONFIGS, NETWORK

OVERRIDES = sorted(path.name for path in (CONFIGS / "overrides").glob("*.yaml"))


def settings(pairs: Path, out: Path) -> dict[str, Any]:
    network = {name.lstrip("-"): json.loads(value) for name, value in zip(NETWORK[::2], NETWORK[1::2], strict=True)}
    return network | {
        "dataset_dir": str(pairs),
        "ckpt_dir": str(out / "checkpoints"),
        "output_dir": str(out / "log"),
        "validation_count": 1,
        "epoch_length": 2,
        "batch_size": 1,
        "max_epochs": 1,
        "val_interval": 1,
        "random_transforms#0#num_samples": 1,
        "train#dataset#num_workers": 1,
    }


def trained(pairs: Path, out: Path, *overrides: str, **more: Any) -> ConfigWorkflow:
    files = ["train.yaml", *(f"overrides/{name}" for name in overrides)]
    workflow = ConfigWorkflow(
        config_file=[str(CONFIGS / name) for name in files],
        workflow_type="train",
        logging_file=None,
        **settings(pairs, out) | more,
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    return workflow


@pytest.mark.parametrize("name", OVERRIDES)
def test_override_trains(name: str, pairs: Path, tmp_path: Path) -> None:
    trained(pairs, tmp_path, name)
    checkpoint = load_checkpoint(str(latest_checkpoint(tmp_path / "checkpoints")))
    assert checkpoint["trainer"]["iteration"] == 2
    assert all(torch.isfinite(value).all() for value in checkpoint["network"].values() if value.is_floating_point())
    assert (tmp_path / "log" / "validation.csv").read_text().count("\n") == 1 + 4


def test_all_overrides_together_train(pairs: Path, tmp_path: Path) -> None:
    workflow = trained(pairs, tmp_path, *OVERRIDES)
    weights = load_checkpoint(str(latest_checkpoint(tmp_path / "checkpoints")))["network"]
    assert weights["vit.patch_embedding.patch_embeddings.weight"].shape[1] == 2  # two channels
    image = workflow.parser.get_parsed_content("train#dataset")[0][0]["image"]
    assert image.shape == (2, 32, 32, 32)
    assert float(image.min()) >= 0.0 and float(image.max()) <= 1.0


def test_accumulated_gradients_make_one_step(pairs: Path, tmp_path: Path) -> None:
    trained(pairs, tmp_path, "gradient_accumulation.yaml", epoch_length=4)
    state = load_checkpoint(str(latest_checkpoint(tmp_path / "checkpoints")))["optimizer"]["state"]
    assert {int(parameter["step"]) for parameter in state.values()} == {1}  # 4 batches, 1 step


def test_learning_rate_warms_up_and_falls(pairs: Path, tmp_path: Path) -> None:
    workflow = trained(
        pairs, tmp_path, "warmup_cosine.yaml", epoch_length=4, warmup_steps=2, learning_rate=0.1, max_epochs=1
    )
    schedule = workflow.parser.get_parsed_content("lr_scheduler")
    rates = [0.1 * schedule.lr_lambda(step) for step in range(5)]
    assert rates[0] == 0.0 and rates[1] == pytest.approx(0.05) and rates[2] == pytest.approx(0.1)
    assert rates[3] == pytest.approx(0.05) and rates[4] == pytest.approx(0.0)
    assert schedule.get_last_lr()[0] == pytest.approx(0.0)  # the cosine reaches zero at the end of the training


@pytest.mark.parametrize("factor", [1.0, 7.3])
def test_percentile_scaling_does_not_depend_on_the_scanners_unit(factor: float, pairs: Path) -> None:
    workflow = ConfigWorkflow(
        config_file=[str(CONFIGS / "train.yaml"), str(CONFIGS / "overrides/percentile_intensity.yaml")],
        workflow_type="train",
        logging_file=None,
    )
    workflow.initialize()
    scale = workflow.parser.get_parsed_content("scale_intensity")
    image = torch.rand(1, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(
        scale({"image": image.clone()})["image"], scale({"image": image * factor})["image"], atol=1e-5
    )


def test_mirrored_labels_need_no_swap() -> None:
    """A class holds both sides, so a mirrored label map is still correct."""
    assert not any(side in s.name.split("_") for s in anatomy.STRUCTURES for side in ("left", "right"))


def test_on_device_takes_unlike_participants_and_leaves_them_as_they_are(pairs: Path, tmp_path: Path) -> None:
    """One is shorter than the others, one was drawn in part, and one has no fine labels; two are a batch."""
    for name in ("000000", "000001", "000002", "000003"):
        shutil.copytree(pairs / name, tmp_path / "data" / name)
    for path in (tmp_path / "data" / "000000").glob("*.nrrd"):
        whole = SimpleITK.ReadImage(str(path))
        SimpleITK.WriteImage(whole[:, :, : whole.GetSize()[2] // 2], str(path))
    drawn = {"annotated": ["femur", "vastus_lateralis"], "merged": {"vastus_medialis": "vastus_lateralis"}}
    (tmp_path / "data" / "000001" / "classes.json").write_text(json.dumps(drawn))
    (tmp_path / "data" / "000002" / "fine_labels.nrrd").unlink()
    workflow = ConfigWorkflow(
        config_file=[
            str(CONFIGS / name) for name in ("train.yaml", "demo.yaml", "demo_people.yaml", "overrides/on_device.yaml")
        ],
        workflow_type="train",
        logging_file=None,
        **{name: value for name, value in settings(tmp_path / "data", tmp_path).items() if "random" not in name}
        | {"batch_size": 2, "max_epochs": 2},
    )
    workflow.initialize()
    cached = workflow.parser.get_parsed_content("train#dataset")._cache
    assert len({item["image"].shape for item in cached}) == 2
    before = copy.deepcopy(cached)
    workflow.run()
    workflow.finalize()
    for item, whole in zip(cached, before, strict=True):
        for key in ("image", "label"):
            assert torch.equal(torch.as_tensor(item[key]), torch.as_tensor(whole[key]))
    loss = workflow.parser.get_parsed_content("training_loss")
    assert loss.labelled_as.shape == (2, anatomy.CHANNEL_COUNT)
    checkpoint = load_checkpoint(str(latest_checkpoint(tmp_path / "checkpoints")))
    assert checkpoint["trainer"]["iteration"] == 4
    assert all(torch.isfinite(value).all() for value in checkpoint["network"].values())
