"""``python -m phantom.calibration``: solve the constants that make the synthetic cohort match the published one.

``cohort_constants.json`` holds them, with the population's correlations and
slopes, for which there is no formula. All come from one large population with a
fixed seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, ndtr, ndtri

from phantom.cohort_model import (
    CUT_OFF,
    FOLLOW_UP_YEARS,
    OUTCOMES,
    PUBLISHED,
    draw_background,
    draw_people,
    hazard_of_death,
    latent_scales,
    predictor,
    probabilities,
)

__all__ = ["PREVALENCE", "calibrate", "read_constants", "thirds_of", "true_hazard_ratios"]

Vector = NDArray[np.float64]

# Published figures (method, sections 1 and 7): counts by sex where printed. For the other three, only pooled counts
# in the outer thirds are printed (1096 + 1076, 257 + 174, 2373 + 2158 of 24,670); they are split between the sexes.
PREVALENCE = {
    "low_muscle_mass": {"M": 0.0880, "F": 0.0880},
    "weak_grip": {"M": (215 + 1023) / 17920, "F": (202 + 1142) / 19084},
    "sarcopenia": {"M": 215 / 17920, "F": 202 / 19084},
    "mortality": {"M": 0.0212, "F": 0.0140},
    "falls": {"M": 0.1600, "F": 0.2060},
}
# Printed as 0.05 and 0.04. These values are within rounding and compatible with the SD of TMV.
_TVI_SD = {"M": 0.0470, "F": 0.0355}
_PEARSON = {"tvi_almi": 0.885, "tmv_leg": 0.936}
_LEG_NOISE = 0.02
_SEED = 20260


def read_constants() -> dict[str, Any]:
    """Read the shipped constants."""
    text = resources.files("phantom").joinpath("cohort_constants.json").read_text("utf-8")
    constants: dict[str, Any] = json.loads(text)
    return constants


def thirds_of(values: Vector) -> Vector:
    """0, 1, 2 for the lowest, middle and highest third; ties go to the lower third."""
    ordered, n = np.sort(values), len(values)
    low, high = ordered[round(n / 3) - 1], ordered[round(2 * n / 3) - 1]
    return (values > low).astype(float) + (values > high)


def calibrate(n: int = 400_000) -> dict[str, Any]:
    """Solve every constant on a population of ``n``, and measure its true effects."""
    background = draw_background(np.random.default_rng([_SEED, 0]), n)
    thirds = thirds_of(background["pa_ratio"])
    man = background["man"] == 1
    sexes = {"M": man, "F": ~man}
    constants: dict[str, Any] = {"intercept": {}, "almi": {}, "grip": {}}
    for outcome in OUTCOMES:
        eta = predictor(outcome, background, thirds)
        constants["intercept"][outcome] = {
            sex: _intercept(eta[who], PREVALENCE[outcome][sex]) for sex, who in sexes.items()
        }
    probability = probabilities(background, thirds, constants)
    latent, _ = latent_scales(np.random.default_rng([_SEED, 1]), probability)
    for name, published, outcome in (("almi", "almi", "low_muscle_mass"), ("grip", "grip_kg", "weak_grip")):
        for sex, who in sexes.items():
            mean, sd = PUBLISHED[published][sex]
            at_cut = (CUT_OFF[name][sex] - mean) / sd
            constants[name][sex] = _curve(latent[name][who], PREVALENCE[outcome][sex], at_cut)
    _solve_volumes(constants, background, thirds, sexes)
    people = draw_people(np.random.default_rng([_SEED, 2]), background, thirds, constants)
    constants["population"] = _truths(background, thirds, people.numbers, people.probability, sexes)
    constants["population"]["hazard_ratio"] = true_hazard_ratios(background, thirds, people.probability["mortality"])
    return constants


def _curve(latent: Vector, share_below: float, at_cut: float) -> dict[str, Any]:
    """Quantiles of the latent scale, and the skewness that puts ``share_below`` of people below the cut-off."""
    scores = np.linspace(-3.2, 3.2, 65)
    knots = np.quantile(latent, ndtr(scores))
    # 0 is a knot, so that nobody crosses the cut-off. Beyond the ends the curve is linear.
    cut_score = float(ndtri(share_below))
    near = np.abs(scores - cut_score) > 0.03
    scores, knots = np.append(scores[near], cut_score), np.append(knots[near], 0.0)
    scores, knots = np.sort(scores), np.sort(knots)
    scores = np.concatenate([[2 * scores[0] - scores[5]], scores, [2 * scores[-1] - scores[-6]]])
    knots = np.concatenate([[2 * knots[0] - knots[5]], knots, [2 * knots[-1] - knots[-6]]])

    def off(sigma: float) -> float:
        return float(np.expm1(sigma * cut_score - sigma**2 / 2) / np.sqrt(np.expm1(sigma**2)) - at_cut)

    return {
        "knots": knots.round(6).tolist(),
        "scores": scores.round(9).tolist(),
        "sigma": _root(off, 0.005, 1.0),
    }


def _solve_volumes(
    constants: dict[str, Any], background: dict[str, Vector], thirds: Vector, sexes: dict[str, NDArray[np.bool_]]
) -> None:
    """Solve means, correlations with ALMI and height, and the legs' share to match the published volumes."""
    tvi: dict[str, Any] = {"almi_correlation": 0.8, "height_correlation": {"M": 0.0, "F": 0.0}, "sd": dict(_TVI_SD)}
    tvi["mean"] = {sex: PUBLISHED["tmv_cm3"][sex][0] / PUBLISHED["height_cm"][sex][0] ** 2 for sex in sexes}
    constants["tvi"], constants["leg"] = tvi, {"own_volume": 0.0, "noise": _LEG_NOISE}

    def numbers() -> dict[str, Vector]:
        return draw_people(np.random.default_rng([_SEED, 2]), background, thirds, constants).numbers

    for _ in range(6):  # each of the four changes the others only slightly
        now = numbers()
        for sex, who in sexes.items():
            mean, sd = PUBLISHED["tmv_cm3"][sex]
            volume, height = now["tmv_cm3"][who], background["height_cm"][who]
            tvi["mean"][sex] += float((mean - volume.mean()) / (height**2).mean())
            change = sd**2 - float(volume.var())
            tvi["height_correlation"][sex] += float(
                change / (2 * (height**2).mean() * (height**2).std() * tvi["mean"][sex] * tvi["sd"][sex])
            )
        tvi["almi_correlation"] = _secant(
            tvi, "almi_correlation", lambda: _r(numbers(), "tvi", "almi"), _PEARSON["tvi_almi"]
        )
        constants["leg"]["own_volume"] = _secant(
            constants["leg"], "own_volume", lambda: _r(numbers(), "tmv_cm3", "leg_lean_kg"), _PEARSON["tmv_leg"]
        )


