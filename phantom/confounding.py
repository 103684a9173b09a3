"""A cohort in which the P/A ratio matters only because it depends on muscle mass.

In the published cohort's model, P/A and total muscle volume are independent, so adjusting for volume changes
nothing. Here P/A is correlated with volume, low volume is what raises the odds of death and falls, and P/A
itself has no effect on anything. Without volume in the model, P/A shows an odds ratio away from 1; with it, 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from phantom.calibration import thirds_of
from phantom.cohort_model import PUBLISHED, People

__all__ = ["TMV_LOG_ODDS", "crude_odds_ratios", "depend_on_volume"]

Vector = NDArray[np.float64]

TMV_LOG_ODDS = {"falls": -0.25, "mortality": -0.45}
"""Log odds per SD of total muscle volume within a sex. Of usual direction; our own values."""


def depend_on_volume(
    rng: np.random.Generator, background: Mapping[str, Vector], people: People, correlation: float
) -> tuple[dict[str, Vector], People]:
    """Make P/A depend on total muscle volume, and death and falls on volume alone.

    Parameters
    ----------
    rng : Generator
    background : mapping
        From `phantom.cohort_model.draw_background`; its P/A ratio is the part that is independent of volume.
    people : People
        Drawn without any effect of P/A.
    correlation : float
        Of P/A with volume, within each sex.

    Returns
    -------
    (background, people)
        With the new P/A ratio, probabilities and outcomes.
    """
    man = background["man"] == 1

    def published(name: str, which: int) -> Vector:
        return np.where(man, PUBLISHED[name]["M"][which], PUBLISHED[name]["F"][which])

    volume = (people.numbers["tmv_cm3"] - published("tmv_cm3", 0)) / published("tmv_cm3", 1)
    own = (background["pa_ratio"] - published("pa_ratio", 0)) / published("pa_ratio", 1)
    mixed = correlation * volume + np.sqrt(1 - correlation**2) * own
    ratio = np.clip(published("pa_ratio", 0) + published("pa_ratio", 1) * mixed, 0.2, 0.8)
    probability, outcome = dict(people.probability), dict(people.outcome)
    for name, log_odds in TMV_LOG_ODDS.items():
        # The last term keeps the prevalence, which a spread of the log odds would raise.
        probability[name] = expit(logit(probability[name]) + log_odds * volume - log_odds**2 / 2)
        outcome[name] = rng.random(len(volume)) < probability[name]
    return {**background, "pa_ratio": ratio}, replace(people, probability=probability, outcome=outcome)


def crude_odds_ratios(ratio: Vector, probability: Mapping[str, Vector]) -> dict[str, float]:
    """Odds ratios, high against low third of P/A, that these people's probabilities give without any covariate."""
    thirds, found = thirds_of(ratio), {}
    for name in TMV_LOG_ODDS:
        high, low = probability[name][thirds == 2].mean(), probability[name][thirds == 0].mean()
        found[name] = float(high / (1 - high) / (low / (1 - low)))
    return found
