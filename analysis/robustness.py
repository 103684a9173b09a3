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

__all__ = ["robustness_tables"]


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
    made: dict[str, pd.DataFrame] = {}
    table, adjust = cohort.analysed, options.adjust
    sites = sites_of(table, options.sites)
    if sites:
        progress("centres and scanners")
        asked = (options.exposures[:1], options.outcomes)
        made["site_differences"] = pd.concat(
            [site_differences(table, site, adjust, cohort.structures) for site in sites], ignore_index=True
        )
        made["sites"] = pd.concat(
            [site_associations(table, site, adjust, *asked, cohort.structures) for site in sites], ignore_index=True
        )
    until = None if options.censor_date is None else pd.Timestamp(options.censor_date)
    events = [name for name in options.events or EVENTS if name in table and table[name].notna().any()]
    if events:
        progress("dated events")
        made["competing"] = competing_risks(table, adjust, options.exposures, events, until)
        curves = [incidence_by_thirds(table, options.exposures[0], event, until) for event in events]
        made["incidence"] = pd.concat(curves, ignore_index=True)
    made["composition"] = composition_associations(table, adjust, follow_up(table, until))
    errors = known_errors(table, repeats, options.measurement_error or {})
    if errors:
        progress("measurement error")
        exposures = [name for name in options.exposures if name in errors]
        made["undiluted"] = undiluted_associations(table, adjust, exposures, options.outcomes, errors, options.seed)
    progress("power")
    shares = {name: float(table[name].mean()) for name in options.outcomes if 0 < table[name].mean() < 1}
    if shares:
        r2 = explained_share(table, options.exposures[0], adjust)
        made["power"] = power_table(len(table), shares, r2=r2).assign(exposure=options.exposures[0], r2=r2)
        made["power_curves"] = power_curves(shares, r2=r2)
    return {name: part for name, part in made.items() if len(part)}
