"""Columns that are computed from a participant's measurements."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.deaths import Register, count_deaths, register_of
from analysis.definitions import EWGSOP2, CutOffs

__all__ = ["derive"]


def derive(table: pd.DataFrame, cut_offs: CutOffs = EWGSOP2, register: Register | None = None) -> pd.DataFrame:
    """Add the columns that are computed from the measurements.

    Parameters
    ----------
    table : DataFrame
        Canonical participants with phenotypes (columns ``tmv_cm3``,
        ``pa_ratio``, ``lr_asymmetry``).
    cut_offs : CutOffs
    register : Register, optional
        Until when deaths are known. Without it, the latest death in this table.

    Returns
    -------
    DataFrame
        A copy with ``bmi`` filled from weight and height, ``grip_kg`` (best
        of both hands), ``alm_kg`` and ``leg_lean_kg``, ``almi`` (kg/m2),
        ``tvi_cm3_per_cm2``, ``specific_strength_kg_per_l`` (grip over total
        muscle volume), ``lr_asymmetry_dexa`` and ``lr_asymmetry_mri``, the
        five outcomes and ``probable_sarcopenia`` as 0, 1 or NaN, and
        ``sarcopenia_status``.

    Notes
    -----
    Confirmed sarcopenia is low strength with low mass. Probable sarcopenia is
    low strength with normal mass (method, section 7). A value equal to a
    cut-off is not low. Falls means one or more falls in the last year.
    Death from any cause is a death after imaging and before the end of
    follow-up. Who died on or before the day of imaging, or was imaged on or
    after the end of follow-up, has no known outcome.
    """
    out = table.copy(deep=False)  # pandas copies a column when it is replaced
    men = (out["sex"] == "M").to_numpy(dtype=bool, na_value=False)
    women = (out["sex"] == "F").to_numpy(dtype=bool, na_value=False)
    height_m = out["height_cm"] / 100.0
    out["bmi"] = out["bmi"].fillna(out["weight_kg"] / height_m**2)
    out["grip_kg"] = out[["grip_left_kg", "grip_right_kg"]].max(axis=1)
    legs = out[["leg_lean_left_kg", "leg_lean_right_kg"]]
    arms = out[["arm_lean_left_kg", "arm_lean_right_kg"]]
    out["leg_lean_kg"] = legs.sum(axis=1, min_count=2).fillna(out["legs_lean_kg"])
    out["alm_kg"] = out["leg_lean_kg"] + arms.sum(axis=1, min_count=2).fillna(out["arms_lean_kg"])
    # Rounded, so that a division that should give 7.0 does not give 6.9999999999.
    out["almi"] = (out["alm_kg"] / height_m**2).round(9)
    out["tvi_cm3_per_cm2"] = out["tmv_cm3"] / out["height_cm"] ** 2
    out["specific_strength_kg_per_l"] = out["grip_kg"] / (out["tmv_cm3"] / 1000.0)
    larger = legs.max(axis=1, skipna=False)
    out["lr_asymmetry_dexa"] = (out["leg_lean_left_kg"] - out["leg_lean_right_kg"]).abs() / larger
    out["lr_asymmetry_mri"] = out["lr_asymmetry"]
    front, back = ([out[f"amra_{place}_{side}_l"] for side in ("left", "right")] for place in ("anterior", "posterior"))
    out["amra_thigh_cm3"] = 1000 * (front[0] + front[1] + back[0] + back[1])
    out["amra_pa_ratio"] = (back[0] + back[1]) / (front[0] + front[1])
    left, right = front[0] + back[0], front[1] + back[1]
    out["amra_asymmetry"] = (left - right).abs() / np.maximum(left, right)

    if {"thigh_left_cm3", "thigh_right_cm3"} <= set(out.columns):
        out["thigh_cm3"] = out["thigh_left_cm3"] + out["thigh_right_cm3"]
        out["thigh_strength_kg_per_l"] = out["grip_kg"] / (out["thigh_cm3"] / 1000.0)
    out["low_muscle_mass"] = _below(out["almi"], men, women, cut_offs.almi_men, cut_offs.almi_women)
    out["weak_grip"] = _below(out["grip_kg"], men, women, cut_offs.grip_men_kg, cut_offs.grip_women_kg)
    known = out["low_muscle_mass"].notna() & out["weak_grip"].notna()
    weak, low = out["weak_grip"] == 1, out["low_muscle_mass"] == 1
    out["sarcopenia"] = (weak & low).astype("float64").where(known)
    out["probable_sarcopenia"] = (weak & ~low).astype("float64").where(known)
    status = np.select([~known, weak & low, weak], ["", "confirmed", "probable"], "none")
    out["sarcopenia_status"] = pd.Series(status, index=out.index, dtype="string").replace("", pd.NA)
    out["mortality"] = _mortality(out, register or register_of(out["death_date"]))
    falls = pd.to_numeric(out["falls_last_year"], errors="coerce").astype("float64")
    out["falls"] = (falls >= 2).astype("float64").where(falls.notna())
    return out


def _below(values: pd.Series, men: np.ndarray, women: np.ndarray, cut_men: float, cut_women: float) -> pd.Series:
    cut = np.select([men, women], [cut_men, cut_women], np.nan)
    return (values < cut).astype("float64").where(values.notna() & ~np.isnan(cut))


def _mortality(table: pd.DataFrame, register: Register) -> pd.Series:
    """1 died, 0 alive, NaN unknown. A date of death decides where there is one."""
    died = pd.to_numeric(table["died"], errors="coerce").astype("float64")
    # That nobody here died is known if somebody who is not here has a date of death.
    if not table["death_date"].notna().any() and not register.shows_who_lived:
        return died
    deaths = count_deaths(table, register)
    died = died.fillna(0.0).mask(deaths.counted, 1.0).mask(deaths.after, 0.0)
    return died.mask(deaths.before | deaths.unfollowed)
