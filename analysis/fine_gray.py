"""Fine and Gray's model of the subdistribution hazard, and cumulative incidence, where death competes with an event.

Who dies first can no longer fall. Cox's model of the cause-specific hazard takes such people out at their death;
Fine and Gray (J Am Stat Assoc 1999;94:496-509) keep them in the risk set, with a weight that falls as people are
lost to follow-up, so that the coefficient tells how a regressor changes the risk itself.

The weight of a person who died at time s is G(t)/G(s) at time t, and G is Kaplan and Meier's curve of the end of
follow-up. It is a product, so that the sums over those people are cumulative sums too, and a model costs little more
than Cox's. Results agree with R's ``survival::finegray`` and ``cmprsk::crr`` (tests/analysis).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.distributions import normal_quantile, normal_tail
from analysis.threads import one_blas_thread

__all__ = ["FineGrayFit", "Incidence", "cumulative_incidence", "fit_fine_gray"]

Vector = NDArray[np.float64]

CENSORED, EVENT, COMPETING = 0, 1, 2
_MAX_STEPS = 40
_DECREMENT = 1e-12
# A standard error this large per SD of a regressor only arises if the likelihood is flat towards infinity.
_SEPARATED_SE = 50.0


@dataclass(frozen=True)
class FineGrayFit:
    """A fitted Fine-Gray model.

    Attributes
    ----------
    coefficients : ndarray, shape (k,)
        Log subdistribution hazard per unit.
    covariance : ndarray, shape (k, k)
        Robust, with the part that comes from estimating the weights.
    log_likelihood : float
        Pseudo log likelihood, Breslow's ties.
    n, events, competing : int
    converged : bool
        Also False if a coefficient diverges to infinity.
    """

    coefficients: Vector
    covariance: Vector
    log_likelihood: float
    n: int
    events: int
    competing: int
    converged: bool

    @property
    def summary(self) -> pd.DataFrame:
        """One row per coefficient: log hazard, standard error, hazard ratio with Wald's 95% interval, p."""
        errors = np.sqrt(np.diag(self.covariance))
        half = normal_quantile(0.975) * errors
        return pd.DataFrame(
            {
                "coefficient": self.coefficients,
                "standard_error": errors,
                "hazard_ratio": np.exp(self.coefficients),
                "ci_low": np.exp(self.coefficients - half),
                "ci_high": np.exp(self.coefficients + half),
                "p_value": 2.0 * normal_tail(np.abs(self.coefficients / errors)),
            }
        )


@dataclass(frozen=True)
class Incidence:
    """Share of people with the event by each time, Aalen and Johansen's estimate. Arrays have shape (times,)."""

    time: Vector
    share: Vector

    def at(self, time: float) -> float:
        """Share with the event by a time."""
        place = int(np.searchsorted(self.time, time, side="right"))
        return float(self.share[place - 1]) if place else 0.0

    @property
    def summary(self) -> pd.DataFrame:
        """A row per time of an event."""
        return pd.DataFrame({"time": self.time, "share": self.share})


def cumulative_incidence(time: Vector, status: NDArray[np.integer]) -> Incidence:
    """Estimate the cumulative incidence of the event.

    Parameters
    ----------
    time : ndarray, shape (n,)
    status : ndarray of int, shape (n,)
        0 followed to the end, 1 event, 2 died first.
    """
    moments = np.unique(time[status != CENSORED])
    at_risk = len(time) - np.searchsorted(np.sort(time), moments, side="left")
    events, either = (_counts(time[chosen], moments) for chosen in (status == EVENT, status != CENSORED))
    free = np.concatenate([[1.0], np.cumprod(1.0 - either / at_risk)[:-1]])
    happened = events > 0
    return Incidence(moments[happened], np.cumsum(free * events / at_risk)[happened])


