"""The comparison of markers as tables by name, as much of it as the options ask for."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from analysis.head_to_head import OUTCOMES, head_to_head
from analysis.options import Options
from analysis.survival import FollowUp

__all__ = ["marker_tables"]


def marker_tables(
    table: pd.DataFrame, options: Options, followed: FollowUp, progress: Callable[[str], None]
) -> dict[str, pd.DataFrame]:
    """Make ``markers``; with ``--full`` with bootstraps and more outcomes, and ``calibration, decision_curve``."""
    compared = head_to_head(
        table,
        options.adjust,
        followed if options.full else None,
        outcomes=OUTCOMES if options.full else OUTCOMES[:3],
        bootstraps=options.bootstraps if options.full else 0,
        seed=options.seed,
        progress=progress,
    )
    if not options.full:
        return {"markers": compared.models}
    return {"markers": compared.models, "calibration": compared.calibration, "decision_curve": compared.decision}
