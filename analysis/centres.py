"""Centres and scanners: do they change the measures or the odds ratios, and does it help to account for them?

Four ways side by side: not considered, as a factor, as a random intercept, and with measures harmonised by
ComBat. Generalised estimating equations are left out on purpose: their robust error needs some forty centres
(Mancl & DeRouen, Biometrics 2001;57:126-134), and UK Biobank images at four.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.combat import combat
from analysis.design import Covariates, exposure_sd
from analysis.distributions import chi2_tail, f_tail, normal_quantile, normal_tail
from analysis.logistic import fit_logistic
from analysis.mixed_linear import fit_linear_mixed
from analysis.mixed_logistic import fit_random_intercept
from analysis.odds_ratios import EVENTS_PER_COEFFICIENT

__all__ = ["SITES", "site_associations", "site_differences", "sites_of"]

Vector = NDArray[np.float64]
Row = dict[str, object]

SITES = ("centre",)
"""Columns that are used without being named."""
MEASURES = (
    "tmv_cm3",
    "tvi_cm3_per_cm2",
    "pa_ratio",
    "lr_asymmetry_mri",
    "muscle_dixon_fat_core",
    "muscle_fat_fraction",
)
# A site with fewer people says nothing about itself.
_FEWEST = 20
_MOST_SITES = 200
_KNOWN_SHARE = 0.99
# Share of a measure's variance below which what sites and covariates leave is rounding.
_NO_VARIANCE = 1e-12
_Z = normal_quantile(0.975)
WAYS = ("not considered", "factor", "random intercept", "ComBat")


def sites_of(table: pd.DataFrame, asked: Sequence[str]) -> list[str]:
    """The columns with two or more sites of at least 20 people each; of `SITES` if none is asked for."""
    found = []
    for name in asked or SITES:
        if name in table and 2 <= (table[name].value_counts() >= _FEWEST).sum() <= _MOST_SITES:
            found.append(name)
    return found


def site_differences(
    table: pd.DataFrame, site: str, covariates: Sequence[str], structures: Sequence[str] = ()
) -> pd.DataFrame:
    """How much the sites differ in each measure, given the covariates, before and after ComBat.

    Parameters
    ----------
    table : DataFrame
        As `analysis.cohort.Cohort.analysed`.
    site : str
        Column of the sites. Those of fewer than 20 people are left out.
    covariates : sequence of str
    structures : sequence of str
        Their volumes are harmonised together with the measures.

    Returns
    -------
    DataFrame
        ``site, measure, n, sites, range_sd`` (largest minus smallest adjusted
        mean, in residual SD), ``share`` of the residual variance that lies
        between sites (random intercept, REML), ``p_value`` (F test of the
        factor), and the same with ``_after``; ``note`` has the reason for what
        is missing.
    """
    rows, codes, shared = _people(table, site, covariates)
    names, values = _measures(table[rows], structures)
    whole = np.isfinite(values).all(axis=1)
    design, codes, values = shared[whole], codes[whole], values[whole]
    after = _harmonised(values, codes, design)
    made = []
    for name in (name for name in names if name in MEASURES):
        before, later = values[:, names.index(name)], None if after is None else after[:, names.index(name)]
        row: Row = {"site": site, "measure": name, "n": len(before), "sites": int(codes.max()) + 1}
        row |= _difference(before, codes, design)
        said = ""
        if pd.isna(row["range_sd"]):
            said = "the covariates leave no variation, or tell the sites: not estimable"
        if later is not None:
            row |= {f"{key}_after": value for key, value in _difference(later, codes, design).items()}
        else:
            said = said or "a covariate follows from the sites: not harmonised"
        row["note"] = said
        made.append(row)
    return pd.DataFrame(made)


def site_associations(
    table: pd.DataFrame,
    site: str,
    covariates: Sequence[str],
    exposures: Sequence[str],
    outcomes: Sequence[str],
    structures: Sequence[str] = (),
) -> pd.DataFrame:
    """Odds ratios per SD of the exposure with the sites handled in four ways, in the same people.

    Returns
    -------
    DataFrame
        ``site, exposure, outcome, handling`` (see `WAYS`), ``n, events,
        odds_ratio, ci_low, ci_high, p_value, site_sd`` (of the random intercept,
        log odds), ``p_site`` (likelihood ratio test of the factor), ``note``.
        Wald's intervals, because that is what mixed models have.
    """
    rows, codes, _ = _people(table, site, ())
    part = table[rows]
    made: list[Row] = []
    for exposure in exposures:
        shared = Covariates(part, [name for name in covariates if name not in (exposure, site)])
        names, values = _measures(part, structures, exposure)
        whole = np.isfinite(values).all(axis=1) & shared.known
        # Harmonised once for all outcomes: the outcome must not be used.
        harmonised = np.full(len(part), np.nan)
        after = _harmonised(values[whole], _recoded(codes[whole]), shared.of(whole).values)
        if after is not None:
            harmonised[whole] = after[:, names.index(exposure)]
        plain = values[:, names.index(exposure)]
        sd = exposure_sd(table[exposure].to_numpy(dtype=float, na_value=np.nan))
        sd = sd if np.isfinite(sd) else 1.0
        for outcome in outcomes:
            events = part[outcome].to_numpy(dtype=float, na_value=np.nan)
            known = whole & np.isfinite(events)
            about: Row = {"site": site, "exposure": exposure, "outcome": outcome, "n": int(known.sum()),
                          "events": int(events[known].sum())}  # fmt: skip
            made += _four_ways(about, plain[known] / sd, harmonised[known] / sd, events[known],
                               shared.of(known).values, _recoded(codes[known]))  # fmt: skip
    return pd.DataFrame(made)


def _four_ways(
    about: Row, x: Vector, harmonised: Vector, events: Vector, shared: Vector, codes: NDArray[np.intp]
) -> list[Row]:
    rows: list[Row] = [about | {"handling": way} for way in WAYS]
    sites = int(codes.max()) + 1 if len(codes) else 0
    fewer = min(events.sum(), len(events) - events.sum())
    if sites < 2 or fewer < EVENTS_PER_COEFFICIENT * (1 + shared.shape[1] + sites - 1) or np.ptp(x) == 0:
        reason = "one site: nothing to compare" if sites < 2 else "too few events: not estimable"
        reason = "no variation: not estimable" if len(x) and np.ptp(x) == 0 else reason
        return [row | {"note": reason} for row in rows]
    factor = np.eye(sites)[codes][:, 1:]
    try:
        plain = fit_logistic(np.column_stack([x, shared]), events)
        rows[0] |= _ratio(plain.coefficients[1], plain.standard_errors[1])
        with_factor = fit_logistic(np.column_stack([x, shared, factor]), events)
        if with_factor.separated:
            rows[1] |= {"note": "a site with no events, or only events: not estimable"}
        else:
            gain = max(0.0, 2 * (with_factor.log_likelihood - plain.log_likelihood))
            rows[1] |= _ratio(with_factor.coefficients[1], with_factor.standard_errors[1])
            rows[1] |= {"p_site": float(chi2_tail(gain, sites - 1))}
        mixed = fit_random_intercept(np.column_stack([x, shared]), events, codes)
        rows[2] |= {"note": "did not converge"}
        if mixed.converged:
            few = f"a spread from {sites} sites is uncertain" if sites < 5 else ""
            rows[2] |= _ratio(mixed.coefficients[1], float(np.sqrt(mixed.covariance[1, 1])))
            rows[2] |= {"site_sd": mixed.group_sd, "note": few}
        if np.isfinite(harmonised).all():
            after = fit_logistic(np.column_stack([harmonised, shared]), events)
            rows[3] |= _ratio(after.coefficients[1], after.standard_errors[1])
        else:
            rows[3] |= {"note": "a covariate follows from the sites: not estimable"}
    except np.linalg.LinAlgError:
        rows = [row | ({} if "odds_ratio" in row else {"note": "a covariate follows from the sites: not estimable"})
                for row in rows]  # fmt: skip
    return rows


def _ratio(coefficient: float, error: float) -> Row:
    return {
        "odds_ratio": float(np.exp(coefficient)),
        "ci_low": float(np.exp(coefficient - _Z * error)),
        "ci_high": float(np.exp(coefficient + _Z * error)),
        "p_value": float(2 * normal_tail(abs(coefficient / error))),
        "note": "",
    }


def _people(
    table: pd.DataFrame, site: str, covariates: Sequence[str]
) -> tuple[NDArray[np.bool_], NDArray[np.intp], Vector]:
    """Who has a site that is large enough and every covariate; codes of the sites; columns of the covariates."""
    shared = Covariates(table, [name for name in covariates if name != site])
    counts = table[site].value_counts()
    large = set(counts[counts >= _FEWEST].index)
    rows = table[site].isin(list(large)).to_numpy(dtype=bool) & shared.known
    return rows, pd.factorize(table.loc[rows, site], sort=True)[0], shared.of(rows).values


def _measures(table: pd.DataFrame, structures: Sequence[str], exposure: str = "") -> tuple[list[str], Vector]:
    """Measures that are harmonised together: those that nearly everybody has, and the exposure."""
    wanted = dict.fromkeys([*([exposure] if exposure else ()), *MEASURES, *(f"{name}_cm3" for name in structures)])
    names, columns = [], []
    for name in wanted:
        if name not in table:
            continue
        values = table[name].to_numpy(dtype=float, na_value=np.nan)
        enough = np.isfinite(values).mean() >= _KNOWN_SHARE if len(values) else False
        if name == exposure or (enough and np.nanmin(values) < np.nanmax(values)):
            names.append(name)
            columns.append(values)
    return names, np.column_stack(columns) if columns else np.empty((len(table), 0))


def _harmonised(values: Vector, codes: NDArray[np.intp], design: Vector) -> Vector | None:
    try:
        return combat(values, codes, design)
    except (ValueError, np.linalg.LinAlgError):
        return None


def _recoded(codes: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.unique(codes, return_inverse=True)[1]


def _difference(values: Vector, codes: NDArray[np.intp], design: Vector) -> Row:
    """Range of the adjusted means, share of variance between the sites, and the F test of the factor."""
    n, sites = len(values), int(codes.max()) + 1
    own = np.eye(sites)[codes]
    without = np.column_stack([np.ones(n), design])
    full = np.column_stack([own, design])
    freedom = n - full.shape[1]
    if freedom < 1 or np.linalg.matrix_rank(full) < full.shape[1]:
        return {"range_sd": np.nan, "share": np.nan, "p_value": np.nan}
    coefficients, rest = _least_squares(full, values)
    variance = rest / freedom
    if variance <= _NO_VARIANCE * float(values.var()):
        return {"range_sd": np.nan, "share": np.nan, "p_value": np.nan}
    statistic = max(0.0, (_least_squares(without, values)[1] - rest) / (sites - 1) / variance)
    # By its SD, so that a measure near 0 is as well conditioned as one in cm3.
    spread = float(np.sqrt(variance))
    return {
        "range_sd": float(np.ptp(coefficients[:sites])) / spread,
        "share": fit_linear_mixed(values / spread, design, codes).share_between,
        "p_value": f_tail(statistic, sites - 1, freedom),
    }


def _least_squares(design: Vector, values: Vector) -> tuple[Vector, float]:
    found = np.linalg.lstsq(design, values, rcond=None)[0]
    return np.asarray(found, dtype=np.float64), float(((values - design @ found) ** 2).sum())
