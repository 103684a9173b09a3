"""Whether fixed cut points fit the labels that an exposure was measured from."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

__all__ = ["fixed_cut_warnings"]

_FROM_OTHER_DATA = frozenset({"lr_asymmetry_dexa"})
_ELSEWHERE = "made elsewhere"


def fixed_cut_warnings(analysed: pd.DataFrame, cuts: Mapping[str, tuple[float, float]] | None) -> tuple[str, ...]:
    """What a reader must know of fixed cuts where labels come from another tool.

    Published cuts hold for the labels that they were found with. Another tool draws muscles
    with other borders: P/A of two people was 0.30 and 0.35 by another tool's labels, below
    every cut of the paper.

    Parameters
    ----------
    analysed : DataFrame
        With ``label_source`` where the phenotypes say it.
    cuts : mapping of str to (float, float), or None
        By exposure: the lower and the upper cut.
    """
    measured = [name for name in cuts or {} if name not in _FROM_OTHER_DATA]
    if not measured or "label_source" not in analysed.columns:
        return ()
    count = int((analysed["label_source"] == _ELSEWHERE).sum())
    if not count:
        return ()
    return (
        f"The cuts of {', '.join(measured)} are fixed, but another tool made the labels of {count} of {len(analysed)} "
        "participants. Published cuts hold for the labels that they were found with; another tool's borders can shift "
        "every ratio past them. Leave out --fixed-cuts, so that the cohort's own thirds are compared.",
    )
