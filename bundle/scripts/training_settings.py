"""What a training prepared its images with, kept beside its checkpoints.

A checkpoint holds tensors only. Weights that fit a network also fit it when the
voxels are of another size, so a release could describe them wrongly without
anything failing; see `check_settings`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from operators.core.errors import UsageError
from operators.core.output_files import replacing

__all__ = ["SETTINGS_FILE", "check_settings", "record_settings"]

SETTINGS_FILE = "training_settings.json"


def record_settings(ckpt_dir: str | Path, **settings: Any) -> Path:
    """Write ``training_settings.json`` into the checkpoint folder; `train.yaml` calls this before it trains.

    Parameters
    ----------
    ckpt_dir : path
    **settings
        Plain values by the name of their config key.

    Raises
    ------
    OutputError
        When the folder cannot be written.
    """
    path = Path(ckpt_dir) / SETTINGS_FILE
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    return path


def check_settings(checkpoint: Path, config: Mapping[str, Any]) -> None:
    """Raise when the training that made a checkpoint was given other settings than ``config`` has.

    A checkpoint without ``training_settings.json`` beside it passes: it was
    copied from elsewhere, and nothing is known.

    Parameters
    ----------
    checkpoint : Path
    config : mapping
        Plain values by config key.

    Raises
    ------
    UsageError
        Naming the first setting that differs.
    """
    try:
        recorded = json.loads((checkpoint.parent / SETTINGS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for key, value in recorded.items():
        if key in config and config[key] != value:
            raise UsageError(
                f"--config, key {key}",
                str(config[key]),
                f"{value}, as {checkpoint.name} was trained",
                f"Give every --config of the training in its order, and --set {key}=... for what its command line set.",
            )
