"""Survival analysis of dated deaths: follow-up times and hazard ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.cox import fit_cox, proportional_hazards_p
from analysis.deaths import Register, count_deaths, end_in_words, register_of
from analysis.definitions import EXPOSURES
from analysis.design import Covariates, beside, in_sds
from analysis.distributions import chi2_tail
from analysis.odds_ratios import EVENTS_PER_COEFFICIENT
from analysis.problems import Note
from analysis.thirds import tertiles

__all__ = ["FollowUp", "HazardRatio", "follow_up", "hazard_ratios"]

Vector = NDArray[np.float64]

_DAYS_PER_YEAR = 365.25
THIRDS, PER_SD = "highest against lowest third", "per SD"


@dataclass(frozen=True)
class FollowUp:
    """How long each person was followed, and whether they died during that time.

    Attributes
    ----------
    years : ndarray, shape (n,)
        From imaging to death or to the end of follow-up; NaN if unknown.
    died : ndarray, shape (n,)
        1, 0, or NaN if unknown.
    end : str
        The time until which deaths are known, in words.
    notes : tuple of Note
        People whose dates contradict one another.
    """

    years: Vector
    died: Vector
    end: str
    notes: tuple[Note, ...]

    @property
    def given(self) -> bool:
        """Whether there is anything to analyse, i.e. follow-up and at least one death."""
        return bool(np.nansum(self.died) > 0)

    @property
    def summary(self) -> pd.DataFrame:
        """People, deaths and person-years."""
        known = np.isfinite(self.years)
        return pd.DataFrame(
            [{"n": int(known.sum()), "deaths": int(np.nansum(self.died)), "person_years": np.nansum(self.years)}]
        )


@dataclass(frozen=True)
class HazardRatio:
    """One hazard ratio of death from any cause.

    Attributes
    ----------
    exposure, contrast, model : str
        ``contrast`` is highest against lowest third, or per SD; ``model`` crude or adjusted.
    n, deaths : int
    person_years : float
    deaths_low, deaths_high : int or None
        Deaths in the thirds; None per SD.
    rate_low, rate_high : float
        Deaths in 1000 person-years.
    hazard_ratio, ci_low, ci_high : float
        With Wald's 95% interval; NaN if the data do not determine them.
    p_value, p_likelihood_ratio : float
    p_proportional, p_proportional_all : float
        p values of the test of proportional hazards, for the exposure and for all coefficients.
    note : str
    """

    exposure: str
    contrast: str
    model: str
    n: int
    deaths: int
    person_years: float
    deaths_low: int | None = None
    deaths_high: int | None = None
    rate_low: float = float("nan")
    rate_high: float = float("nan")
    hazard_ratio: float = float("nan")
    ci_low: float = float("nan")
    ci_high: float = float("nan")
    p_value: float = float("nan")
    p_likelihood_ratio: float = float("nan")
    p_proportional: float = float("nan")
    p_proportional_all: float = float("nan")
    note: str = ""


def follow_up(table: pd.DataFrame, register: Register | None = None) -> FollowUp:
    """Compute follow-up from imaging to death, or to the last day on which a person is known to be alive.

    Parameters
    ----------
    table : DataFrame
        With ``imaging_date``, ``death_date`` and ``censor_date`` (end of a
        person's own follow-up, such as loss or withdrawal), as dates or missing.
    register : Register, optional
        The end of follow-up of people without a date of their own, which is
        `analysis.cohort.Cohort.register` for the tables of a run. Without it, the
        latest death in this table.

    Notes
    -----
    Deaths after the end are not counted. People who died or left on or before the
    day of imaging have no follow-up, nor have those who died on an unknown day;
    they are left out, with a note.
    """
    start, death, own = (table[name] for name in ("imaging_date", "death_date", "censor_date"))
    register = register_of(death) if register is None else register
    deaths = count_deaths(table, register)
    died = death.notna() & (death <= deaths.end)
    years = (death.where(died, deaths.end) - start).dt.days.to_numpy(dtype=float, na_value=np.nan) / _DAYS_PER_YEAR
    contrary, undated = deaths.before.to_numpy(), deaths.undated.to_numpy()
    short = (years <= 0) & ~contrary
    alive_by_code = (table["died"].astype("string") == "0").to_numpy(dtype=bool, na_value=False) & death.notna()
    late = death.notna() & start.notna() & ~deaths.before
    nobody = late if not (died & (years > 0)).any() else pd.Series(False, index=table.index)
    unknown = start.isna() & bool(death.notna().any())
    found = (
        ("death_date", "after the end of following, as all dates of death: no hazard ratios", nobody.to_numpy()),
        ("death_date", "on or before the date of imaging: not followed", contrary),
        ("censor_date", "on or before the date of imaging: not followed", short),
        ("imaging_date", "missing: not followed; the logistic models count a death as after imaging", unknown),
        ("died", "0 beside a date of death: the date counts in Cox's model", np.asarray(alive_by_code)),
        ("died", "1 without a date of death: not followed", undated & bool(died.any())),
    )
    notes = [Note(name, rule, int(who.sum()), ()) for name, rule, who in found if who.any()]
    known = np.isfinite(years) & (years > 0) & ~undated
    return FollowUp(
        years=np.where(known, years, np.nan),
        died=np.where(known, died.to_numpy(dtype=float), np.nan),
        end=end_in_words(own, register),
        notes=tuple(notes),
    )


def hazard_ratios(
    table: pd.DataFrame,
    followed: FollowUp,
    covariates: Sequence[str],
    *,
    exposures: Sequence[str] = tuple(EXPOSURES),
    cuts: Mapping[str, tuple[float, float]] | None = None,
) -> pd.DataFrame:
    """Fit Cox models of every exposure, by thirds and per SD, crude and adjusted.

    Returns
    -------
    DataFrame
        Columns of `HazardRatio`; empty if there are no dates. Per SD is per that
        of everybody in the table who has the exposure, as in
        `analysis.sensitivity.per_sd`.
    """
    rows: list[HazardRatio] = []
    for exposure in exposures if followed.given else ():
        shared = [name for name in covariates if name != exposure]
        designs = [("crude", Covariates(table, ()))] + ([("adjusted", Covariates(table, shared))] if shared else [])
        values = table[exposure].to_numpy(dtype=float)
        groups = tertiles(values, (cuts or {}).get(exposure))
        high = np.where(groups.group == 2, 1.0, np.where(groups.group == 0, 0.0, np.nan))
        for contrast, column in ((THIRDS, high), (PER_SD, in_sds(values))):
            note = groups.note if contrast == THIRDS else ""
            for model, columns in designs:
                rows.append(_one(followed, column, columns, HazardRatio(exposure, contrast, model, 0, 0, 0, note=note)))
    return pd.DataFrame([vars(row) for row in rows], columns=[*HazardRatio.__dataclass_fields__])


def _one(followed: FollowUp, column: Vector, covariates: Covariates, empty: HazardRatio) -> HazardRatio:
    rows = np.isfinite(column) & np.isfinite(followed.years) & covariates.known
    x, years, died = column[rows], followed.years[rows], followed.died[rows]
    row = replace(empty, n=len(x), deaths=int(died.sum()), person_years=float(years.sum()))
    in_thirds, notes = empty.contrast == THIRDS, [empty.note] if empty.note else []
    if in_thirds:
        low, high = x == 0, x == 1
        row = replace(row, deaths_low=int(died[low].sum()), deaths_high=int(died[high].sum()))
        if not low.any() or not high.any():
            return replace(row, note="; ".join([*notes, "a group of nobody: not estimable"]))
        row = replace(
            row,
            rate_low=float(1000 * died[low].sum() / years[low].sum()),
            rate_high=float(1000 * died[high].sum() / years[high].sum()),
        )
        if 0 in (row.deaths_low, row.deaths_high):
            return replace(row, note="; ".join([*notes, "no deaths in a third: not estimable"]))
    if row.deaths == 0 or np.ptp(x) == 0:
        return replace(row, note="no deaths: not estimable" if row.deaths == 0 else "no variation: not estimable")
    design = covariates.of(rows)
    notes += design.notes
    regressors = beside(x, design.values)
    if row.deaths < regressors.shape[1]:
        return replace(row, note="; ".join([*notes, "more coefficients than deaths: not estimable"]))
    if row.deaths < EVENTS_PER_COEFFICIENT * regressors.shape[1]:
        notes.append("fewer than 5 deaths per coefficient: read with care")
    try:
        fit = fit_cox(years, died, regressors)
        without = fit.null_log_likelihood
        if design.names:
            without = fit_cox(years, died, design.values).log_likelihood
        each, together = proportional_hazards_p(fit, years, died, regressors)
    except np.linalg.LinAlgError:
        return replace(row, note="; ".join([*notes, "a coefficient without end: not estimable"]))
    if not fit.converged:
        return replace(row, note="; ".join([*notes, "a coefficient without end: not estimable"]))
    first = fit.summary.iloc[0]
    return replace(
        row,
        hazard_ratio=float(first["hazard_ratio"]),
        ci_low=float(first["ci_low"]),
        ci_high=float(first["ci_high"]),
        p_value=float(first["p_value"]),
        p_likelihood_ratio=_likelihood_ratio_p(fit.log_likelihood, without),
        p_proportional=float(each[0]),
        p_proportional_all=together,
        note="; ".join(notes),
    )


def _likelihood_ratio_p(best: float, without: float) -> float:
    return float(chi2_tail(max(0.0, 2.0 * (best - without)), 1))
