"""Which pairs of image and labels are trained on, and which are validated on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from operators.core.errors import InputError

__all__ = ["training_pairs", "validation_pairs"]


def training_pairs(pairs: Sequence[dict[str, Any]], validation_count: int, fold: int = 0) -> list[dict[str, Any]]:
    """Pairs to train on: all folds of a datalist except ``fold``, else all but the last ``validation_count`` pairs.

    Raises
    ------
    InputError
        When none is left to train on.
    """
    if "fold" not in pairs[0]:
        _check_count(len(pairs), validation_count)
        return list(pairs[: len(pairs) - validation_count])
    chosen = [pair for pair in pairs if pair["fold"] != fold]
    if not chosen:
        raise InputError(
            f"datalist without fold {fold}",
            "no participant to train on",
            "at least two folds",
            "Make the datalist with --folds 2 or more, or add participants.",
        )
    return chosen


def validation_pairs(pairs: Sequence[dict[str, Any]], validation_count: int, fold: int = 0) -> list[dict[str, Any]]:
    """Pairs to validate on: the counterpart of `training_pairs`.

    Weak labels (another program's, not an annotator's) are left out if the fold
    also has others: agreement with a program is not accuracy.
    """
    if "fold" not in pairs[0]:
        return list(pairs[max(0, len(pairs) - validation_count) :])
    chosen = [pair for pair in pairs if pair["fold"] == fold]
    if not chosen:
        raise InputError(
            f"fold {fold}", "no participant", f"a fold from 0 to {max(p['fold'] for p in pairs)}", "Choose --fold."
        )
    annotated = [pair for pair in chosen if not pair["weak"]]
    if not annotated:
        warnings.warn(f"fold {fold} holds weak labels only: validation shows how well they are imitated", stacklevel=2)
    return annotated or chosen


def _check_count(pairs: int, validation_count: int) -> None:
    if not 0 <= validation_count < pairs:
        raise InputError(
            "validation_count",
            f"{validation_count} of {pairs} participant{'' if pairs == 1 else 's'}",
            f"0 to {pairs - 1}, so that some are left to train on",
            "Set --validation_count lower, or add participants.",
        )
