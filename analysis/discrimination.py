"""How well predicted risks tell people with an event from those without, and how well they are calibrated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.threads import one_blas_thread

__all__ = [
    "Concordance",
    "brier_score",
    "calibration_by_tenth",
    "concordance_index",
    "delong",
    "net_benefit",
    "weighted_auc",
]

Vector = NDArray[np.float64]

_BLOCK = 1024


def weighted_auc(risk: Vector, events: Vector, *weights: Vector) -> list[float]:
    """Area under the ROC curve for several sets of weights, with one sort. Ties count half.

    Parameters
    ----------
    risk, events : ndarray, shape (n,)
    *weights : ndarray, shape (n,)
        How often each person counts.
    """
    order = np.argsort(risk)  # ties are summed below, so their order does not matter
    ordered, happened = risk[order], events[order]
    different = ordered[1:] != ordered[:-1]
    starts = None if different.all() else np.flatnonzero(np.concatenate([[True], different]))
    found = []
    for weight in weights:
        here = weight[order]
        cases = here * happened
        others = here - cases
        if starts is not None:
            cases, others = np.add.reduceat(cases, starts), np.add.reduceat(others, starts)
        below = np.cumsum(others) - others
        total = cases.sum() * others.sum()
        found.append(float((cases * (below + others / 2)).sum() / total) if total else float("nan"))
    return found


def delong(risks: Vector, events: Vector) -> tuple[Vector, Vector]:
    """Areas under the ROC curves of several models for the same people, with their covariance.

    DeLong et al., Biometrics 1988;44:837-845, by ranks (Sun & Xu, IEEE Signal Process Lett 2014;21:1389-1393).

    Parameters
    ----------
    risks : ndarray, shape (models, n)
    events : ndarray, shape (n,)

    Returns
    -------
    (areas, covariance)
        Shapes (models,) and (models, models).
    """
    case = events == 1
    m, n = int(case.sum()), int((~case).sum())
    of_cases, of_others = np.empty((len(risks), m)), np.empty((len(risks), n))
    for i, risk in enumerate(risks):
        ranks = _ranks(risk)
        of_cases[i] = (ranks[case] - _ranks(risk[case])) / n
        of_others[i] = 1.0 - (ranks[~case] - _ranks(risk[~case])) / m
    covariance = np.cov(of_cases).reshape(len(risks), -1) / m + np.cov(of_others).reshape(len(risks), -1) / n
    return of_cases.mean(axis=1), covariance


@dataclass(frozen=True)
class Concordance:
    """Harrell's C of one or several models, as R's ``survival::concordance``.

    Attributes
    ----------
    values : ndarray, shape (models,)
    covariance : ndarray, shape (models, models)
        By the infinitesimal jackknife.
    """

    values: Vector
    covariance: Vector


@one_blas_thread
def concordance_index(risks: Vector, time: Vector, died: Vector) -> Concordance:
    """Share of comparable pairs in which who dies first has the higher risk. Ties of risk count half.

    Parameters
    ----------
    risks : ndarray, shape (models, n)
    time, died : ndarray, shape (n,)
        A person is comparable with a death if followed for longer, or as long without dying.
    """
    n = len(time)
    order = np.lexsort((died == 0, time))  # at the same time, who dies comes before who is followed no longer
    moment, dead = time[order], np.flatnonzero(died[order] == 1)
    # Everybody from here on is comparable with a death: who comes after all deaths of the same moment.
    starts = np.searchsorted(moment[dead], moment[dead], "right") + np.searchsorted(moment, moment[dead], "left")
    starts -= np.searchsorted(moment[dead], moment[dead], "left")
    pairs = np.searchsorted(starts, np.arange(n), "right").astype(float)
    pairs[dead] += n - starts
    total = pairs.sum() / 2
    values, influence = np.empty(len(risks)), np.empty((len(risks), n))
    for i, risk in enumerate(risks):
        won = _won(risk[order], dead, starts)
        values[i] = won.sum() / 2 / total
        influence[i] = (won - values[i] * pairs) / total
    return Concordance(values, influence @ influence.T)


def _won(risk: Vector, dead: NDArray[np.intp], starts: NDArray[np.intp]) -> Vector:
    """For each person the comparable pairs in which who dies has the higher risk; a tie counts half.

    People are taken in blocks in the order of time. A death before a block is compared with the whole block by a binary
    search in its sorted risks, and only the few deaths inside a block one by one, so that time grows little faster
    than the number of people.

    Parameters
    ----------
    risk : ndarray, shape (n,)
    dead : ndarray, shape (deaths,)
        Places of those who die.
    starts : ndarray, shape (deaths,)
        First place of those who are comparable with each; in ascending order.
    """
    n, won, of_dead = len(risk), np.zeros(len(risk)), risk[dead]
    for begin in range(0, n, _BLOCK):
        end = min(begin + _BLOCK, n)
        here = risk[begin:end]
        before, until = int(np.searchsorted(starts, begin, "right")), int(np.searchsorted(starts, end, "left"))
        if before:
            theirs, ours = np.sort(of_dead[:before]), np.sort(here)
            won[dead[:before]] += _below(ours, of_dead[:before])
            won[begin:end] += before - _below(theirs, here)
        for index in range(before, until):
            start = starts[index]
            later = risk[start:end]
            score = (later < of_dead[index]) + 0.5 * (later == of_dead[index])
            won[dead[index]] += score.sum()
            won[start:end] += score
    return won


def _below(ordered: Vector, values: Vector) -> Vector:
    """How many of some ordered numbers are below each value; equal ones count half."""
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / 2.0


def brier_score(risk: Vector, events: Vector, weights: Vector | None = None) -> float:
    """Mean squared difference between risk and event: smaller is better. ``weights``: how often each person counts."""
    return float(np.average((risk - events) ** 2, weights=weights))


def net_benefit(risk: Vector, events: Vector, threshold: float) -> float:
    """Net benefit of acting above a threshold of risk (Vickers & Elkin, Med Decis Making 2006;26:565-574)."""
    acting = risk >= threshold
    odds = threshold / (1.0 - threshold)
    return float((events[acting].sum() - (1 - events[acting]).sum() * odds) / len(events))


def calibration_by_tenth(risk: Vector, events: Vector) -> list[dict[str, float]]:
    """Predicted and observed risk in tenths of the predicted risk, with Wilson's 95% interval."""
    rows = []
    for tenth, members in enumerate(np.array_split(np.argsort(risk, kind="stable"), 10), 1):
        n, p = len(members), float(events[members].mean()) if len(members) else float("nan")
        if not n:
            continue
        z2 = 1.959963984540054**2
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = np.sqrt(z2) / (1 + z2 / n) * np.sqrt(p * (1 - p) / n + z2 / (4 * n**2))
        rows.append({"tenth": tenth, "n": n, "predicted": float(risk[members].mean()), "observed": p}
                    | {"ci_low": middle - half, "ci_high": middle + half})  # fmt: skip
    return rows


def _ranks(values: Vector) -> Vector:
    """Ranks from 1, ties sharing their mean."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    ends = np.append(starts[1:], len(values))
    shared = np.repeat((starts + ends + 1) / 2.0, ends - starts)
    ranks = np.empty(len(values))
    ranks[order] = shared
    return ranks
