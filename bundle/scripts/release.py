"""Make a bundle from a training checkpoint, for `sarcomap run -m DIR` (see docs/training.md).

The command `sarcomap bundle release` calls this function.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from bundle.scripts.checkpoints import load_weights, save_weights
from bundle.scripts.release_card import data_license as default_data_license
from bundle.scripts.release_card import model_card
from bundle.scripts.release_configs import CONFIGS, inference_settings, merged_config, write_config
from bundle.scripts.release_figures import copy_tables, read_figures
from bundle.scripts.release_metadata import SCHEMA_FILE, metadata
from bundle.scripts.training_settings import check_settings
from operators.core import anatomy
from operators.core.errors import SegmentationError, UsageError
from operators.core.output_files import new_folder, require_new

__all__ = ["TRAIN_CONFIG", "release"]

TRAIN_CONFIG = CONFIGS / "train.yaml"
"""The paper's settings, the first config of a training."""

_WEIGHTS = "models/weights.pt"
_CARD = "models/shipped.json"
_DICOM_TEXT = 64
"""Maximum length of a DICOM LO value. The model's name and version are written as LO."""


def release(
    checkpoint: Path,
    out: Path,
    *,
    name: str,
    version: str,
    training_data: str,
    intended_use: str,
    synthetic: bool,
    metrics: Path | None = None,
    configs: Sequence[Path] = (TRAIN_CONFIG,),
    overrides: Mapping[str, Any] | None = None,
    bf16_dice_loss: float | None = None,
    training_signal: tuple[float, float, float] | None = None,
    can_lack: Sequence[str] = (),
    authors: str = "Not stated",
    data_license: Path | None = None,
    verify: Callable[[Path], object] | None = None,
) -> Path:
    """Write a complete bundle: configs, weights, model card, metadata, documents and licences.

    ``out`` appears complete or not at all.

    Parameters
    ----------
    checkpoint : Path
        ``best.pt`` or a ``training_checkpoint_epoch=N.pt`` of a training, or a plain state dict.
    out : Path
        A folder that does not exist yet, or is empty.
    name, version : str
        Name and version of the model; at most 64 characters each, the limit of DICOM.
    training_data, intended_use : str
        One sentence each. Reports, DICOM-SEG and SR repeat them.
    synthetic : bool
        Whether the weights were trained on synthetic images, of synthetic or real anatomy, and nobody has validated
        them on people. If so, every output of a run says it. There is no default.
    metrics : Path, optional
        Output folder of ``evaluate.yaml``. Without it the model card says that there are no figures.
    configs : sequence of Path
        The training's ``--config_file`` arguments, in its order.
    overrides : mapping, optional
        Config keys that the training's command line set.
    bf16_dice_loss : float, optional
        Loss in mean Dice with bfloat16 (`benchmarks.inference_dice`); None if it was not measured.
    training_signal : tuple of float, (typical, lowest, highest), optional
        Water signal of lean muscle in the training images (`operators.segmentation.signal_scale.muscle_water`). Studies
        of another scale are then brought to it.
    can_lack : sequence of str
        Input images that the network can do without, such as ``fat``: it is then shown what stands in for them.
    authors : str
    data_license : Path, optional
        Text file on what the terms of the training data allow. The default text says that this was not stated.
    verify : callable, optional
        Called with the finished folder before it gets its final name. If it raises, the release stops.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    UsageError
        If a text is empty or too long, or the configs are not those of the training.
    InputError
        If ``metrics`` holds no evaluation.
    SegmentationError
        If the checkpoint cannot be read, or belongs to another network.
    OutputError
        If ``out`` is not empty, or cannot be written.
    """
    texts = {"--name": name, "--version": version, "--training-data": training_data, "--intended-use": intended_use}
    texts = {option: _text(option, value) for option, value in texts.items()}
    if bf16_dice_loss is not None and not math.isfinite(bf16_dice_loss):
        raise UsageError("--bf16-dice-loss", str(bf16_dice_loss), "a loss in mean Dice, e.g. 0.0001", "Measure it.")
    signal = None if training_signal is None else _training_signal(training_signal)
    require_new(out)
    figures = None if metrics is None else read_figures(metrics)
    training = _read_training(checkpoint, configs, overrides or {}, can_lack)
    licence = None if data_license is None else _read_licence(data_license)

    card: dict[str, Any] = {
        "name": texts["--name"],
        "version": texts["--version"],
        "weights": _WEIGHTS,
        "configs": ["configs/inference.yaml", "configs/trained.yaml"],
        "sha256": "",
        "training_data": texts["--training-data"],
        "intended_use": texts["--intended-use"],
        "synthetic_training": synthetic,
        "can_lack": list(can_lack),
        "held_out_mean_dice": figures.mean_dice if figures else None,
        "bf16_dice_loss": bf16_dice_loss,
        "training_signal": signal,
    }
    with new_folder(out) as folder:
        _write_configs(folder, training)
        weights = save_weights(checkpoint, folder / _WEIGHTS)
        card["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
        network = _network(folder, checkpoint)
        _write_json(folder / _CARD, card)
        facts = metadata(
            name=card["name"],
            version=card["version"],
            training_data=card["training_data"],
            intended_use=card["intended_use"],
            authors=authors,
            network=type(network).__name__,
            images=training.settings["images"],
            roi=_window(training.settings),
            figures=figures,
        )
        _write_json(folder / "configs" / "metadata.json", facts)
        text = model_card(
            card,
            settings=training.settings,
            config_names=training.config_names,
            overrides=training.overridden,
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            figures=figures,
            folder=out.name,
        )
        _write_documents(folder, text, licence or default_data_license(card), metrics)
        if verify is not None:
            verify(folder)
    return out


@dataclass(frozen=True)
class _Training:
    """The configs of a training, merged, and what of them inference needs.

    Attributes
    ----------
    merged : ConfigParser
    settings : mapping
        From `inference_settings`.
    config_names : list of str
        File names of the configs, in the training's order.
    overridden : list of str
        Keys that its command line set.
    """

    merged: ConfigParser
    settings: Mapping[str, Any]
    config_names: list[str]
    overridden: list[str]


def _read_training(
    checkpoint: Path, configs: Sequence[Path], overrides: Mapping[str, Any], can_lack: Sequence[str]
) -> _Training:
    """Merge the configs, and refuse those that are not the checkpoint's or do not read what ``can_lack`` names."""
    merged = merged_config(configs, overrides)
    settings = inference_settings(merged)
    read = [Path(image).name.split(".")[0] for image in settings["images"]]
    if unread := sorted(set(can_lack) - set(read)):
        raise UsageError("--can-lack", ", ".join(unread), f"some of {', '.join(read)}", "Name images that it reads.")
    scaling = type(merged.get_parsed_content("scale_intensity", default=None)).__name__
    check_settings(checkpoint, {**settings, "scaling": scaling})
    return _Training(merged, settings, [config.name for config in configs], sorted(overrides))


def _write_configs(folder: Path, training: _Training) -> None:
    configs = folder / "configs"
    configs.mkdir()
    for name in ("inference.yaml", "logging.conf", SCHEMA_FILE):
        shutil.copyfile(CONFIGS / name, configs / name)
    whole = {key: value for key, value in training.merged.get().items() if key != "_meta_"}
    title = f"The training config, merged from {', '.join(training.config_names)}."
    write_config(configs / "train.yaml", whole, title)
    title = "Overrides of inference.yaml: the settings that the network was trained with."
    write_config(configs / "trained.yaml", {"weights": f"$@bundle_root + '/{_WEIGHTS}'", **training.settings}, title)


def _write_documents(folder: Path, model_card_text: str, licence: str, metrics: Path | None) -> None:
    """The documents beside the model: model card, figures of the evaluation if any, and licences."""
    docs = folder / "docs"
    docs.mkdir()
    (docs / "README.md").write_text(model_card_text, encoding="utf-8")
    if metrics is not None:
        copy_tables(metrics, docs / "evaluation")
    (docs / "data_license.txt").write_text(licence, encoding="utf-8")
    shutil.copyfile(CONFIGS.parent / "LICENSE", folder / "LICENSE")


def _training_signal(given: tuple[float, float, float]) -> dict[str, float]:
    typical, low, high = given
    if not 0 < low <= typical <= high < math.inf:
        raise UsageError(
            "--training-signal",
            " ".join(f"{value:g}" for value in given),
            "typical, lowest and highest water signal of lean muscle, with the typical one in between",
            "Measure them on the training images.",
        )
    return {"muscle_water": typical, "low": low, "high": high}


def _network(folder: Path, checkpoint: Path) -> torch.nn.Module:
    """Build the network that the written configs describe, and load the weights."""
    parser = ConfigParser()
    parser.read_config([str(folder / "configs" / name) for name in ("inference.yaml", "trained.yaml")])
    if (found := parser.get_parsed_content("channels_out")) != anatomy.CHANNEL_COUNT:
        raise SegmentationError(
            checkpoint.name,
            f"a network with {found} channels",
            f"{anatomy.CHANNEL_COUNT}, one per entry of the label table",
            "Train with channels_out of train.yaml.",
        )
    network: torch.nn.Module = parser.get_parsed_content("network_def")
    try:
        return load_weights(network, folder / _WEIGHTS)
    except SegmentationError as error:
        raise SegmentationError(
            str(checkpoint),
            error.found,
            "weights of the network that the configs describe",
            "Give every --config of the training in order, and --set KEY=VALUE for each key set on its command line.",
        ) from error


def _window(settings: Mapping[str, Any]) -> list[int]:
    """Voxels of a window, (x, y, z)."""
    roi = settings["inferer"].get("roi_size", "@roi")
    found = settings.get(roi.removeprefix("@")) if isinstance(roi, str) else roi
    if isinstance(found, list) and len(found) == 3:
        return [int(voxels) for voxels in found]
    raise UsageError("inferer#roi_size", str(roi), "three numbers of voxels", "Set `roi` as train.yaml does.")


def _text(option: str, value: str) -> str:
    text = " ".join(value.split())
    short = option in ("--name", "--version")
    if not text or (short and (len(text) > _DICOM_TEXT or "\\" in text)):
        found = f"{len(text)} characters" if text else "nothing"
        expected = f"1 to {_DICOM_TEXT} characters without a backslash" if short else "a sentence"
        raise UsageError(option, found, expected, "Every output made with the weights repeats it.")
    return text


def _read_licence(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            "--data-license", f"not readable ({type(error).__name__})", "a text file", "Check it."
        ) from error


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
