"""Bundles for tests: the shipped configs over a network small enough to run in a second."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from monai.networks.nets import UNETR

from operators.core.anatomy import CHANNEL_COUNT

__all__ = ["IntensityBands", "band_bundle", "bundle_of", "card_of", "random_unetr_bundle", "rewrite_card"]

_SHIPPED_CONFIGS = Path(__file__).resolve().parents[2] / "bundle" / "configs"
_WEIGHTS = "models/weights.pt"


class IntensityBands(torch.nn.Module):
    """A network with a known answer: channel n scores highest where the signal is nearest to ``levels[n]``.

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int = CHANNEL_COUNT) -> None:
        super().__init__()
        self.levels = torch.nn.Parameter(torch.linspace(0, 1, channels))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores (batch, channels, x, y, z) of ``image`` (batch, 1, x, y, z)."""
        return -((image - self.levels.view(1, -1, 1, 1, 1)) ** 2)


def random_unetr_bundle(folder: Path, spacing_mm: tuple[float, float, float] = (16.0, 16.0, 16.0)) -> Path:
    """A UNETR with the shipped configs' keys, one window of 32 voxels and weights from seed 0."""
    torch.manual_seed(0)
    network = UNETR(
        in_channels=1,
        out_channels=CHANNEL_COUNT,
        img_size=(32, 32, 32),
        feature_size=4,
        hidden_size=24,
        mlp_dim=24,
        num_heads=2,
        norm_name="instance",
        res_block=True,
    )
    changes = {
        "roi": [32, 32, 32],
        "spacing_mm": list(spacing_mm),
        "intensity_window": [0.0, 450.0],
        "network_def#feature_size": 4,
        "network_def#hidden_size": 24,
        "network_def#mlp_dim": 24,
        "network_def#num_heads": 2,
    }
    return bundle_of(folder, network.state_dict(), changes)


def band_bundle(
    folder: Path, spacing_mm: tuple[float, float, float], channels: int = CHANNEL_COUNT, **changes: Any
) -> Path:
    """`IntensityBands` over signals from 0 (background) upwards, ten units to a channel.

    Its network is not one of MONAI's, so it loads only with ``trusted=True``.
    """
    defaults = {
        "roi": [24, 24, 24],
        "spacing_mm": list(spacing_mm),
        "intensity_window": [0.0, 10.0 * (channels - 1)],
        "network_def": {"_target_": "tests.segmentation.made_bundle.IntensityBands", "channels": channels},
    }
    return bundle_of(folder, IntensityBands(channels).state_dict(), {**defaults, **changes})


def bundle_of(folder: Path, weights: Any, changes: Mapping[str, Any]) -> Path:
    """A bundle folder: the shipped configs, ``changes`` over them, ``weights`` (anything torch can save) and a card."""
    shutil.copytree(_SHIPPED_CONFIGS, folder / "configs")
    (folder / "configs" / "changes.yaml").write_text(yaml.safe_dump(dict(changes)), encoding="utf-8")
    (folder / "models").mkdir()
    torch.save(weights, folder / _WEIGHTS)
    card = {
        "name": "made_for_tests",
        "version": "0",
        "weights": _WEIGHTS,
        "configs": ["configs/inference.yaml", "configs/changes.yaml"],
        "sha256": "",
        "training_data": "None: made for tests.",
        "intended_use": "Software tests.",
        "synthetic_training": True,
    }
    card_of(folder).write_text(json.dumps(card), encoding="utf-8")
    rewrite_card(folder)
    return folder


def card_of(bundle: Path) -> Path:
    """Path of the card."""
    return bundle / "models" / "shipped.json"


def rewrite_card(bundle: Path, without: str | None = None, **changes: Any) -> None:
    """Change entries of the card. The digest is that of the current weights, unless it is given."""
    card = json.loads(card_of(bundle).read_text(encoding="utf-8"))
    digest = hashlib.sha256((bundle / _WEIGHTS).read_bytes()).hexdigest()
    card = {**card, "sha256": digest, **changes}
    card.pop(without, None)
    card_of(bundle).write_text(json.dumps(card), encoding="utf-8")