@dataclass(frozen=True)
class _Data:
    """People in the order of their times.

    Attributes
    ----------
    design : ndarray, shape (k, n)
        Mean 0 and SD 1.
    status : ndarray, shape (n,)
    moments : ndarray, shape (m,)
        Times of events; ``counts`` are the events at each.
    first : ndarray, shape (m,)
        Index of the first person whose time is not before each moment.
    moment_of : ndarray, shape (n,)
        Number of moments at or before each person's time.
    uncensored, own : ndarray, shapes (m,) and (n,)
        G just before each moment, and before each person's time.
    """

    design: Vector
    status: NDArray[np.integer]
    moments: Vector
    counts: Vector
    first: NDArray[np.intp]
    moment_of: NDArray[np.intp]
    uncensored: Vector
    own: Vector


@one_blas_thread
def fit_fine_gray(time: Vector, status: NDArray[np.integer], regressors: Vector) -> FineGrayFit:
    """Maximise the weighted partial likelihood by Newton's method with halved steps.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Time of the event, of the death that prevented it, or of the end of follow-up; above 0.
    status : ndarray of int, shape (n,)
        0 followed to the end, 1 event, 2 died first.
    regressors : ndarray, shape (n, k)
        Of full rank; any scale.

    Raises
    ------
    ValueError
        If nobody has the event.
    numpy.linalg.LinAlgError
        If the regressors are collinear.
    """
    if not (status == EVENT).any():
        raise ValueError("no events")
    order = np.argsort(time, kind="stable")
    ordered, kinds = time[order], status[order]
    scale = regressors.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    design = np.ascontiguousarray(((regressors[order] - regressors.mean(axis=0)) / scale).T)
    moments, counts = np.unique(ordered[kinds == EVENT], return_counts=True)
    data = _Data(
        design, kinds, moments, counts.astype(float), np.searchsorted(ordered, moments, side="left"),
        np.searchsorted(moments, ordered, side="right"), *_uncensored_before(ordered, kinds, moments),
    )  # fmt: skip
    k = len(design)
    coefficients, converged = np.zeros(k), False
    value, score, information = _partial(data, coefficients)
    for _ in range(_MAX_STEPS):
        step = np.linalg.solve(information, score)
        if float(score @ step) < _DECREMENT:
            converged = True
            break
        size = 1.0
        while True:
            candidate = _partial(data, coefficients + size * step)
            if candidate[0] >= value or size < 1e-6:
                break
            size /= 2.0
        coefficients, (value, score, information) = coefficients + size * step, candidate
    inverse = np.linalg.inv(information)
    parts = _influence(data, ordered, coefficients)
    covariance = inverse @ (parts @ parts.T) @ inverse
    bounded = bool(np.diag(inverse).max() < _SEPARATED_SE**2)
    return FineGrayFit(
        coefficients=coefficients / scale,
        covariance=covariance / np.outer(scale, scale),
        log_likelihood=value,
        n=len(time),
        events=int((status == EVENT).sum()),
        competing=int((status == COMPETING).sum()),
        converged=converged and bounded,
    )


def _counts(times: Vector, moments: Vector) -> Vector:
    return np.bincount(np.searchsorted(moments, times), minlength=len(moments)).astype(float)


def _uncensored_before(time: Vector, status: NDArray[np.integer], moments: Vector) -> tuple[Vector, Vector]:
    """Kaplan and Meier's share not yet censored, just before each moment and each person's time.

    Whoever has an event or dies at a time is not at risk of being censored at that time, as in ``finegray``.
    """
    ends, left = np.unique(time[status == CENSORED], return_counts=True)
    at_risk = len(time) - np.searchsorted(time, ends, side="left")
    tied = np.searchsorted(time[status != CENSORED], ends, side="right") - np.searchsorted(
        time[status != CENSORED], ends, side="left"
    )
    curve = np.concatenate([[1.0], np.cumprod(1.0 - left / (at_risk - tied))])
    return curve[np.searchsorted(ends, moments, side="left")], curve[np.searchsorted(ends, time, side="left")]


