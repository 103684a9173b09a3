"""A bundle is loaded as its card states, or not at all."""

from __future__ import annotations

import json
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from operators.core.anatomy import CHANNEL_COUNT
from operators.core.errors import SegmentationError
from operators.core.volume import Contrast
from operators.segmentation import load_model
from tests.segmentation.made_bundle import (
    IntensityBands,
    band_bundle,
    bundle_of,
    card_of,
    random_unetr_bundle,
    rewrite_card,
)

SPACING = (6.0, 6.0, 6.0)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return band_bundle(tmp_path / "bundle", SPACING)


def refused(bundle: Path) -> str:
    with pytest.raises(SegmentationError) as raised:
        load_model(bundle, trusted=True)
    assert raised.value.exit_code == 4
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_model_is_what_its_card_and_configs_say(bundle: Path) -> None:
    model = load_model(bundle, trusted=True)
    card = json.loads(card_of(bundle).read_text(encoding="utf-8"))
    assert (model.card.name, model.card.sha256) == ("made_for_tests", card["sha256"])
    assert model.card.synthetic_training is True
    assert model.contrasts == (Contrast.WATER,)
    assert model.inferer.roi_size == [24, 24, 24]
    assert isinstance(model.network, IntensityBands) and not model.network.training


def test_the_weights_of_the_file_are_in_the_network(tmp_path: Path) -> None:
    bundle = random_unetr_bundle(tmp_path / "bundle")
    stored = torch.load(bundle / "models" / "weights.pt", weights_only=True)
    loaded = load_model(bundle).network.state_dict()
    assert stored.keys() == loaded.keys()
    assert all(torch.equal(stored[name], loaded[name].cpu()) for name in stored)


def test_weights_that_are_not_those_of_the_card_are_refused(bundle: Path) -> None:
    content = bytearray((bundle / "models" / "weights.pt").read_bytes())
    content[-1] ^= 1
    (bundle / "models" / "weights.pt").write_bytes(content)
    assert "SHA-256" in refused(bundle)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    unetr = random_unetr_bundle(tmp_path / "unetr")
    weights = torch.load(unetr / "models" / "weights.pt", weights_only=True)
    changes = {"network_def": {"_target_": "tests.segmentation.made_bundle.IntensityBands"}}
    assert "weights.pt" in refused(bundle_of(tmp_path / "bundle", weights, changes))


def test_weights_of_another_channel_count_are_refused(tmp_path: Path) -> None:
    bundle = random_unetr_bundle(tmp_path / "bundle")
    path = bundle / "models" / "weights.pt"
    weights = torch.load(path, weights_only=True)
    fewer = {name: tensor[:-1] if name.startswith("out.") else tensor for name, tensor in weights.items()}
    torch.save(fewer, path)
    rewrite_card(bundle)
    assert f"configured network with {CHANNEL_COUNT} output channels" in refused(bundle)


class _Attack:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.target), "w")


@pytest.mark.parametrize("format", ["torch", "pickle"])
def test_code_in_the_weights_is_never_executed(tmp_path: Path, format: str) -> None:
    harm = tmp_path / "harm"
    bundle = bundle_of(tmp_path / "bundle", {"levels": _Attack(harm)}, {})
    if format == "pickle":
        (bundle / "models" / "weights.pt").write_bytes(pickle.dumps(_Attack(harm)))
        rewrite_card(bundle)
    message = refused(bundle)
    assert "never executed" in message
    assert not harm.exists()
    with suppress(RuntimeError):  # the attack is a real one
        torch.load(bundle / "models" / "weights.pt", weights_only=False)
    assert harm.exists()


def test_a_truncated_checkpoint_is_refused_although_its_digest_fits(bundle: Path) -> None:
    weights = bundle / "models" / "weights.pt"
    weights.write_bytes(weights.read_bytes()[:-200])
    rewrite_card(bundle)
    assert "cannot be loaded" in refused(bundle)


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        ("models/shipped.json", "shipped.json"),
        ("models/weights.pt", "weights.pt"),
        ("configs/inference.yaml", "inference.yaml"),
        ("configs/changes.yaml", "changes.yaml"),
    ],
)
def test_a_missing_file_is_named(bundle: Path, gone: str, named: str) -> None:
    (bundle / gone).unlink()
    assert named in refused(bundle)


def test_a_folder_that_is_not_a_bundle_is_refused_with_advice(tmp_path: Path) -> None:
    assert "-m" in refused(tmp_path)
    assert "-m" in refused(tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"text"', "\xff"])
def test_a_file_that_is_not_a_card_is_refused(bundle: Path, content: str) -> None:
    card_of(bundle).write_bytes(content.encode("latin-1"))
    assert "card" in refused(bundle)


@pytest.mark.parametrize("entry", ["sha256", "weights", "configs", "synthetic_training"])
def test_a_card_with_a_missing_or_invalid_entry_is_refused(bundle: Path, entry: str) -> None:
    rewrite_card(bundle, without=entry)
    assert entry in refused(bundle)
    rewrite_card(bundle, without=None, **{entry: 3})
    assert entry in refused(bundle)


@pytest.mark.parametrize(
    "changes",
    [
        {"network_def": {"_target_": "NoSuchNetwork"}},
        {"images": ["t1.nrrd"]},
        {"preprocessing": "$1 / 0"},
        {"inferer": "@no_such_key"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_configs_that_do_not_work_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    message = refused(bundle_of(tmp_path / "bundle", IntensityBands().state_dict(), changes))
    assert "changes.yaml" in message
