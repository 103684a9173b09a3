"""Tables of ``--full`` that ask whether the results hold: sites, competing deaths, measurement error, power."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from analysis.centres import site_associations, site_differences, sites_of
from analysis.cohort import Cohort
from analysis.competing_risks import EVENTS, competing_risks, incidence_by_thirds
from analysis.composition import composition_associations
from analysis.measurement_error import known_errors, undiluted_associations
from analysis.options import Options
from analysis.power import explained_share, power_curves, power_table
from analysis.survival import follow_up
from analysis.threads import made_together

__all__ = ["robustness_tables"]

# Covariates that explain more than this of the exposure leave nothing to find.
_DETERMINED = 0.9999


def robustness_tables(
    cohort: Cohort,
    options: Options,
    repeats: pd.DataFrame | None = None,
    progress: Callable[[str], None] = lambda label: None,
) -> dict[str, pd.DataFrame]:
    """Make them. A table is left out where the cohort has nothing to make it from.

    Parameters
    ----------
    cohort : Cohort
    options : Options
    repeats : DataFrame, optional
        From `analysis.repeatability.repeat_table`.
    progress : callable

    Returns
    -------
    dict of str to DataFrame
        ``site_differences`` and ``sites``, where people were imaged at several
        sites; ``competing`` and ``incidence``, where there are dated events;
        ``composition``, where muscle fat is known; ``undiluted``, where the
        error of a measurement is known; ``power`` and ``power_curves`` of the
        outcomes that somebody has.
    """
    table, adjust, outcomes, first = cohort.analysed, options.adjust, options.outcomes, options.exposures[:1]
    structures, makers = cohort.structures, dict[str, Callable[[], pd.DataFrame]]()
    sites = sites_of(table, options.sites)
    if sites:
        makers["site_differences"] = lambda: pd.concat(
            [site_differences(table, site, adjust, structures) for site in sites], ignore_index=True
        )
        makers["sites"] = lambda: pd.concat(
            [site_associations(table, site, adjust, first, outcomes, structures) for site in sites], ignore_index=True
        )
    cuts = dict(options.fixed_cuts or {})
    events = [name for name in options.events or EVENTS if name in table and table[name].notna().any()]
    if events:
        makers["competing"] = lambda: competing_risks(table, adjust, options.exposures, events, cohort.register, cuts)
        makers["incidence"] = lambda: pd.concat(
            [incidence_by_thirds(table, first[0], event, cohort.register, cuts.get(first[0])) for event in events],
            ignore_index=True,
        )
    makers["composition"] = lambda: composition_associations(table, adjust, follow_up(table, cohort.register))
    errors = known_errors(table, repeats, options.measurement_error or {})
    diluted = [name for name in options.exposures if name in errors]
    if diluted:
        makers["undiluted"] = lambda: undiluted_associations(table, adjust, diluted, outcomes, errors, options.seed)
    shares = {name: float(table[name].mean()) for name in outcomes if 0 < table[name].mean() < 1}
    r2 = explained_share(table, first[0], adjust)
    if shares and r2 < _DETERMINED:
        makers["power"] = lambda: power_table(len(table), shares, r2=r2).assign(exposure=first[0], r2=r2)
        makers["power_curves"] = lambda: power_curves(shares, r2=r2)
    progress("centres, dated events, measurement error, power")
    return {name: made for name, made in made_together(makers).items() if len(made)}
