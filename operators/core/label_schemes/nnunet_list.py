"""The list of labels in an nnU-Net's ``dataset.json``, as a scheme, where its names are ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from operators.core.anatomy import STRUCTURES
from operators.core.errors import UsageError
from operators.core.label_schemes.label_sides import split_side
from operators.core.label_schemes.scheme import Scheme, plain_name

__all__ = ["scheme_of_nnunet"]

_OURS = {structure.name for structure in STRUCTURES}


def scheme_of_nnunet(path: Path) -> Scheme:
    """A scheme whose structures are the labels with our names, with or without a side.

    Parameters
    ----------
    path : Path
        ``dataset.json`` of nnU-Net v2.

    Raises
    ------
    UsageError
        When it cannot be read, or none of its labels has one of our names.
    """
    listed = _labels(path)
    labels = {number: name for name, number in listed.items() if number}
    structures: dict[str, tuple[str, ...]] = {}
    for name in labels.values():
        ours = next((n for n in (plain_name(name), split_side(plain_name(name))[0]) if n in _OURS), None)
        if ours is not None:
            structures[ours] = (*structures.get(ours, ()), name)
    if not structures:
        raise UsageError(
            f"--scheme {path.name}",
            f"labels {', '.join(list(labels.values())[:6])}",
            "names of operators/core/anatomy/structures.csv, with or without left and right",
            "Write a scheme that says which labels make up our structures (docs/howto/add-a-label-scheme.md), and give "
            "it with --scheme.",
        )
    return Scheme(
        name=f"nnU-Net {path.resolve().parent.name}",
        version="nnU-Net v2",
        source=path.name,
        labels=labels,
        structures=structures,
    )


def _labels(path: Path) -> dict[str, int]:
    try:
        facts: Any = json.loads(path.read_text(encoding="utf-8"))
        labels = {str(name): number for name, number in facts["labels"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"--scheme {path.name}",
            f"no list of labels ({type(error).__name__})",
            "nnU-Net's dataset.json",
            "Check it.",
        ) from error
    numbers = list(labels.values())
    if any(not isinstance(number, int) or isinstance(number, bool) for number in numbers):
        raise UsageError(
            f"--scheme {path.name}",
            "labels that are regions (lists of numbers)",
            "one number for each label",
            "Write a scheme for the numbers that this network writes, and give it with --scheme.",
        )
    if len(set(numbers)) < len(numbers):
        raise UsageError(f"--scheme {path.name}", "a number for two labels", "one label a number", "Correct it.")
    return labels
