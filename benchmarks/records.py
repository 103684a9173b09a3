"""One small file for each phantom, so that a long measurement can be stopped and continued."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from operators.core.output_files import replacing

__all__ = ["kept"]


def kept(folder: Path | None, seed: int, made_for: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The record of a seed: read from ``folder``, or made and written there.

    Parameters
    ----------
    folder : Path or None
        None keeps nothing.
    seed : int
    made_for : str
        What the record depends on beside the seed. One that was made for something else is made again.
    make : callable
    """
    path = None if folder is None else folder / f"{seed:06d}.json"
    if path is not None and path.is_file():
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if record["made_for"] == made_for:
            return record
    record = {"made_for": made_for, **make()}
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(record), encoding="utf-8")
    return record