def _truths(
    background: dict[str, Vector],
    thirds: Vector,
    numbers: dict[str, Vector],
    probability: dict[str, Vector],
    sexes: dict[str, NDArray[np.bool_]],
) -> dict[str, Any]:
    slopes = {
        name: {
            sex: 10 * float(np.polyfit(background["age"][who], numbers[key][who], 1)[0]) for sex, who in sexes.items()
        }
        for name, key in (("almi", "almi"), ("tmv_cm3", "tmv_cm3"), ("tvi_cm3_per_cm2", "tvi"), ("grip_kg", "grip"))
    }
    crude = {}
    for outcome in OUTCOMES:
        high, low = probability[outcome][thirds == 2].mean(), probability[outcome][thirds == 0].mean()
        crude[outcome] = float(high / (1 - high) / (low / (1 - low)))
    return {
        "pearson": {
            "tmv_cm3, leg_lean_kg": _r(numbers, "tmv_cm3", "leg_lean_kg"),
            "tvi_cm3_per_cm2, almi": _r(numbers, "tvi", "almi"),
        },
        "per_decade": slopes,
        "crude_odds_ratio": crude,
        "prevalence": {outcome: float(p.mean()) for outcome, p in probability.items()},
    }


def true_hazard_ratios(background: dict[str, Vector], thirds: Vector, probability: Vector) -> dict[str, float]:
    """Limit of Cox's estimate for infinite data: high against low third of the P/A ratio, crude and adjusted.

    Deaths follow a logistic model over five years, so hazards are only
    approximately proportional. The expected partial likelihood is maximised with
    each person's own probability of dying, and of being alive, at ten times.
    """
    outer = thirds != 1
    hazard = hazard_of_death(probability[outer])
    edges = np.linspace(0.0, FOLLOW_UP_YEARS, 11)
    alive = [np.exp(-hazard * (early + late) / 2) for early, late in pairwise(edges)]
    dying = [np.exp(-hazard * early) - np.exp(-hazard * late) for early, late in pairwise(edges)]
    activity = background["activity"][outer]
    crude = (thirds[outer] == 2).astype(float)[:, None]
    covariates = [background["age"][outer] / 10, background["man"][outer], background["bmi"][outer] / 10]
    adjusted = np.column_stack([crude, *covariates, activity == 1, activity == 2])
    found = {}
    for name, x in (("crude", crude), ("adjusted", adjusted)):
        x = x - x.mean(axis=0)
        beta = np.zeros(x.shape[1])
        for _ in range(20):
            score, information = np.zeros_like(beta), np.zeros((len(beta), len(beta)))
            relative = np.exp(x @ beta)
            for there, deaths in zip(alive, dying, strict=True):
                weight = there * relative / (there @ relative)
                mean = weight @ x
                score += deaths @ (x - mean)
                information += deaths.sum() * ((x * weight[:, None]).T @ x - np.outer(mean, mean))
            step = np.linalg.solve(information, score)
            beta += step
            if np.abs(step).max() < 1e-10:
                break
        found[name] = float(np.exp(beta[0]))
    return found


def _intercept(eta: Vector, share: float) -> float:
    return _root(lambda intercept: float(expit(intercept + eta).mean()) - share, -15, 5)


def _r(numbers: dict[str, Vector], first: str, second: str) -> float:
    return float(np.corrcoef(numbers[first], numbers[second])[0, 1])


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return float(brentq(function, low, high, xtol=1e-9))


def _secant(table: dict[str, Any], key: str, measure: Callable[[], float], wanted: float) -> float:
    """Do one step of the secant method for a constant that ``measure`` depends on."""
    here, step = float(table[key]), 0.02
    first = measure()
    table[key] = here + step
    second = measure()
    table[key] = here
    return here + float(np.clip(step * (wanted - first) / (second - first), -0.2, 0.2))


if __name__ == "__main__":
    path = Path(__file__).with_name("cohort_constants.json")
    path.write_text(json.dumps(calibrate(), indent=1) + "\n", "utf-8")
    print(path.read_text("utf-8"))
