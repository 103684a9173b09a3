"""The further analyses of ``--full``, as tables by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from analysis.by_group import table_by_group
from analysis.cohort import Cohort
from analysis.curves import odds_ratio_curves
from analysis.imputation import imputed_associations
from analysis.mediation import mediation_table
from analysis.muscles import muscle_associations, muscle_selection
from analysis.odds_ratios import associations
from analysis.options import Options
from analysis.reference import percentile_curves, reference_table
from analysis.repeatability import repeat_table, undiluted

__all__ = ["further_tables", "undiluted_associations"]

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
        imputed, reference, percentiles`` and, with two visits, ``repeats`` and
        ``undiluted``.
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
    if len(made["percentiles"]):
        source = f"{len(table)} participants of this analysis"
        made["reference"] = reference_table(table, source, synthetic=cohort.synthetic)
    if cohort.repeats is not None:
        made["repeats"] = repeat_table(cohort.repeats)
    return made


def undiluted_associations(per_sd: pd.DataFrame, repeats: pd.DataFrame) -> pd.DataFrame:
    """Odds ratios per SD, corrected for the random error that repeated imaging shows.

    Parameters
    ----------
    per_sd : DataFrame
        From `analysis.sensitivity.per_sd`.
    repeats : DataFrame
        From `analysis.repeatability.repeat_table`.
    """
    errors = repeats.set_index("measure")["within_sd"].to_dict()
    errors |= {"lr_asymmetry_mri": errors.get("lr_asymmetry", np.nan)}
    rows = []
    for row in per_sd[per_sd["exposure"].isin(errors)].to_dict("records"):
        log_odds = float(np.log(row["odds_ratio"]))
        error = float(np.log(row["ci_high"] / row["ci_low"])) / (2 * 1.959963984540054)
        share = errors[row["exposure"]] / row["sd"]
        corrected, wider = undiluted(log_odds, error, share, 1.0)
        ends = [float(np.exp(corrected + sign * 1.959963984540054 * wider)) for sign in (-1, 1)]
        rows.append({"exposure": row["exposure"], "outcome": row["outcome"], "reliability": 1 - share**2,
                     "odds_ratio_measured": row["odds_ratio"], "odds_ratio": float(np.exp(corrected)),
                     "ci_low": ends[0], "ci_high": ends[1]})  # fmt: skip
    return pd.DataFrame(rows)
