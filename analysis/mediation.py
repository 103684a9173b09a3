"""How much of P/A's association runs through muscle mass or strength?

Cross-sectional: exposure and mediator were measured on the same day, so the split is of an association and
shows no mechanism. Linear models on the outcome's probability split the total exactly into a direct part and
one through the mediator (VanderWeele, Explanation in Causal Inference, 2015, section 2.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.design import Covariates, beside, exposure_sd
from analysis.logistic import information_of
from analysis.odds_ratios import EVENTS_PER_COEFFICIENT
from analysis.threads import one_blas_thread

__all__ = ["MEDIATORS", "Mediation", "mediate", "mediation_table"]

Vector = NDArray[np.float64]

MEDIATORS = ("almi", "tmv_cm3", "grip_kg")
_DEFINED_BY = {"weak_grip": {"grip_kg"}, "sarcopenia": {"grip_kg", "almi"}, "low_muscle_mass": {"almi"}}
_FEWEST_EVENTS = 20
_FEWEST = 100
_COLLINEAR = 1e-9


@dataclass(frozen=True)
class Mediation:
    """Split of an association per SD of the exposure; differences of the outcome's mean, or of its probability.

    Attributes
    ----------
    n : int
    total, direct, indirect : float
        ``total = direct + indirect``.
    direct_low, direct_high, indirect_low, indirect_high : float
        Percentile bootstrap intervals.
    """

    n: int
    total: float
    direct: float
    indirect: float
    direct_low: float
    direct_high: float
    indirect_low: float
    indirect_high: float

    @property
    def summary(self) -> pd.DataFrame:
        """One row."""
        return pd.DataFrame([vars(self)])


@one_blas_thread
def mediate(
    exposure: Vector,
    mediator: Vector,
    outcome: Vector,
    covariates: Vector,
    bootstraps: int = 200,
    seed: int = 1,
    sd: float | None = None,
) -> Mediation:
    """Split the association of an exposure with an outcome.

    Parameters
    ----------
    exposure, mediator, outcome : ndarray, shape (n,)
        Without NaN.
    covariates : ndarray, shape (n, k)
        Of both models.
    bootstraps, seed : int
    sd : float, optional
        Difference of the exposure that the results are for. Without it, the SD of these people.
    """
    n = len(outcome)
    per = exposure_sd(exposure) if sd is None else sd
    shared = np.column_stack([np.ones(n), covariates, exposure / per, mediator / mediator.std(ddof=1)])
    every = beside(shared, outcome).T  # a column a row, as the sums need it
    rng = np.random.default_rng(seed)
    direct, indirect = _split(every, np.ones(n))
    again = np.array([_split(every, np.bincount(rng.integers(0, n, n), minlength=n).astype(float))
                      for _ in range(bootstraps)])  # fmt: skip
    ends = np.percentile(again, [2.5, 97.5], axis=0)
    return Mediation(n, direct + indirect, direct, indirect, ends[0, 0], ends[1, 0], ends[0, 1], ends[1, 1])


def mediation_table(
    table: pd.DataFrame,
    covariates: Sequence[str],
    exposure: str = "pa_ratio",
    outcomes: Sequence[str] = ("falls", "mortality", "weak_grip"),
    seed: int = 1,
) -> pd.DataFrame:
    """Split every outcome by every mediator that does not define it, where there are enough events.

    Returns
    -------
    DataFrame
        ``exposure, outcome, mediator`` and the columns of `Mediation`.
    """
    rows = []
    for outcome in outcomes:
        for mediator in MEDIATORS:
            if mediator in _DEFINED_BY.get(outcome, set()) or mediator in covariates:
                continue
            shared = Covariates(table, covariates)
            values = [table[name].to_numpy(dtype=float, na_value=np.nan) for name in (exposure, mediator, outcome)]
            known = shared.known & np.isfinite(values).all(axis=0)
            if known.sum() < _FEWEST or any(np.ptp(column[known]) == 0 for column in values):
                continue
            x, m, y = (column[known] for column in values)
            design = shared.of(known).values
            fewer = min(y.sum(), len(y) - y.sum())
            if fewer < max(_FEWEST_EVENTS, EVENTS_PER_COEFFICIENT * (2 + design.shape[1])):
                continue  # of a handful of events, resampled people often have none: the interval ends at 0
            if min(_left(x, design), _left(m, np.column_stack([design, x]))) < _COLLINEAR:
                continue  # the covariates determine the exposure, or both determine the mediator
            found = mediate(x, m, y, design, seed=seed, sd=exposure_sd(values[0]))
            rows.append({"exposure": exposure, "outcome": outcome, "mediator": mediator, **vars(found)})
    return pd.DataFrame(rows, columns=["exposure", "outcome", "mediator", *Mediation.__dataclass_fields__])


def _left(column: Vector, others: Vector) -> float:
    """Share of a column's variance that others leave."""
    whole = np.column_stack([np.ones(len(column)), others])
    rest = column - whole @ np.linalg.lstsq(whole, column, rcond=None)[0]
    return float((rest**2).sum() / ((column - column.mean()) ** 2).sum())


def _split(every: Vector, weights: Vector) -> tuple[float, float]:
    """Direct and indirect part; the rows end with exposure, mediator, outcome."""
    products = information_of(every, weights)
    k = len(products) - 3  # intercept and covariates
    # Resampled people may all lack a level of a factor, so that its coefficient is free; it does not matter which.
    with_mediator, path = (_solved(products[:end, :end], products[:end, end]) for end in (k + 2, k + 1))
    return float(with_mediator[k]), float(path[k] * with_mediator[k + 1])


def _solved(products: Vector, right: Vector) -> Vector:
    try:
        return np.asarray(np.linalg.solve(products, right))
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.lstsq(products, right, rcond=None)[0])
