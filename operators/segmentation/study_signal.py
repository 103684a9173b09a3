"""The scale of the signal of fused studies in folders, brought to that of a network's training."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.core.errors import InputError, SegmentationError
from operators.core.image_channels import read_image
from operators.core.volume import Contrast, Fused
from operators.segmentation.signal_scale import TrainingSignal, matching_scale
from operators.station_fusion.body import body_mask

__all__ = ["at_training_scale", "card_beside"]

_log = logging.getLogger(__name__)


def card_beside(weights: Path, sha256: str) -> dict[str, Any]:
    """The model card in the weights' folder if it belongs to them; else empty.

    Raises
    ------
    SegmentationError
        When it belongs to them, but its ``training_signal`` or ``bf16_dice_loss`` cannot be used.
    """
    path = weights.parent / "shipped.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["sha256"] != sha256:
            return {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    try:
        TrainingSignal.of_card(facts)
        float(facts.get("bf16_dice_loss") or 0)
    except (TypeError, ValueError) as error:
        raise SegmentationError(
            str(path), f"lacks a usable training_signal or bf16_dice_loss ({error})", "a model card", "Correct it."
        ) from error
    return dict(facts)


def at_training_scale(
    fused: Fused, image: Path, contrasts: Sequence[Contrast], training: TrainingSignal | None
) -> Fused:
    """Multiply a study by the factor that brings its signal to the scale of training; see `matching_scale`.

    Parameters
    ----------
    fused : Fused
        The network's contrasts are those of the study; others can be anything.
    image : Path
        One of the study's images; water and fat are looked for beside it.
    contrasts : sequence of Contrast
        The network's.
    training : TrainingSignal or None
        None returns the study as it is.

    Raises
    ------
    InputError
        When water or fat are on another grid than the images.
    SegmentationError
        When no factor can bring the signal to that of training.
    """
    if training is None:
        return fused
    ending = "".join(image.suffixes)
    beside = {kind: image.with_name(f"{kind.value}{ending}") for kind in (Contrast.WATER, Contrast.FAT)}
    if missing := [path.name for kind, path in beside.items() if kind not in contrasts and not path.is_file()]:
        _log.warning(
            "%s: no %s beside the images, so the scale of the signal was not compared with that of the training",
            image.parent.name,
            " and no ".join(missing),
        )
        return fused
    water = fused.water if Contrast.WATER in contrasts else _beside(beside[Contrast.WATER], fused)
    fat = fused.fat if Contrast.FAT in contrasts else _beside(beside[Contrast.FAT], fused)
    # Without a mask of its own, every voxel of a study is labelled, but air must not be taken for lean muscle.
    body = body_mask(water, fat, fused.grid) if fused.body.all() else fused.body
    factor, flags = matching_scale(replace(fused, water=water, fat=fat, body=body), training)
    for flag in flags:
        if flag.severity == "error":
            raise SegmentationError(
                image.parent.name, flag.message, "images whose signal is only multiplied", "See docs/inference.md."
            )
        _log.info("%s: %s", image.parent.name, flag.message)
    if factor == 1.0:
        return fused
    times = np.float32(factor)
    return replace(
        fused,
        water=fused.water * times,
        fat=fused.fat * times,
        in_phase=fused.in_phase * times,
        opposed=fused.opposed * times,
    )


def _beside(path: Path, fused: Fused) -> NDArray[np.float32]:
    voxels, grid = read_image([path])
    if not grid.same_as(fused.grid):
        raise InputError(
            f"{path.parent.name}/{path.name}", "a grid that differs from the image's", "one fused study", "Fuse again."
        )
    return np.asarray(voxels[0])
