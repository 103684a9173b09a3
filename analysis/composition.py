"""Muscle quality: grip per muscle volume, and muscle composition by volume and fat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.cox import fit_cox
from analysis.definitions import fat_measure
from analysis.design import Covariates
from analysis.distributions import normal_quantile, normal_tail
from analysis.logistic import fit_logistic
from analysis.odds_ratios import EVENTS_PER_COEFFICIENT
from analysis.survival import FollowUp

__all__ = ["GROUPS", "add_composition", "composition_associations", "volume_z_scores"]

Vector = NDArray[np.float64]

_LOWEST_FIFTH = 0.2
# Linge et al., J Cachexia Sarcopenia Muscle 2021;12:1513-1526: fat above the 75th percentile of the sex, and a z score
# of volume that does not depend on sex, weight and height below the 25th percentile of everybody.
_HIGH_FAT, _LOW_VOLUME = 0.75, 0.25
_FEWEST = 50
GROUPS = ("normal", "low volume only", "high fat only", "adverse")
_Z = normal_quantile(0.975)


def add_composition(table: pd.DataFrame) -> pd.DataFrame:
    """Add outcomes of muscle quality. They depend on the people in the table, so they are made last.

    Returns
    -------
    DataFrame
        With ``low_specific_strength`` (grip over muscle volume in the lowest
        fifth of the sex: the Global Leadership Initiative in Sarcopenia names
        the measure and no cut-off) and, where muscle fat is known,
        ``muscle_volume_z`` (see `volume_z_scores`), ``muscle_composition`` (one
        of `GROUPS`) and ``adverse_muscle_composition``: muscle fat above the
        75th percentile of the sex, and z below the 25th percentile of everybody.
    """
    made = table.copy(deep=False)  # pandas copies a column when it is replaced
    low = pd.Series(np.nan, index=table.index)
    much_fat = pd.Series(np.nan, index=table.index)
    wanted = {"specific_strength_kg_per_l", fat_measure(table)}
    needed = table[[name for name in table.columns if name in wanted]]
    for sex in ("M", "F"):
        part = needed[(table["sex"] == sex).to_numpy(dtype=bool, na_value=False)]
        strength = part["specific_strength_kg_per_l"].dropna()
        if len(strength) >= _FEWEST:
            low[strength.index] = (strength <= strength.quantile(_LOWEST_FIFTH)).astype(float)
        measure = fat_measure(part)
        fat = part[measure].dropna().astype(float) if measure in part else pd.Series(dtype=float)
        if len(fat) >= _FEWEST:
            much_fat[fat.index] = (fat > fat.quantile(_HIGH_FAT)).astype(float)
    z = volume_z_scores(table)
    known = z.notna() & much_fat.notna()
    little = z < z[known].quantile(_LOW_VOLUME)
    place = little.astype(int) + 2 * (much_fat == 1).astype(int)
    made["low_specific_strength"], made["muscle_volume_z"] = low, z
    made["muscle_composition"] = pd.Series(np.array(GROUPS)[place], index=table.index, dtype="string").where(known)
    made["adverse_muscle_composition"] = (place == len(GROUPS) - 1).astype(float).where(known)
    return made


def volume_z_scores(table: pd.DataFrame) -> pd.Series:
    """z score of fat-free muscle volume among people of the same sex, weight and height.

    The thigh's volume where the table has it, else the total, without its fat.
    Within each sex, the residual of the logarithm of volume after those of
    height and weight (weight with its square), over the residuals' SD. Linge et
    al. compare with a group of similar people instead; both make the score
    independent of sex, weight and height.
    """
    z = pd.Series(np.nan, index=table.index)
    measure = fat_measure(table)
    if measure not in table:
        return z
    volume = "thigh_cm3" if "thigh_cm3" in table and table["thigh_cm3"].notna().any() else "tmv_cm3"
    weight = table["weight_kg"].fillna(table["bmi"] * (table["height_cm"] / 100) ** 2)
    columns = pd.DataFrame({"volume": table[volume] * (1 - table[measure]), "height": table["height_cm"],
                            "weight": weight}).astype(float)  # fmt: skip
    for sex in ("M", "F"):
        part = columns[(table["sex"] == sex) & (columns > 0).all(axis=1)]
        if len(part) < _FEWEST:
            continue
        logs = np.log(part)
        centred = logs - logs.mean()
        design = np.column_stack([np.ones(len(part)), centred["height"], centred["weight"], centred["weight"] ** 2])
        rest = logs["volume"] - design @ np.linalg.lstsq(design, logs["volume"], rcond=None)[0]
        z[part.index] = rest / np.sqrt((rest**2).sum() / (len(part) - design.shape[1]))
    return z


def composition_associations(
    table: pd.DataFrame, covariates: Sequence[str], followed: FollowUp, outcomes: Sequence[str] = ("falls", "mortality")
) -> pd.DataFrame:
    """Each group of muscle composition against the normal one: odds ratios, and hazard ratios of death.

    Returns
    -------
    DataFrame
        ``outcome, measure`` (odds ratio or hazard ratio), ``group, n, events,
        ratio, ci_low, ci_high, p_value, note``; Wald's intervals, adjusted. Empty
        if composition is not known. With fewer than 5 events per coefficient there
        are no ratios; ``note`` has the reason.
    """
    rows: list[dict[str, object]] = []
    if "muscle_composition" not in table or table["muscle_composition"].isna().all():
        return pd.DataFrame()
    shared = Covariates(table, covariates)
    place = table["muscle_composition"].map({name: float(i) for i, name in enumerate(GROUPS)}).to_numpy(dtype=float)
    asked: list[tuple[str, Vector, Vector | None]]
    asked = [(name, table[name].to_numpy(dtype=float, na_value=np.nan), None) for name in outcomes]
    if followed.given:
        asked.append(("mortality", followed.died, followed.years))
    for outcome, events, years in asked:
        known = shared.known & np.isfinite(place) & np.isfinite(events)
        known &= np.isfinite(years) if years is not None else True
        groups, happened, design = place[known], events[known], shared.of(known).values
        indicators = (groups[:, None] == np.arange(1, len(GROUPS))).astype(float)
        found, reason = _ratios(
            np.column_stack([indicators, design]), happened, None if years is None else years[known]
        )
        for number, name in enumerate(GROUPS):
            own = groups == number
            measure = "odds ratio" if years is None else "hazard ratio"
            row: dict[str, object] = {"outcome": outcome, "measure": measure, "group": name, "n": int(own.sum())}
            row |= {"events": int(happened[own].sum()), "note": reason if number else "reference"}
            rows.append(row | (found[number - 1] if number and found else {}))
    columns = ["outcome", "measure", "group", "n", "events", "ratio", "ci_low", "ci_high", "p_value", "note"]
    return pd.DataFrame(rows, columns=columns)


def _ratios(regressors: Vector, events: Vector, years: Vector | None) -> tuple[list[dict[str, object]], str]:
    """Ratios of the first three regressors, the groups, or why the data do not determine them."""
    groups = len(GROUPS) - 1
    few = min(events.sum(), len(events) - events.sum()) < EVENTS_PER_COEFFICIENT * regressors.shape[1]
    absent = (regressors[:, :groups] * events[:, None]).sum(axis=0).min() == 0 if len(events) else True
    if few or absent:
        reason = "fewer than 5 events per coefficient" if few else "a group without events"
        return [], f"{reason}: not estimable"
    try:
        if years is None:
            fit = fit_logistic(regressors, events)
            coefficients, errors, sound = fit.coefficients[1:], fit.standard_errors[1:], fit.converged
        else:
            cox = fit_cox(years, events, regressors)
            coefficients, errors, sound = cox.coefficients, cox.standard_errors, cox.converged
    except np.linalg.LinAlgError:
        return [], "a group follows from the covariates: not estimable"
    if not sound:
        return [], "a coefficient without end: not estimable"
    ratios: list[dict[str, object]] = [
        {"ratio": float(np.exp(b)), "ci_low": float(np.exp(b - _Z * e)), "ci_high": float(np.exp(b + _Z * e)),
         "p_value": float(2 * normal_tail(abs(b / e)))}
        for b, e in zip(coefficients[:groups], errors[:groups], strict=True)
    ]  # fmt: skip
    return ratios, ""
