"""Profile-likelihood intervals of logistic regression.

At the interval's ends, the profile deviance has risen by the chi-square quantile.
Newton's method on the likelihood's height and the other coefficients' scores
together finds an end in four or five steps (Venzon & Moolgavkar, Appl Stat
1988;37:87-94). Where it does not, the end is a bracketed root of the signed root
deviance, which is nearly a straight line. Each evaluation then fixes the coefficient
as an offset and refits the others, starting from the previous one. Results agree
with R's ``MASS::confint`` (tests/analysis).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from analysis.design import Standardised, standardise
from analysis.distributions import normal_quantile
from analysis.logistic import LogisticFit, evaluate, information_of, maximise
from analysis.threads import one_blas_thread

__all__ = ["profile_ends", "profile_interval"]

Vector = NDArray[np.float64]

# Newton's method for an interval's end: the likelihood is this near the wanted height, and the others' scores to 0.
_END_STEPS, _END_TOLERANCE = 12, 1e-8
# The bracketed root moved by less than this share of the standard error; the next step would be far smaller.
_ROOT_STEPS, _ROOT_TOLERANCE = 60, 1e-7


@one_blas_thread
def profile_interval(
    fit: LogisticFit,
    regressors: Vector,
    outcome: Vector,
    term: int,
    level: float = 0.95,
    weights: Vector | None = None,
    standardised: Standardised | None = None,
) -> tuple[float | None, float | None]:
    """Compute the profile-likelihood interval of one coefficient.

    Parameters
    ----------
    fit : LogisticFit
        Fit to the same data.
    regressors, outcome, weights, standardised
        The arguments of `fit_logistic`.
    term : int
        Column of ``regressors``.
    level : float

    Returns
    -------
    (low, high) : float or None
        None if the profile never falls far enough, so that the end is not finite.
    """
    n = len(outcome)
    weights = np.ones(n) if weights is None else weights
    standardised = standardise(regressors) if standardised is None else standardised
    fast = _both_ends(fit, standardised, outcome, term, normal_quantile(0.5 + level / 2), weights)
    if fast is not None:
        return fast
    column = regressors[:, term]
    centred = column - float(column.mean())
    rest = standardised.without(term)
    others, centre, scale = rest.design, rest.centre, rest.scale
    coefficients = np.delete(fit.coefficients[1:], term)
    intercept = fit.coefficients[0] + fit.coefficients[term + 1] * float(column.mean()) + coefficients @ centre
    estimate, error = float(fit.coefficients[term + 1]), float(fit.standard_errors[term + 1])
    path = [(estimate, np.concatenate([[intercept], coefficients * scale]))]

    def log_likelihood(value: float) -> float:
        # The other coefficients change almost linearly with this one, so the line through the last two points is a
        # good start.
        start = path[-1][1]
        if len(path) > 1 and path[-1][0] != path[-2][0]:
            slope = (path[-1][1] - path[-2][1]) / (path[-1][0] - path[-2][0])
            start = start + slope * (value - path[-1][0])
        maximum = maximise(others, outcome, weights, value * centred, start)
        path.append((value, maximum.coefficients))
        return maximum.log_likelihood

    return profile_ends(log_likelihood, fit.log_likelihood, estimate, error, level)


def _both_ends(
    fit: LogisticFit, standardised: Standardised, outcome: Vector, term: int, wanted: float, weights: Vector
) -> tuple[float, float] | None:
    """Both ends by Newton's method on all coefficients; None if an end is not found."""
    design, centre, scale = standardised.design, standardised.centre, standardised.scale
    start = np.concatenate([[fit.coefficients[0] + fit.coefficients[1:] @ centre], fit.coefficients[1:] * scale])
    height = fit.log_likelihood - wanted**2 / 2.0
    others = np.delete(np.arange(len(start)), term + 1)
    predictor = start @ design
    value, fitted = evaluate(predictor, outcome, weights)
    at_estimate = (
        value,
        design @ (weights * (outcome - fitted)),
        information_of(design, weights * fitted * (1 - fitted)),
    )
    ends = []
    for sign in (-1.0, 1.0):
        coefficients, (value, score, information) = start, at_estimate
        for _ in range(_END_STEPS):
            step = _end_step(value - height, score, information, term + 1, others, sign)
            if step is None:
                return None
            coefficients = coefficients + step
            value, fitted = evaluate(coefficients @ design, outcome, weights)
            score = design @ (weights * (outcome - fitted))
            if abs(value - height) < _END_TOLERANCE and _decrement(score, information, others) < _END_TOLERANCE:
                break
            information = information_of(design, weights * fitted * (1.0 - fitted))
        else:
            return None
        if sign * (coefficients[term + 1] - start[term + 1]) <= 0:
            return None
        ends.append(float(coefficients[term + 1] / scale[term]))
    return ends[0], ends[1]


