"""Loading of a trained network from its bundle."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from operators.core import anatomy
from operators.core.calibration import read_calibration
from operators.core.errors import SegmentationError
from operators.core.model_card import CARD_FILE, ModelCard
from operators.core.volume import Contrast
from operators.segmentation.bundle_guard import harmless
from operators.segmentation.monai_parts import Compose, ConfigParser, SlidingWindowInferer, import_all
from operators.segmentation.signal_scale import TrainingSignal
from operators.segmentation.windows import WindowSettings

__all__ = ["SegmentationModel", "load_model"]

_KEYS = ("network", "device", "preprocessing", "inferer", "images")
_INTERPOLATED = "interpolate"  # an optional key
_CARD: dict[str, type] = {
    "name": str,
    "version": str,
    "weights": str,
    "configs": list,
    "sha256": str,
    "training_data": str,
    "intended_use": str,
    "synthetic_training": bool,
}


@dataclass(frozen=True)
class SegmentationModel:
    """A network that is ready to run, with the preprocessing of its images.

    Attributes
    ----------
    card : ModelCard
    contrasts : tuple of Contrast
        Input channels, in order.
    preprocessing : Compose
        MONAI dictionary transforms of ``image`` (channel, x, y, z).
    inferer : SlidingWindowInferer
        Defines the placement and weights of windows.
    network : torch.nn.Module
        In evaluation mode, on ``device``.
    device : torch.device
    bf16_dice_loss : float or None
        Loss of mean Dice on held-out participants when these weights run in
        bfloat16; None when it has not been measured.
    probabilities : bool
        Whether windows are merged and interpolated to the fused grid as
        probabilities (config key ``interpolate``) instead of scores. MONAI
        interpolates scores. A network that was trained on fractions of voxels
        (`bundle.scripts.SubvoxelLabelsd`) expresses them as probabilities.
    training_signal : TrainingSignal or None
        The scale of the signal in training (card key ``training_signal``);
        None when the card does not say, and studies are shown as they are.
    can_lack : frozenset of Contrast
        Input channels that a study may be without (card key ``can_lack``): the network is shown what stands in for
        them; see `operators.station_fusion.water_alone.fat_stand_in`.
    """

    card: ModelCard
    contrasts: tuple[Contrast, ...]
    preprocessing: Compose
    inferer: SlidingWindowInferer
    network: torch.nn.Module
    device: torch.device
    bf16_dice_loss: float | None = None
    probabilities: bool = False
    training_signal: TrainingSignal | None = None
    can_lack: frozenset[Contrast] = frozenset()

    @property
    def windows(self) -> WindowSettings:
        """The settings of `inferer` for windows."""
        return WindowSettings.of(self.inferer)


def load_model(bundle: Path | str, *, trusted: bool = False) -> SegmentationModel:
    """Load the model of a bundle. The file ``models/shipped.json`` names its weights and configs.

    Parameters
    ----------
    bundle : path
        A bundle folder with ``configs/`` and ``models/``.
    trusted : bool
        Evaluate everything in the configs, as a program with the user's
        permissions. If False, they may contain only what `harmless` allows.

    Raises
    ------
    SegmentationError
        When the bundle is incomplete, its configs contain more than the
        description of a network, or its weights differ from the card's digest,
        do not fit the network, or are a pickle that contains more than tensors.
    """
    bundle = Path(bundle)
    card_path = bundle / CARD_FILE
    facts = _read_card(card_path)
    weights = bundle / facts["weights"]
    where = f"bundle {bundle.name}, configs {', '.join(map(str, facts['configs']))}"
    parser = ConfigParser()
    try:
        parser.read_config([str(bundle / str(name)) for name in facts["configs"]])
        parser["bundle_root"] = str(bundle)
        if trusted:
            import_all()
        else:
            parser = ConfigParser(harmless(parser.get(), (*_KEYS, _INTERPOLATED), where))
        parser.parse()
        network: torch.nn.Module = parser.get_parsed_content("network")
        device: torch.device = parser.get_parsed_content("device")
        preprocessing = Compose(parser.get_parsed_content("preprocessing"))
        inferer = parser.get_parsed_content("inferer")
        if not isinstance(inferer, SlidingWindowInferer):
            raise TypeError(f"inferer is a {type(inferer).__name__}, not a SlidingWindowInferer")
        WindowSettings.of(inferer)
        contrasts = tuple(Contrast(Path(name).stem) for name in parser.get_parsed_content("images"))
        interpolated = parser.get_parsed_content(_INTERPOLATED, default="scores")
        if interpolated not in ("scores", "probabilities"):
            raise ValueError(f"{_INTERPOLATED} is {interpolated!r}, neither scores nor probabilities")
    except SegmentationError:
        raise
    except Exception as error:  # MONAI raises whatever a config's component raises
        raise SegmentationError(
            where,
            f"not usable ({_reason(error)})",
            f"keys {', '.join(_KEYS)}",
            "Start again from the configs that came with this version.",
        ) from error
    _load_weights(network, weights, facts["sha256"], device)
    return SegmentationModel(
        card=ModelCard(
            name=facts["name"],
            version=facts["version"],
            sha256=facts["sha256"],
            training_data=facts["training_data"],
            intended_use=facts["intended_use"],
            synthetic_training=facts["synthetic_training"],
            calibration=read_calibration(bundle, facts["sha256"]),
        ),
        contrasts=contrasts,
        preprocessing=preprocessing,
        inferer=inferer,
        network=network.eval(),
        device=device,
        bf16_dice_loss=facts.get("bf16_dice_loss"),
        probabilities=interpolated == "probabilities",
        training_signal=TrainingSignal.of_card(facts),
        can_lack=frozenset(Contrast(name) for name in facts.get("can_lack", ())),
    )


def _read_card(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SegmentationError(
            str(path),
            f"no readable model card ({type(error).__name__})",
            "the JSON file that names the weights",
            "Point -m at the folder of a bundle; the shipped one is `bundle`.",
        ) from error
    facts = facts if isinstance(facts, dict) else {}
    wrong = [name for name, kind in _CARD.items() if not isinstance(facts.get(name), kind)]
    if not isinstance(facts.get("bf16_dice_loss"), (int, float, type(None))):
        wrong.append("bf16_dice_loss")
    if not set(facts.get("can_lack", ())) <= set(Contrast):
        wrong.append("can_lack")
    try:
        TrainingSignal.of_card(facts)
    except (TypeError, ValueError):
        wrong.append("training_signal")
    if wrong:
        raise SegmentationError(
            str(path),
            f"lacks a usable {', '.join(wrong)}",
            "a complete model card",
            "Complete it; the card of the shipped bundle shows how.",
        )
    return facts


def _load_weights(network: torch.nn.Module, weights: Path, sha256: str, device: torch.device) -> None:
    try:
        content = weights.read_bytes()  # read once, so that the bytes that are loaded are those that were checked
    except OSError as error:
        raise SegmentationError(
            str(weights), "cannot be read", "the network's weights", "Check the bundle's models folder."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256.lower():
        raise SegmentationError(
            str(weights),
            f"SHA-256 {found[:12]}...",
            f"{sha256[:12]}... as {CARD_FILE} says",
            "Fetch the weights again, or write the new digest into the card.",
        )
    try:
        network.load_state_dict(torch.load(io.BytesIO(content), map_location=device, weights_only=True))
    except Exception as error:  # torch raises unrelated types for pickles, shapes and missing keys
        raise SegmentationError(
            str(weights),
            f"weights that cannot be loaded ({_reason(error)})",
            f"a plain state dict of the configured network with {anatomy.CHANNEL_COUNT} output channels",
            "Train or export with the same configs; checkpoints with code in them are never executed.",
        ) from error


def _reason(error: Exception) -> str:
    """The first line of an error message of torch or MONAI."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