def _sums(data: _Data, values: Vector) -> Vector:
    """Weighted sums over the risk set of each moment: who is still followed, and who died before without the event.

    ``values`` has shape (..., n).
    """
    reverse = np.cumsum(values[..., ::-1], axis=-1)[..., ::-1]
    dead = np.where(data.status == COMPETING, values / data.own, 0.0)
    before = np.cumsum(dead, axis=-1)
    earlier = np.where(data.first > 0, before[..., np.maximum(data.first - 1, 0)], 0.0)
    return reverse[..., data.first] + data.uncensored * earlier


def _partial(data: _Data, coefficients: Vector) -> tuple[float, Vector, Vector]:
    """Value, slope and information of the weighted partial likelihood, Breslow's ties."""
    k = len(coefficients)
    predictor = coefficients @ data.design
    shift = float(predictor.max())
    weight = np.exp(predictor - shift)
    total = _sums(data, weight)
    means = _sums(data, data.design * weight) / total
    event = data.status == EVENT
    value = float(predictor[event].sum() - data.counts @ (np.log(total) + shift))
    score = data.design[:, event].sum(axis=1) - means @ data.counts
    information = np.empty((k, k))
    for i in range(k):
        products = _sums(data, data.design[: i + 1] * (data.design[i] * weight)) / total
        information[i, : i + 1] = information[: i + 1, i] = (products - means[: i + 1] * means[i]) @ data.counts
    return value, score, information


def _influence(data: _Data, time: Vector, coefficients: Vector) -> Vector:
    """Every person's part in the score, shape (k, n), with what they contribute to the weights."""
    hazard = np.exp(coefficients @ data.design)
    total = _sums(data, hazard)
    means = _sums(data, data.design * hazard) / total
    steps = data.counts / total
    # Sums over the moments: plain until a person's time, weighted with G after it (for those who died first).
    plain, plain_means = _from_zero(steps), _from_zero(means * steps)
    later, later_means = _from_zero(steps * data.uncensored), _from_zero(means * steps * data.uncensored)
    place = data.moment_of
    x, event, dead = data.design, data.status == EVENT, data.status == COMPETING
    parts = -hazard * (x * plain[place] - plain_means[:, place])
    rest = x * (later[-1] - later[place]) - (later_means[:, -1:] - later_means[:, place])
    parts -= np.where(dead, hazard / data.own * rest, 0.0)
    parts[:, event] += x[:, event] - means[:, place[event] - 1]
    return parts + _of_weights(data, time, hazard, later, later_means)


def _of_weights(data: _Data, time: Vector, hazard: Vector, later: Vector, later_means: Vector) -> Vector:
    """The part of each person in the estimate of G (Fine & Gray, section 4)."""
    censored = data.status == CENSORED
    ends, left = np.unique(time[censored], return_counts=True)
    if not len(ends):
        return np.zeros_like(data.design)
    dead = np.where(data.status == COMPETING, hazard / data.own, 0.0)
    before = np.searchsorted(time, ends, side="left")  # people whose time is before each end
    sums = _from_zero(dead)[before]
    sums_of_x = _from_zero(data.design * dead)[:, before]
    place = np.searchsorted(data.moments, ends, side="right")  # events after each end keep the weight
    effect = sums_of_x * (later[-1] - later[place]) - sums * (later_means[:, -1:] - later_means[:, place])
    others = _counts(time[~censored & np.isin(time, ends)], ends)
    at_risk = len(time) - before - others
    per_risk = effect / at_risk
    gone = _from_zero(per_risk * (left / at_risk))
    parts = -gone[:, np.searchsorted(ends, time, side="right")]
    # Who has an event at the time of an end is not at risk of that end.
    tied = ~censored & np.isin(time, ends)
    parts[:, tied] = -gone[:, np.searchsorted(ends, time[tied], side="left")]
    parts[:, censored] += per_risk[:, np.searchsorted(ends, time[censored])]
    return parts


def _from_zero(values: Vector) -> Vector:
    """Cumulative sums along the last axis, with 0 in front."""
    return np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
