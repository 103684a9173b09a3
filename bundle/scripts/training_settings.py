"""Settings of a training's image preparation, kept beside its checkpoints.

A checkpoint holds tensors only. The weights would also fit a network for voxels
of another size, so a release could describe them wrongly without any error; see
`check_settings`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bundle.scripts.checkpoints import latest_checkpoint
from operators.core.errors import UsageError
from operators.core.output_files import replacing

__all__ = ["SETTINGS_FILE", "check_settings", "record_settings"]

SETTINGS_FILE = "training_settings.json"

_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "spacing_mm": (lambda mm: len(mm) == 3 and min(mm) > 0, "three numbers above 0, such as [1.5,1.5,2.0]"),
    "roi": (lambda n: len(n) == 3 and min(n) > 0, "three numbers of voxels, such as [96,96,96]"),
    "intensity_window": (lambda ends: len(ends) == 2 and ends[0] < ends[1], "a lower and a higher number"),
}


def record_settings(ckpt_dir: str | Path, **settings: Any) -> Path:
    """Write ``training_settings.json`` into the checkpoint folder. `train.yaml` calls this before training.

    A training that goes on from a checkpoint must have the settings that are there.

    Parameters
    ----------
    ckpt_dir : path
    **settings
        Plain values by config key.

    Raises
    ------
    UsageError
        If spacing, window or roi make no sense, or a checkpoint would be trained further with other settings.
    OutputError
        If the folder cannot be written.
    """
    path = Path(ckpt_dir) / SETTINGS_FILE
    for key, (rule, expected) in _RULES.items():
        if key in settings and not _keeps(rule, settings[key]):
            raise UsageError(f"key {key}", str(settings[key]), expected, "Correct it.")
    newest = latest_checkpoint(ckpt_dir)
    before = {} if newest is None else _recorded(path)
    for key, value in before.items():
        if key in settings and json.loads(json.dumps(settings[key])) != value:
            raise UsageError(
                f"key {key}",
                str(settings[key]),
                f"{value}, as {Path(str(newest)).name} was trained",
                "Give the settings that this training began with, or choose another --ckpt_dir.",
            )
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    return path


def check_settings(checkpoint: Path, config: Mapping[str, Any]) -> None:
    """Raise if the training of a checkpoint had other settings than ``config``.

    A checkpoint without ``training_settings.json`` beside it passes: it was
    copied, and its settings are unknown.

    Parameters
    ----------
    checkpoint : Path
    config : mapping
        Plain values by config key.

    Raises
    ------
    UsageError
        Names the first setting that differs.
    """
    for key, value in _recorded(checkpoint.parent / SETTINGS_FILE).items():
        if key in config and config[key] != value:
            raise UsageError(
                f"--config, key {key}",
                str(config[key]),
                f"{value}, as {checkpoint.name} was trained",
                f"Give every --config of the training in order, and --set {key}=... if its command line set it.",
            )


def _recorded(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _keeps(rule: Callable[[Any], bool], value: Any) -> bool:
    try:
        return not isinstance(value, str) and bool(rule(value))
    except TypeError:
        return False
