"""Model of a synthetic cohort's numbers, with exactly known effects.

Each outcome follows a logistic model with the coefficients in this file. Low
muscle mass and weak grip are cut-offs of measurements. Therefore the measurement
is drawn from the model's latent scale: a logistic variable that is negative
exactly in people with the outcome. A monotone curve maps it to kg or kg/m2.
Confirmed sarcopenia is both together and has its own logistic model: the four
combinations are drawn from the three probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr

__all__ = [
    "CUT_OFF",
    "FOLLOW_UP_YEARS",
    "OUTCOMES",
    "PUBLISHED",
    "TRUE_ODDS_RATIO",
    "People",
    "draw_background",
    "draw_people",
    "hazard_of_death",
    "year_of_death",
]

Vector = NDArray[np.float64]

OUTCOMES = ("low_muscle_mass", "weak_grip", "sarcopenia", "mortality", "falls")
# High against low third of the P/A ratio (method, section 7); L/R asymmetry has no effect on anything.
TRUE_ODDS_RATIO = {"low_muscle_mass": 1.02, "weak_grip": 1.60, "sarcopenia": 1.42, "mortality": 1.49, "falls": 1.12}
# Log odds per year, per kg/m2, and of moderate and high against low activity. Their direction and
# size are usual in the field; they are our own values, not the paper's.
_AGE = {"low_muscle_mass": 0.045, "weak_grip": 0.075, "sarcopenia": 0.080, "mortality": 0.085, "falls": 0.020}
_BMI = {"low_muscle_mass": -0.16, "weak_grip": 0.00, "sarcopenia": -0.10, "mortality": 0.02, "falls": 0.03}
_ACTIVITY = {
    "low_muscle_mass": (-0.10, -0.20),
    "weak_grip": (-0.20, -0.35),
    "sarcopenia": (-0.20, -0.40),
    "mortality": (-0.25, -0.40),
    "falls": (-0.10, -0.10),
}
_ACTIVITY_SHARE = (0.19, 0.41, 0.40)
# EWGSOP2 (method, section 7).
CUT_OFF = {"almi": {"M": 7.0, "F": 5.5}, "grip": {"M": 27.0, "F": 16.0}}
# Mean and SD by sex (method, section 1); shares from there or from the counts (method, section 7).
PUBLISHED: dict[str, dict[str, tuple[float, float]]] = {
    "age": {"M": (65.2, 7.9), "F": (63.9, 7.7)},
    "bmi": {"M": (27.0, 3.9), "F": (26.1, 4.8)},
    "height_cm": {"M": (176.0, 6.7), "F": (162.7, 6.3)},
    "weight_kg": {"M": (83.7, 13.4), "F": (69.0, 13.1)},
    "grip_kg": {"M": (39.3, 8.9), "F": (24.1, 6.1)},
    "tmv_cm3": {"M": (11166.4, 1689.8), "F": (7586.2, 1076.1)},
    "almi": {"M": (8.18, 0.95), "F": (6.53, 0.84)},
    "pa_ratio": {"M": (0.45, 0.05), "F": (0.44, 0.06)},
}
# Everyone is followed for this long. A person's hazard of death is constant during that time.
FOLLOW_UP_YEARS = 5.0
SHARE_OF_MEN = 17920 / 37004
_AGE_RANGE = (50.0, 87.0)
_BMI_SKEW = 0.25  # sigma of the lognormal distribution of BMI
# SD of (left - right) / larger of the legs' lean mass: gives thirds near the paper's 0.017 and 0.041.
_ASYMMETRY_SD = 0.0435
_ASYMMETRY_MRI_CORRELATION = 0.6
_LATENT_CORRELATION = 0.35  # of strength and mass, beyond what the covariates explain


@dataclass(frozen=True)
class People:
    """People that were drawn. Every array has shape (n,).

    Attributes
    ----------
    numbers : dict of str to ndarray
        Measurements, in the units of their names.
    probability : dict of str to ndarray
        Probability of each outcome, given a person's covariates.
    outcome : dict of str to ndarray of bool
    """

    numbers: dict[str, Vector]
    probability: dict[str, Vector]
    outcome: dict[str, NDArray[np.bool_]]


def draw_background(
    rng: np.random.Generator, n: int, age_range: tuple[float, float] | None = None
) -> dict[str, Vector]:
    """Draw what outcomes depend on (sex, age, height, BMI, activity, P/A ratio), and asymmetries without any effect.

    Parameters
    ----------
    rng : Generator
    n : int
    age_range : (float, float), optional
        Draw ages evenly in this range instead of as published.
    """
    man = rng.random(n) < SHARE_OF_MEN

    def by_sex(name: str, which: int) -> Vector:
        return np.where(man, PUBLISHED[name]["M"][which], PUBLISHED[name]["F"][which])

    low, high = _AGE_RANGE
    mean, spread = (by_sex("age", 0) - low) / (high - low), by_sex("age", 1) / (high - low)
    sum_of_shapes = mean * (1 - mean) / spread**2 - 1
    age = low + (high - low) * rng.beta(mean * sum_of_shapes, (1 - mean) * sum_of_shapes)
    if age_range is not None:
        age = rng.uniform(*age_range, n)
    tall = rng.standard_normal(n)
    height = np.round(by_sex("height_cm", 0) + by_sex("height_cm", 1) * tall, 1)
    # The published SD of weight requires a slightly lower BMI in tall people.
    link = np.where(man, -0.05, -0.13)
    shape = np.exp(_BMI_SKEW * (link * tall + np.sqrt(1 - link**2) * rng.standard_normal(n)) - _BMI_SKEW**2 / 2) - 1
    bmi = by_sex("bmi", 0) + by_sex("bmi", 1) * shape / np.sqrt(np.expm1(_BMI_SKEW**2))
    signed = rng.standard_normal(n)
    rho = _ASYMMETRY_MRI_CORRELATION
    return {
        "man": man.astype(float),
        "age": np.round(age, 1),
        "tall": tall,
        "height_cm": height,
        "bmi": bmi,
        "activity": rng.choice(3, n, p=_ACTIVITY_SHARE).astype(float),
        "pa_ratio": np.clip(by_sex("pa_ratio", 0) + by_sex("pa_ratio", 1) * rng.standard_normal(n), 0.2, 0.8),
        "asymmetry": np.clip(_ASYMMETRY_SD * signed, -0.3, 0.3),
        "asymmetry_mri": np.clip(
            _ASYMMETRY_SD * (rho * signed + np.sqrt(1 - rho**2) * rng.standard_normal(n)), -0.3, 0.3
        ),
    }


def predictor(outcome: str, background: Mapping[str, Vector], thirds: Vector) -> Vector:
    """Log odds without the intercept. ``thirds`` of the P/A ratio are 0, 1, 2; the middle third has half the effect."""
    moderate, high = _ACTIVITY[outcome]
    return np.asarray(
        np.log(TRUE_ODDS_RATIO[outcome]) * thirds / 2
        + _AGE[outcome] * (background["age"] - 64.5)
        + _BMI[outcome] * (background["bmi"] - 26.5)
        + np.choose(background["activity"].astype(int), [0.0, moderate, high])
    )


def probabilities(background: Mapping[str, Vector], thirds: Vector, constants: Mapping[str, Any]) -> dict[str, Vector]:
    """Probability of each outcome. That of sarcopenia stays below those of its two parts."""
    man = background["man"] == 1
    made = {}
    for outcome in OUTCOMES:
        intercept = constants["intercept"][outcome]
        made[outcome] = expit(np.where(man, intercept["M"], intercept["F"]) + predictor(outcome, background, thirds))
    ceiling = 0.98 * np.minimum(made["low_muscle_mass"], made["weak_grip"])
    floor = np.maximum(0.0, made["low_muscle_mass"] + made["weak_grip"] - 1.0)
    made["sarcopenia"] = np.clip(made["sarcopenia"], floor, ceiling)
    return made


def latent_scales(
    rng: np.random.Generator, probability: Mapping[str, Vector]
) -> tuple[dict[str, Vector], dict[str, NDArray[np.bool_]]]:
    """Draw latent mass and strength, negative exactly in people with low mass and weak grip, and the outcomes."""
    both, low, weak = probability["sarcopenia"], probability["low_muscle_mass"], probability["weak_grip"]
    n = len(both)
    draw = rng.random(n)
    is_low = draw < low  # [0, both) both, [both, low) low mass only
    is_weak = (draw < both) | ((draw >= low) & (draw < low + weak - both))
    first = rng.standard_normal(n)
    second = _LATENT_CORRELATION * first + np.sqrt(1 - _LATENT_CORRELATION**2) * rng.standard_normal(n)
    scales = {}
    for name, p, has, normal in (("almi", low, is_low, first), ("grip", weak, is_weak, second)):
        within = np.clip(ndtr(normal), 1e-12, 1 - 1e-12)
        uniform = np.where(has, within * p, p + within * (1 - p))
        scales[name] = logit(np.clip(uniform, 1e-12, 1 - 1e-12)) - logit(p)
    outcome = {"low_muscle_mass": is_low, "weak_grip": is_weak, "sarcopenia": is_low & is_weak}
    for name in ("mortality", "falls"):
        outcome[name] = rng.random(n) < probability[name]
    return scales, outcome


def hazard_of_death(probability: Vector) -> Vector:
    """Constant hazard per year that makes ``probability`` the probability of dying within the follow-up."""
    return np.asarray(-np.log1p(-probability) / FOLLOW_UP_YEARS)


def year_of_death(rng: np.random.Generator, probability: Vector) -> Vector:
    """Times of death, in years after imaging, of people who die within the follow-up; the hazard is constant."""
    return np.asarray(-np.log1p(-rng.random(len(probability)) * probability) / hazard_of_death(probability))


def measured(latent: Vector, curve: Mapping[str, Any], mean: float, sd: float) -> Vector:
    """Map the latent scale to the measurement by a monotone curve; 0 becomes the cut-off.

    Parameters
    ----------
    latent : ndarray, shape (n,)
    curve : mapping
        ``knots`` on the latent scale with their normal ``scores``, and the ``sigma``
        of the measurement's shifted lognormal distribution.
    mean, sd : float
        Mean and SD of the measurement.
    """
    sigma = float(curve["sigma"])
    scores = np.interp(latent, curve["knots"], curve["scores"])
    return np.asarray(mean + sd * np.expm1(sigma * scores - sigma**2 / 2) / np.sqrt(np.expm1(sigma**2)))


def draw_people(
    rng: np.random.Generator, background: Mapping[str, Vector], thirds: Vector, constants: Mapping[str, Any]
) -> People:
    """Draw outcomes and measurements of people with a known background.

    Parameters
    ----------
    rng : Generator
    background : mapping
        From `draw_background`.
    thirds : ndarray of {0, 1, 2}
        Thirds of the P/A ratio.
    constants : mapping
        Content of ``cohort_constants.json``; see `phantom.calibration`.
    """
    man = background["man"] == 1
    n = len(man)
    probability = probabilities(background, thirds, constants)
    latent, outcome = latent_scales(rng, probability)

    def by_sex(table: Mapping[str, float]) -> Vector:
        return np.where(man, table["M"], table["F"])

    numbers = {}
    for name, published in (("almi", "almi"), ("grip", "grip_kg")):
        curves = [measured(latent[name], constants[name][sex], *PUBLISHED[published][sex]) for sex in ("M", "F")]
        numbers[name] = np.where(man, *curves)
    z = (numbers["almi"] - by_sex({s: PUBLISHED["almi"][s][0] for s in "MF"})) / by_sex(
        {s: PUBLISHED["almi"][s][1] for s in "MF"}
    )
    own = rng.standard_normal(n)
    rho, kappa = constants["tvi"]["almi_correlation"], by_sex(constants["tvi"]["height_correlation"])
    tvi = by_sex(constants["tvi"]["mean"]) + by_sex(constants["tvi"]["sd"]) * (
        rho * z + kappa * background["tall"] + np.sqrt(1 - rho**2 - kappa**2) * own
    )
    numbers["tvi"] = np.maximum(tvi, 0.12)
    numbers["tmv_cm3"] = numbers["tvi"] * background["height_cm"] ** 2
    numbers["alm_kg"] = numbers["almi"] * (background["height_cm"] / 100) ** 2
    share = by_sex({"M": 0.745, "F": 0.765}) * (
        1 + constants["leg"]["own_volume"] * own + constants["leg"]["noise"] * rng.standard_normal(n)
    )
    numbers["leg_lean_kg"] = numbers["alm_kg"] * np.clip(share, 0.6, 0.9)
    return People(numbers, probability, outcome)
