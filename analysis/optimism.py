"""How much better models look in the people whom they were fitted to than in others, by Harrell's bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from analysis.cox import fit_cox
from analysis.discrimination import brier_score, concordance_index, weighted_auc
from analysis.logistic import LogisticFit, refitted
from analysis.threads import made_together

__all__ = ["Fitted", "Resampled", "optimism_of_cox", "resampled"]

Vector = NDArray[np.float64]

_REPEATS_OF_COX = 20


@dataclass(frozen=True)
class Fitted:
    """One logistic model of one outcome.

    Attributes
    ----------
    regressors : ndarray, shape (n, k)
    fit : LogisticFit
    """

    regressors: Vector
    fit: LogisticFit

    @property
    def risk(self) -> Vector:
        """Predicted risks, shape (n,)."""
        return _risk(self.fit.coefficients[0] + self.regressors @ self.fit.coefficients[1:])


@dataclass(frozen=True)
class Resampled:
    """Models that were fitted again to resampled people. Every array has the shape (repeats, models).

    Attributes
    ----------
    auc, brier : ndarray
        In the resampled people, whom the model was fitted to.
    auc_tested, brier_tested : ndarray
        Of the same models in the original people.
    """

    auc: Vector
    auc_tested: Vector
    brier: Vector
    brier_tested: Vector

    @property
    def optimism(self) -> Vector:
        """What to subtract from the AUC, shape (models,); positive if it looks too good."""
        return np.asarray((self.auc - self.auc_tested).mean(axis=0))

    @property
    def brier_optimism(self) -> Vector:
        """What to subtract from the Brier score, shape (models,); negative if it looks too good, as small is good."""
        return np.asarray((self.brier - self.brier_tested).mean(axis=0))


def resampled(fitted: Mapping[str, Fitted], events: Vector, repeats: int, rng: np.random.Generator) -> Resampled:
    """Fit every model again to the same resampled people, and measure it in those and in the original ones.

    Parameters
    ----------
    fitted : mapping of str to Fitted
    events : ndarray, shape (n,)
        0 or 1.
    repeats : int
    rng : Generator
    """
    n = len(events)
    every = np.ones(n)
    drawn = [np.bincount(rng.integers(0, n, n), minlength=n).astype(np.uint8) for _ in range(repeats)]
    # A third of the people are not among the drawn ones, and the model of these needs no columns of the others.

    def measured(one: Fitted) -> Vector:
        design = np.vstack([every, one.regressors.T])
        found = np.empty((repeats, 4))
        for repeat, counts in enumerate(drawn):
            weights, there = counts.astype(float), np.flatnonzero(counts)
            coefficients = refitted(design.take(there, axis=1), events[there], weights[there], one.fit.coefficients)
            predictor = coefficients @ design
            risk = _risk(predictor)
            found[repeat, :2] = weighted_auc(predictor, events, weights, every)
            found[repeat, 2:] = brier_score(risk, events, weights), brier_score(risk, events)
        return found

    makers: dict[str, Callable[[], Vector]] = {name: partial(measured, one) for name, one in fitted.items()}
    all_of_them = np.array(list(made_together(makers).values()))
    return Resampled(*(all_of_them[:, :, which].T for which in range(4)))


def optimism_of_cox(designs: Mapping[str, Vector], time: Vector, died: Vector, rng: np.random.Generator) -> Vector:
    """Optimism of Harrell's C, shape (models,), by a few bootstraps; NaN where no model could be fitted again.

    Parameters
    ----------
    designs : mapping of str to ndarray, shape (n, k)
    time, died : ndarray, shape (n,)
        Follow-up, and 1 for a death.
    rng : Generator
    """
    drawn = [rng.integers(0, len(time), len(time)) for _ in range(_REPEATS_OF_COX)]

    def optimism(design: Vector) -> float:
        found = []
        for chosen in drawn:
            try:
                risk = design @ fit_cox(time[chosen], died[chosen], design[chosen]).coefficients
            except (ValueError, np.linalg.LinAlgError):  # people without a death, or without a level of a factor
                continue
            inside = concordance_index(risk[None, chosen], time[chosen], died[chosen]).values[0]
            found.append(inside - concordance_index(risk[None], time, died).values[0])
        return float(np.mean(found)) if found else float("nan")

    makers: dict[str, Callable[[], float]] = {name: partial(optimism, design) for name, design in designs.items()}
    return np.array(list(made_together(makers).values()))


def _risk(predictor: Vector) -> Vector:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(predictor, -700.0, 700.0))))
