"""The further analyses of ``--full``, as tables by name."""

from __future__ import annotations

from collections.abc import Callable

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

__all__ = ["further_tables"]

# Resampled cohorts of the percentiles' bands; each fits every curve again.
_BANDS = 30
# Outcomes that no muscle defines.
_INDEPENDENT = ("falls", "mortality", "weak_grip")
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
    table, adjust = cohort.analysed, options.adjust
    progress("groups")
    made = {"by_group": table_by_group(table)}
    quality = [associations(table, adjust, exposures=("specific_strength_kg_per_l",), outcomes=("falls", "mortality")),
               associations(table, adjust, exposures=("pa_ratio",), outcomes=_QUALITY)]  # fmt: skip
    made["quality"] = pd.concat([part.summary for part in quality], ignore_index=True)
    progress("every muscle")
    made["muscles"] = muscle_associations(table, cohort.structures, adjust, _INDEPENDENT)
    made["muscle_selection"] = muscle_selection(table, cohort.structures, adjust, _INDEPENDENT, options.seed)
    progress("curves")
    made["curves"] = odds_ratio_curves(table, options.exposures[0], _INDEPENDENT, adjust)
    progress("mediation")
    made["mediation"] = mediation_table(table, adjust, outcomes=_INDEPENDENT, seed=options.seed)
    progress("imputation")
    made["imputed"] = imputed_associations(
        cohort.eligible, adjust, exposures=options.exposures, outcomes=options.outcomes, seed=options.seed
    )
    progress("percentiles")
    made["percentiles"] = percentile_curves(table, bootstraps=_BANDS, seed=options.seed)
    made["height_percentiles"] = height_curves(table, bootstraps=_BANDS, seed=options.seed)
    if len(made["percentiles"]):
        source = f"{len(table)} participants of this analysis"
        made["reference"] = reference_table(table, source, synthetic=cohort.synthetic)
    if cohort.repeats is not None:
        made["repeats"] = repeat_table(cohort.repeats)
    return made
