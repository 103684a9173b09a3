"""Folds for cross-validation: who belongs together, and which fold each group is in."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from operators.core.errors import InputError, UsageError

__all__ = ["assign_folds", "group_of", "participant_of", "read_groups"]

_UKB_ITEM = re.compile(r"^(\d{7})_\d+_\d+_\d+$")  # eid_field_instance_array


def assign_folds(groups: Sequence[str], weak: Sequence[bool], folds: int, seed: int = 0) -> list[int]:
    """Assign a fold to each pair. Groups stay together; folds have similar numbers of weak and of annotated pairs.

    Parameters
    ----------
    groups : sequence of str
        Group of each pair.
    weak : sequence of bool
        Whether each pair's labels are weak.
    folds : int
    seed : int

    Raises
    ------
    UsageError
        If there are fewer groups than folds.
    """
    names = sorted(set(groups))
    if not 2 <= folds <= len(names):
        raise UsageError(
            "--folds",
            f"{folds} folds for {len(names)} groups",
            f"2 to {len(names)}",
            "Choose fewer folds, or add participants.",
        )
    strong = {name: sum(g == name and not w for g, w in zip(groups, weak, strict=True)) for name in names}
    size = Counter(groups)
    shuffled = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    held = [[0, 0] for _ in range(folds)]  # annotated pairs, all pairs
    chosen: dict[str, int] = {}
    for name in sorted(shuffled, key=lambda n: (-strong[n], -size[n])):  # the largest first; sort is stable
        fold = min(range(folds), key=lambda f: (held[f][0] if strong[name] else 0, held[f][1], f))
        chosen[name] = fold
        held[fold][0] += strong[name]
        held[fold][1] += size[name]
    return [chosen[group] for group in groups]


def participant_of(name: str) -> str:
    """The first folder below DIR, or the eid in it if it is named like a UK Biobank item, whichever the visit."""
    top = name.split("/")[0]
    item = _UKB_ITEM.match(top)
    return item[1] if item else top


def read_groups(path: Path) -> dict[str, str]:
    """The group of each folder, from a CSV file with columns ``folder`` and ``group``.

    Raises
    ------
    UsageError
        If it cannot be read, or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return {row["folder"].strip(): row["group"].strip() for row in csv.DictReader(file)}
    except (OSError, KeyError, AttributeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"--group-by {path.name}",
            f"not usable ({type(error).__name__})",
            "`participant`, or a CSV file with columns folder and group",
            "Check the path and the header line.",
        ) from error


def group_of(table: Mapping[str, str], name: str) -> str:
    """The group of the folder ``name``.

    Raises
    ------
    InputError
        If the table has no row for it.
    """
    try:
        return table[name]
    except KeyError as error:
        raise InputError(
            "--group-by", "a data folder has no row", "a group for every folder", "Complete the CSV file."
        ) from error
