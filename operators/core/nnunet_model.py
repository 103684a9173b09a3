"""What a trained nnU-Net v2 says of itself: its channels, its labels and its folds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operators.core.contrast import Contrast
from operators.core.errors import UsageError

if TYPE_CHECKING:
    from operators.core.segmenters import Segmenter

__all__ = ["DATASET_FILE", "of_nnunet"]

DATASET_FILE = "dataset.json"

_CHANNELS = {
    Contrast.WATER: {"water", "w", "dixon_water", "water_dixon", "dixon_w"},
    Contrast.FAT: {"fat", "f", "dixon_fat", "fat_dixon", "dixon_f"},
    Contrast.IN: {"in", "in_phase", "inphase", "ip", "dixon_in"},
    Contrast.OPPOSED: {"opp", "opposed", "opposed_phase", "out_phase", "op", "oop", "dixon_opp"},
}


def of_nnunet(tool: Segmenter, model: Path) -> Segmenter:
    """The command for a trained nnU-Net: the images that it reads, its folds and its list of labels.

    Parameters
    ----------
    tool : Segmenter
        The known tool ``nnunet``.
    model : Path
        The folder that nnU-Net wrote for one configuration, such as ``nnUNetTrainer__nnUNetPlans__3d_fullres``.

    Raises
    ------
    UsageError
        When it is not such a folder, reads a channel that a Dixon study does not have, or holds no trained fold.
    """
    facts = _dataset(model)
    folds = sorted(path.parent.name.removeprefix("fold_") for path in model.glob("fold_*/checkpoint_final.pth"))
    if not (model / "plans.json").is_file() or not folds:
        raise UsageError(
            f"--segmenter-model {model.name}",
            "no plans.json" if folds else "no fold_*/checkpoint_final.pth",
            "the folder of one trained configuration of nnU-Net v2, with dataset.json, plans.json and fold_*",
            "Give the folder TRAINER__PLANS__CONFIGURATION below nnUNet_results, after the training ended.",
        )
    if (ending := facts.get("file_ending", ".nii.gz")) != ".nii.gz":
        raise UsageError(
            f"{model.name}/{DATASET_FILE}", f"file_ending {ending}", ".nii.gz", "Train it on compressed NIfTI."
        )
    chosen = ["all"] if folds == ["all"] else [fold for fold in folds if fold != "all"]
    return replace(
        tool,
        command=f"{tool.command} -f {' '.join(chosen)}",
        contrast=" ".join(contrast.value for contrast in _contrasts(facts, model.name)),
        scheme=str(model / DATASET_FILE),
    )


def _contrasts(facts: Mapping[str, Any], where: str) -> list[Contrast]:
    names = facts.get("channel_names", facts.get("modality"))
    if not isinstance(names, dict) or not names:
        raise UsageError(f"{where}/{DATASET_FILE}", "no channel_names", "nnU-Net's dataset.json", "Check the folder.")
    by_number = [str(names[key]) for key in sorted(names, key=lambda key: int(key) if str(key).isdigit() else 0)]
    plain = [name.lower().replace(" ", "_").replace("-", "_") for name in by_number]
    found = [next((contrast for contrast, known in _CHANNELS.items() if name in known), None) for name in plain]
    if len(found) == 1 and found[0] is None:
        return [Contrast.WATER]  # many name their only channel MRI or T1; water is the one with contrast in muscle
    if None in found:
        raise UsageError(
            f"{where}/{DATASET_FILE}",
            f"channels {', '.join(by_number)}",
            "channels among water, fat, in and opp, or a single one",
            "Rename channel_names to what they are, or use a network for what the study has.",
        )
    return [contrast for contrast in found if contrast is not None]


def _dataset(model: Path) -> Mapping[str, Any]:
    path = model / DATASET_FILE
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--segmenter-model {model.name}",
            f"no readable {DATASET_FILE}",
            "the folder of one trained configuration of nnU-Net v2",
            "Give the folder TRAINER__PLANS__CONFIGURATION below nnUNet_results.",
        ) from error
    if not isinstance(facts, dict):
        raise UsageError(f"{model.name}/{DATASET_FILE}", "no keys", "nnU-Net's dataset.json", "Check the folder.")
    return facts
