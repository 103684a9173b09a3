"""Settings of a training's image preparation, kept beside its checkpoints.

A checkpoint holds tensors only. The weights would also fit a network for voxels
of another size, so a release could describe them wrongly without any error; see
`check_settings`.
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
    """Write ``training_settings.json`` into the checkpoint folder. `train.yaml` calls this before training.

    Parameters
    ----------
    ckpt_dir : path
    **settings
        Plain values by config key.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    path = Path(ckpt_dir) / SETTINGS_FILE
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
                f"Give every --config of the training in order, and --set {key}=... if its command line set it.",
            )
