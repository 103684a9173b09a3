"""Power and precision, for planning: what can a cohort of a given size find?

Closed forms that planners know: two proportions with unequal groups as in R's ``power.prop.test``; logistic
regression on a measure per SD (Hsieh et al., Stat Med 1998;17:1623-1634). Covariates that explain a share R² of the
exposure divide its information by the variance inflation 1 / (1 - R²).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtr

from analysis.design import Covariates
from analysis.distributions import normal_quantile
from analysis.errors import UsageError

__all__ = [
    "explained_share",
    "interval_ratio",
    "power_curves",
    "power_of_thirds",
    "power_per_sd",
    "power_table",
    "smallest_ratio",
]

_LEVEL, _POWER = 0.05, 0.8
_LARGEST_LOG, _WIDEST_LOG = 5.0, 20.0
RATIOS = (1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 2.0)
"""Ratios whose power a table shows."""


def power_of_thirds(odds_ratio: float, people: float, share: float, level: float = _LEVEL, r2: float = 0.0) -> float:
    """Power to tell the highest from the lowest third.

    Parameters
    ----------
    odds_ratio : float
    people : float
        In both thirds together, two thirds of the cohort.
    share : float
        With the outcome in the lowest third.
    level : float
        Two-sided.
    r2 : float
        Share of the exposure's variance that the covariates explain.
    """
    odds = odds_ratio * share / (1 - share)
    other = odds / (1 + odds)
    n = people / 2 * (1 - r2)
    middle = (share + other) / 2
    z = normal_quantile(1 - level / 2)
    pooled, own = np.sqrt(2 * middle * (1 - middle)), np.sqrt(share * (1 - share) + other * (1 - other))
    return float(ndtr((np.sqrt(n) * abs(other - share) - z * pooled) / own))


def power_per_sd(odds_ratio: float, people: float, share: float, level: float = _LEVEL, r2: float = 0.0) -> float:
    """Power of logistic regression on a normal exposure; ``share`` with the outcome at its mean, the ratio per SD."""
    information = people * share * (1 - share) * (1 - r2)
    return float(ndtr(np.sqrt(information) * abs(np.log(odds_ratio)) - normal_quantile(1 - level / 2)))


def smallest_ratio(power_of: Callable[[float], float], power: float = _POWER) -> float:
    """Smallest ratio above 1 that is found with a power; NaN if even exp(5) is not."""
    if power_of(float(np.exp(_LARGEST_LOG))) < power:
        return float("nan")
    return float(np.exp(brentq(lambda log: power_of(float(np.exp(log))) - power, 1e-9, _LARGEST_LOG, xtol=1e-10)))


def interval_ratio(information: float, level: float = _LEVEL) -> float:
    """Expected upper end of an interval over its lower end, exp(2 z / sqrt(information)); 1.5 is 0.82 to 1.22."""
    if information <= 0:
        return float("inf")
    width = 2 * normal_quantile(1 - level / 2) / np.sqrt(information)
    return float(np.exp(width)) if width < _WIDEST_LOG else float("inf")


def power_table(
    people: float,
    shares: dict[str, float],
    *,
    ratios: Sequence[float] = RATIOS,
    level: float = _LEVEL,
    power: float = _POWER,
    r2: float = 0.0,
) -> pd.DataFrame:
    """Power of every ratio, the smallest one that is found, and the expected interval, by outcome and contrast.

    Parameters
    ----------
    people : float
    shares : dict of str to float
        Share with each outcome.
    ratios : sequence of float
    level, power, r2 : float

    Returns
    -------
    DataFrame
        ``outcome, people, events, share, contrast`` ("highest against lowest
        third" or "per SD"), ``smallest_ratio``, ``interval_ratio``, and
        ``power_at_<ratio>``.

    Raises
    ------
    UsageError
        If a number cannot be used.
    """
    for what, value, low, high in (
        ("people", people, 10, 1e9),
        ("level", level, 1e-12, 0.5),
        ("power", power, 0.5, 0.9999),
        ("r2", r2, 0.0, 0.9999),
    ):
        if not low <= value <= high:
            raise UsageError(f"power, {what}", f"{value:g}", f"{low:g} to {high:g}", "Give another number.")
    rows = []
    for outcome, share in shares.items():
        if not 0 < share < 1:
            raise UsageError(f"power, share of {outcome}", f"{share:g}", "above 0 and below 1", "Give another number.")
        about = {"outcome": outcome, "people": int(people), "events": round(people * share), "share": share}
        for contrast, of, counted, variance in (
            ("highest against lowest third", power_of_thirds, people * 2 / 3, 0.25),
            ("per SD", power_per_sd, people, 1.0),
        ):

            def found(ratio: float, of: Callable[..., float] = of, n: float = counted, p: float = share) -> float:
                return of(ratio, n, p, level, r2)

            information = counted * share * (1 - share) * variance * (1 - r2)
            row: dict[str, object] = about | {"contrast": contrast, "smallest_ratio": smallest_ratio(found, power)}
            row |= {"interval_ratio": interval_ratio(information, level)}
            rows.append(row | {f"power_at_{ratio:g}": found(ratio) for ratio in ratios})
    return pd.DataFrame(rows)


def power_curves(
    shares: dict[str, float], *, level: float = _LEVEL, power: float = _POWER, r2: float = 0.0
) -> pd.DataFrame:
    """Smallest ratio that is found against the size of the cohort, 1,000 to 500,000.

    Returns
    -------
    DataFrame
        ``outcome, contrast, people, smallest_ratio``.
    """
    sizes = np.unique(np.geomspace(1000, 500_000, 41).round(-1))
    parts = [power_table(float(n), shares, ratios=(), level=level, power=power, r2=r2) for n in sizes]
    made = pd.concat(parts, ignore_index=True)[["outcome", "contrast", "people", "smallest_ratio"]]
    return made.sort_values(["outcome", "contrast", "people"], kind="stable").reset_index(drop=True)


def explained_share(table: pd.DataFrame, exposure: str, covariates: Sequence[str]) -> float:
    """Share R² of an exposure's variance that the covariates explain."""
    shared = Covariates(table, [name for name in covariates if name != exposure])
    values = table[exposure].to_numpy(dtype=float, na_value=np.nan)
    known = shared.known & np.isfinite(values)
    x, design = values[known], shared.of(known).values
    if len(x) <= design.shape[1] + 1 or np.ptp(x) == 0:
        return 0.0
    whole = np.column_stack([np.ones(len(x)), design])
    rest = x - whole @ np.linalg.lstsq(whole, x, rcond=None)[0]
    return float(np.clip(1 - rest.var() / x.var(), 0.0, 1.0))