def _end_step(
    above: float, score: Vector, information: Vector, term: int, others: NDArray[np.intp], sign: float
) -> Vector | None:
    """Newton's step to the profile's crossing of the wanted height, ``above`` below the present value."""
    inner = information[np.ix_(others, others)]
    cross = information[others, term]
    try:
        along, down = np.linalg.solve(inner, np.column_stack([score[others], cross])).T
    except np.linalg.LinAlgError:
        return None
    curvature = (information[term, term] - cross @ down) / 2.0
    slope = score[term] - cross @ along
    rest = above + score[others] @ along / 2.0
    discriminant = slope**2 + 4.0 * curvature * rest
    if curvature <= 0 or discriminant < 0:
        return None
    step = np.empty(len(score))
    step[term] = (slope + sign * np.sqrt(discriminant)) / (2.0 * curvature)
    step[others] = along - down * step[term]
    return step


def _decrement(score: Vector, information: Vector, others: NDArray[np.intp]) -> float:
    return float(score[others] @ np.linalg.solve(information[np.ix_(others, others)], score[others]))


def profile_ends(
    log_likelihood: Callable[[float], float], best: float, estimate: float, error: float, level: float
) -> tuple[float | None, float | None]:
    """Values below and above the estimate where ``2 (best - log_likelihood(value))`` is the chi-square quantile."""
    wanted = float(normal_quantile(0.5 + level / 2))

    def short_of(value: float) -> float:
        return float(np.sqrt(max(0.0, 2.0 * (best - log_likelihood(value))))) - wanted

    ends: list[float | None] = []
    for sign in (-1.0, 1.0):
        inner, below = estimate, -wanted
        outer = estimate + sign * wanted * error
        while (above := short_of(outer)) < 0.0:
            inner, below, outer = outer, above, outer + sign * wanted * error
            if abs(outer - estimate) > 12 * wanted * error:
                ends.append(None)
                break
        else:
            ends.append(_crossing(short_of, (inner, below), (outer, above), _ROOT_TOLERANCE * error))
    return ends[0], ends[1]


def _crossing(
    function: Callable[[float], float], one: tuple[float, float], other: tuple[float, float], tolerance: float
) -> float:
    """Where a nearly straight function is 0, between two points (x, value) of different sign, by the Illinois method.

    Dowell & Jarratt, BIT 1971;11:168-174. SciPy's solvers would take longer to import than this takes to run.
    """
    (a, at_a), (b, at_b) = one, other
    for _ in range(_ROOT_STEPS):
        if at_b == 0.0 or at_b == at_a:
            break
        x = b - at_b * (b - a) / (at_b - at_a)
        at_x, moved = function(x), abs(x - b)
        if at_x * at_b < 0.0:
            a, at_a = b, at_b
        else:
            at_a /= 2.0  # or the other point would stay for ever
        b, at_b = x, at_x
        if moved < tolerance:
            break
    return b
