"""The further analyses of ``--full``, as tables by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.by_group import table_by_group
from analysis.cohort import Cohort
from analysis.curves import odds_ratio_curves
from analysis.imputation import imputed_associations
from analysis.mediation import mediation_table
from analysis.muscles import muscle_associations, muscle_selection
from analysis.odds_ratios import associations
from analysis.options import Options
from analysis.reference import height_curves, percentile_curves, reference_table
from analysis.repeatability import repeat_table
from analysis.threads import made_together

__all__ = ["further_tables"]

# Resampled cohorts of the percentiles' bands; each fits every curve again.
_BANDS = 30
# Outcomes that no muscle defines.
_INDEPENDENT = ("falls", "mortality", "weak_grip")
_STRENGTHS = ("specific_strength_kg_per_l", "thigh_strength_kg_per_l")
_QUALITY = ("low_specific_strength", "adverse_muscle_composition")


def further_tables(
    cohort: Cohort, options: Options, progress: Callable[[str], None] = lambda label: None
) -> dict[str, pd.DataFrame]:
    """Make the tables of ``--full`` that need no follow-up.

    Returns
    -------
    dict of str to DataFrame
        ``by_group, quality, muscles, muscle_selection, curves, mediation,
        imputed, reference, percentiles, height_percentiles`` and, with two visits,
        ``repeats``.
    """
    table, adjust, seed, cuts = cohort.analysed, options.adjust, options.seed, dict(options.fixed_cuts or {})
    asked: dict[str, Any] = {"exposures": options.exposures, "outcomes": options.outcomes}
    structures = cohort.structures
    progress("further analyses")
    # The longest first. Each draws its own random numbers, so the order changes nothing.
    made = made_together({
        "imputed": lambda: imputed_associations(cohort.eligible, adjust, **asked, cuts=cuts, seed=seed),
        "muscles": lambda: muscle_associations(table, structures, adjust, _INDEPENDENT),
        "muscle_selection": lambda: muscle_selection(table, structures, adjust, _INDEPENDENT, seed),
        "mediation": lambda: mediation_table(table, adjust, outcomes=_INDEPENDENT, seed=seed),
        "percentiles": lambda: percentile_curves(table, bootstraps=_BANDS, seed=seed),
        "height_percentiles": lambda: height_curves(table, bootstraps=_BANDS, seed=seed),
        "curves": lambda: odds_ratio_curves(table, options.exposures[0], _INDEPENDENT, adjust),
        "quality": lambda: _muscle_quality(table, adjust, cuts),
        "by_group": lambda: table_by_group(table, cuts=cuts.get("pa_ratio")),
    })  # fmt: skip
    if len(made["percentiles"]):
        source = f"{len(table)} participants of this analysis"
        made["reference"] = reference_table(table, source, synthetic=cohort.synthetic)
    if cohort.repeats is not None:
        made["repeats"] = repeat_table(cohort.repeats)
    return made


def _muscle_quality(
    table: pd.DataFrame, adjust: Sequence[str], cuts: Mapping[str, tuple[float, float]]
) -> pd.DataFrame:
    strengths = tuple(name for name in _STRENGTHS if name in table and table[name].notna().any())
    parts = [associations(table, adjust, exposures=strengths, outcomes=("falls", "mortality"), cuts=cuts),
             associations(table, adjust, exposures=("pa_ratio",), outcomes=_QUALITY, cuts=cuts)]  # fmt: skip
    return pd.concat([part.summary for part in parts], ignore_index=True)
