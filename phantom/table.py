"""Make a synthetic cohort as tables, without images: phenotypes, participants and the true effects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from operators.core.anatomy import HAMSTRINGS, QUADRICEPS, STRUCTURES, THIGH_COMPARTMENTS, Tissue
from operators.core.output_files import replacing
from operators.core.phenotypes import PHENOTYPES, MeasuredBody
from phantom.calibration import PREVALENCE, read_constants, thirds_of
from phantom.cohort_model import (
    FOLLOW_UP_YEARS,
    PUBLISHED,
    TRUE_ODDS_RATIO,
    People,
    draw_background,
    draw_people,
    year_of_death,
)
from phantom.confounding import TMV_LOG_ODDS, crude_odds_ratios, depend_on_volume
from phantom.reference import MUSCLE_SHARE

__all__ = ["CohortTable", "draw_cohort", "write_cohort"]

Vector = NDArray[np.float64]

# Reasons for ineligibility and their shares; the paper gives no counts (method, section 1).
_INELIGIBLE = {"young": 0.5, "no-grip": 0.12, "no-dxa": 0.2, "no-mri": 0.08, "cut-muscle": 0.06, "no-activity": 0.04}
_CUT = "rectus_femoris"  # the muscle that the field of view cuts off in "cut-muscle"
_BONE_CM3 = {"iliac_bone": 520.0, "femur": 900.0}  # both sides, at 170 cm; of the order of the anatomy phantom's


@dataclass(frozen=True)
class CohortTable:
    """A cohort that was drawn.

    Attributes
    ----------
    participants, phenotypes : DataFrame
        With the columns that `analysis` reads.
    truth : dict
        True odds ratios, correlations, slopes and prevalences.
    """

    participants: pd.DataFrame
    phenotypes: pd.DataFrame
    truth: dict[str, Any]


def draw_cohort(
    n: int, seed: int = 0, ineligible: float = 0.08, pa_tmv_correlation: float | None = None
) -> CohortTable:
    """Draw ``n`` people who meet every criterion, and an additional share who do not.

    Parameters
    ----------
    n : int
        At least 3.
    seed : int
    ineligible : float
        Additional people who are too young or lack data, as a share of ``n``.
        The true effects refer to the ``n``.
    pa_tmv_correlation : float, optional
        Make P/A depend on total muscle volume, and outcomes on volume alone; see
        `phantom.confounding`. Default: independent, with the published effects.

    Returns
    -------
    CohortTable
        Rows in random order.
    """
    rng = np.random.default_rng([seed, 3])
    constants = read_constants()
    counts = {reason: round(n * ineligible * share) for reason, share in _INELIGIBLE.items()}
    background = draw_background(rng, n)
    parts = [(background, thirds_of(background["pa_ratio"]), np.full(n, "", dtype=object))]
    low, high = np.quantile(background["pa_ratio"], [1 / 3, 2 / 3])
    for reason, count in counts.items():
        if count:
            extra = draw_background(rng, count, (40.0, 49.9) if reason == "young" else None)
            thirds = (extra["pa_ratio"] > low).astype(float) + (extra["pa_ratio"] > high)
            parts.append((extra, thirds, np.full(count, reason, dtype=object)))
    merged = {name: np.concatenate([part[0][name] for part in parts]) for name in background}
    drawn_thirds = np.concatenate([part[1] for part in parts])
    if pa_tmv_correlation is None:
        people = draw_people(rng, merged, drawn_thirds, constants)
    else:
        people = draw_people(rng, merged, np.ones_like(drawn_thirds), constants)
        merged, people = depend_on_volume(np.random.default_rng([seed, 5]), merged, people, pa_tmv_correlation)
    kind = np.concatenate([part[2] for part in parts])
    eid = 1_000_000 + rng.choice(8_999_999, len(kind), replace=False)
    participants = _participants(rng, eid, merged, people)
    phenotypes = _phenotypes(rng, eid, merged, people)
    # A separate stream, so that the rest of a seed's cohort does not depend on it.
    _add_dates(np.random.default_rng([seed, 4]), participants, people)
    participants.loc[kind == "no-grip", ["grip_left_kg", "grip_right_kg"]] = np.nan
    participants.loc[kind == "no-dxa", [name for name in participants if "_lean_" in name]] = np.nan
    participants.loc[kind == "no-activity", "activity"] = None
    cut = kind == "cut-muscle"
    lost = {key for key, phenotype in PHENOTYPES.items() if _CUT in phenotype.needs}
    lost.remove("muscle_fat_fraction")  # a mean, which a part of the muscle still gives
    phenotypes.loc[cut, [*lost, f"{_CUT}_cm3", f"{_CUT}_left_cm3", f"{_CUT}_right_cm3"]] = np.nan
    phenotypes.loc[cut, "quality_flags"] = "cut-by-field-of-view"
    order = rng.permutation(len(kind))
    imaged = order[kind[order] != "no-mri"]
    probability = {name: p[:n] for name, p in people.probability.items()}
    truth = _truth(n, seed, counts, constants, probability)
    if pa_tmv_correlation is not None:
        truth |= _truth_of_confounding(pa_tmv_correlation, merged["pa_ratio"][:n], probability)
    return CohortTable(
        participants.iloc[order].reset_index(drop=True), phenotypes.iloc[imaged].reset_index(drop=True), truth
    )


def write_cohort(folder: Path, cohort: CohortTable) -> tuple[Path, Path, Path]:
    """Write ``phenotypes.csv``, ``participants.csv`` and ``truth.json``, each whole or not at all."""
    texts = {
        "phenotypes.csv": cohort.phenotypes.to_csv(index=False, float_format="%.7g", lineterminator="\n"),
        "participants.csv": cohort.participants.to_csv(index=False, float_format="%.7g", lineterminator="\n"),
        "truth.json": json.dumps(cohort.truth, indent=2) + "\n",
    }
    for name, text in texts.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, "utf-8")
    return folder / "phenotypes.csv", folder / "participants.csv", folder / "truth.json"


def _participants(
    rng: np.random.Generator, eid: NDArray[np.int64], background: Mapping[str, Vector], people: People
) -> pd.DataFrame:
    n = len(eid)
    # Rounded down, so that rounding moves nobody across a cut-off.
    best = np.floor(np.maximum(people.numbers["grip"], 1.0) * 10) / 10
    other = np.round(np.maximum(best - np.abs(rng.normal(0, 2.5, n)), 0.5), 1)
    right_best = rng.random(n) < 0.6
    left_leg, right_leg = _sides(people.numbers["leg_lean_kg"], background["asymmetry"])
    left_arm, right_arm = _sides(people.numbers["alm_kg"] - people.numbers["leg_lean_kg"], rng.normal(-0.02, 0.03, n))
    fell = people.outcome["falls"]
    return pd.DataFrame(
        {
            "eid": eid.astype(str),
            "sex": np.where(background["man"] == 1, "M", "F"),
            "age": background["age"],
            "height_cm": background["height_cm"],
            "weight_kg": np.round(background["bmi"] * (background["height_cm"] / 100) ** 2, 1),
            "bmi": np.round(background["bmi"], 3),
            "grip_left_kg": np.where(right_best, other, best),
            "grip_right_kg": np.where(right_best, best, other),
            "arm_lean_left_kg": left_arm,
            "arm_lean_right_kg": right_arm,
            "leg_lean_left_kg": left_leg,
            "leg_lean_right_kg": right_leg,
            "activity": np.array(["low", "moderate", "high"], dtype=object)[background["activity"].astype(int)],
            "died": people.outcome["mortality"].astype(int),
            "falls_last_year": np.where(fell, np.where(rng.random(n) < 0.3, 3, 2), 1),
        }
    )


def _add_dates(rng: np.random.Generator, participants: pd.DataFrame, people: People) -> None:
    """Dates: imaging within eight years, five years of follow-up each, and the day of death of those who died."""
    imaged = np.datetime64("2014-05-01") + rng.integers(0, 8 * 365, len(participants))
    days = np.round(FOLLOW_UP_YEARS * 365.25)
    year = year_of_death(rng, people.probability["mortality"])
    day = np.clip(np.ceil(year * 365.25), 1, days).astype("timedelta64[D]")
    dead = people.outcome["mortality"]
    participants["imaging_date"] = imaged.astype(str)
    participants["death_date"] = np.where(dead, (imaged + day).astype(str), None)
    participants["censor_date"] = (imaged + days.astype("timedelta64[D]")).astype(str)
    participants["synthetic"] = 1


def _phenotypes(
    rng: np.random.Generator, eid: NDArray[np.int64], background: Mapping[str, Vector], people: People
) -> pd.DataFrame:
    """Volumes of single muscles: shares of the total that vary slightly, with the drawn P/A ratio and asymmetry."""
    n = len(eid)
    muscles = [structure for structure in STRUCTURES if structure.tissue is Tissue.MUSCLE]
    shares = np.array([MUSCLE_SHARE[m.name] for m in muscles]) * np.exp(rng.normal(0, 0.08, (n, len(muscles))))
    shares /= shares.sum(axis=1, keepdims=True)
    behind = np.array([m.name in HAMSTRINGS for m in muscles])
    front = np.array([m.name in QUADRICEPS for m in muscles])
    thigh = shares[:, behind | front].sum(axis=1)
    ratio = background["pa_ratio"]
    shares[:, behind] *= (thigh * ratio / (1 + ratio) / shares[:, behind].sum(axis=1))[:, None]
    shares[:, front] *= (thigh / (1 + ratio) / shares[:, front].sum(axis=1))[:, None]
    volumes = {m.name: people.numbers["tmv_cm3"] * shares[:, i] for i, m in enumerate(muscles)}
    tall = (background["height_cm"] / 170) ** 3
    volumes |= {name: cm3 * tall * np.exp(rng.normal(0, 0.06, n)) for name, cm3 in _BONE_CM3.items()}
    left, right = {}, {}
    for structure in STRUCTURES:
        if structure.name not in volumes:
            continue
        in_thigh = structure.compartment in THIGH_COMPARTMENTS
        asymmetry = background["asymmetry_mri"] if in_thigh else rng.normal(0, 0.02, n)
        left[structure.name], right[structure.name] = _sides(volumes[structure.name], asymmetry)
    fat = 0.075 + 0.0012 * (background["age"] - 60) + 0.003 * (background["bmi"] - 25) + rng.normal(0, 0.015, n)
    drawn = {
        "tmv_cm3": people.numbers["tmv_cm3"],
        "pa_ratio": ratio,
        "muscle_fat_fraction": np.clip(fat, 0.02, 0.4),
    }
    body = MeasuredBody(volumes, left, right, height_m=background["height_cm"] / 100)
    table: dict[str, Any] = {"eid": eid.astype(str)}
    for key, phenotype in PHENOTYPES.items():
        value = drawn[key] if key in drawn else phenotype.compute(body)
        table[key] = np.full(n, np.nan) if value is None else value
    for name in volumes:
        table |= {f"{name}_cm3": volumes[name], f"{name}_left_cm3": left[name], f"{name}_right_cm3": right[name]}
    table["quality_flags"] = ""
    table["synthetic"] = 1
    return pd.DataFrame(table)


def _sides(total: Vector, asymmetry: Vector) -> tuple[Vector, Vector]:
    """Split a total into left and right so that (left - right) / larger is ``asymmetry``."""
    larger = total / (2 - np.abs(asymmetry))
    smaller = total - larger
    return np.where(asymmetry > 0, larger, smaller), np.where(asymmetry > 0, smaller, larger)


def _truth(
    n: int, seed: int, ineligible: Mapping[str, int], constants: Mapping[str, Any], probability: Mapping[str, Vector]
) -> dict[str, Any]:
    """True values of the cohort. Expectations refer to these ``n``, or to the population where stated."""
    population = constants["population"]
    nothing = dict.fromkeys(TRUE_ODDS_RATIO, 1.0)
    return {
        "about": "True values of a synthetic cohort (python -m phantom table). Odds ratios: highest against lowest "
        "third, adjusted for age, sex, BMI and activity. Correlations, slopes per decade and crude odds ratios: "
        "those of the population that the cohort is drawn from.",
        "n": n,
        "seed": seed,
        "ineligible": dict(ineligible),
        "odds_ratio_adjusted": {
            "pa_ratio": TRUE_ODDS_RATIO,
            "lr_asymmetry_dexa": nothing,
            "lr_asymmetry_mri": nothing,
        },
        "odds_ratio_crude": {"pa_ratio": population["crude_odds_ratio"]},
        "hazard_ratio_of_death": {
            "about": "Highest against lowest third: limit of Cox's estimate for infinite data, because deaths follow "
            "a logistic model within five years. Adjusted for age, sex, BMI and activity.",
            "pa_ratio": population["hazard_ratio"],
            "lr_asymmetry_dexa": {"crude": 1.0, "adjusted": 1.0},
            "lr_asymmetry_mri": {"crude": 1.0, "adjusted": 1.0},
        },
        "pearson": population["pearson"],
        "per_decade": population["per_decade"],
        "expected_prevalence": {name: float(p.mean()) for name, p in probability.items()},
        "calibrated_to": {
            "mean_sd": {name: {s: list(v) for s, v in by.items()} for name, by in PUBLISHED.items()},
            "prevalence": PREVALENCE,
        },
    }


def _truth_of_confounding(correlation: float, ratio: Vector, probability: Mapping[str, Vector]) -> dict[str, Any]:
    """Entries of the truth that differ where P/A has no effect of its own."""
    return {
        "about": "True values of a synthetic cohort (python -m phantom table --pa-tmv-correlation). P/A is correlated "
        "with total muscle volume within each sex and has no effect of its own: in a model with volume, its odds ratio "
        "is 1. Death and falls depend on volume, age, BMI and activity.",
        "pa_tmv_correlation": correlation,
        "tmv_log_odds_per_sd_within_sex": TMV_LOG_ODDS,
        "odds_ratio_adjusted_for_tmv": {"pa_ratio": dict.fromkeys(TRUE_ODDS_RATIO, 1.0)},
        "odds_ratio_adjusted": None,
        "odds_ratio_crude": {"pa_ratio": crude_odds_ratios(ratio, probability)},
        "hazard_ratio_of_death": None,
    }
