"""The descriptive tables: Table 1, concordance, and measures by age (method, section 7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.definitions import BY_AGE, OUTCOMES
from analysis.limits_of_agreement import agreement, line_and_limits
from analysis.trend import AGE_GROUPS, Bends, age_group, cochran_armitage, decline_per_decade, trend_as_printed

__all__ = ["MEASURES", "PAIRS", "age_groups", "concordance", "decline", "table_one", "trend"]

# Column, label with unit, decimals.
MEASURES: dict[str, tuple[str, int]] = {
    "age": ("Age, years", 1),
    "bmi": ("BMI, kg/m²", 1),
    "height_cm": ("Height, cm", 1),
    "weight_kg": ("Weight, kg", 1),
    "grip_kg": ("Grip strength, kg", 1),
    "tmv_cm3": ("Total muscle volume, cm³", 1),
    "tvi_cm3_per_cm2": ("Total volume index, cm³/cm²", 3),
    "almi": ("ALMI, kg/m²", 2),
    "leg_lean_kg": ("Leg lean mass, kg", 2),
    "pa_ratio": ("P/A ratio", 3),
    "lr_asymmetry_dexa": ("L/R asymmetry (DXA)", 3),
    "lr_asymmetry_mri": ("L/R asymmetry (MRI)", 3),
    "specific_strength_kg_per_l": ("Grip per muscle volume, kg/L", 2),
}
# What Table 1 calls an outcome that it words in its own way; the others keep their names.
_SHARES = {
    "sarcopenia": "Confirmed sarcopenia",
    "probable_sarcopenia": "Probable sarcopenia",
    "low_muscle_mass": "Low muscle mass",
    "weak_grip": "Weak grip",
    "mortality": "Died",
    "falls": "Fell in the last year",
}
_SHARES |= {name: label for name, label in OUTCOMES.items() if name not in _SHARES}
_DECLINES = ("almi", "tmv_cm3", "tvi_cm3_per_cm2", "grip_kg", "pa_ratio")
# Muscle, as in Ward et al., Clin Orthop Relat Res 2009;467:1074-1082. Ward & Lieber, J Biomech 2005;38:2317-2320,
# measured 1.055 in muscle fixed in 37% formaldehyde.
_DENSITY_KG_PER_L = 1.056
# First measure, second measure, factor that converts the first to the second's unit, title.
PAIRS = (
    ("tmv_cm3", "leg_lean_kg", _DENSITY_KG_PER_L / 1000, "TMV with DXA leg lean mass"),
    ("tvi_cm3_per_cm2", "almi", _DENSITY_KG_PER_L * 10, "TVI with ALMI"),
    ("lr_asymmetry_mri", "lr_asymmetry_dexa", 1.0, "L/R asymmetry, MRI with DXA"),
)
# The same for AMRA's volumes, where the participants have them. Its groups of muscles are wider than ours, so only
# the correlations are about agreement.
AMRA_PAIRS = (
    ("pa_ratio", "amra_pa_ratio", 1.0, "P/A ratio with AMRA's"),
    ("thigh_cm3", "amra_thigh_cm3", 1.0, "Thigh muscle volume with AMRA's"),
    ("lr_asymmetry_mri", "amra_asymmetry", 1.0, "L/R asymmetry, MRI with AMRA's"),
)


def table_one(table: pd.DataFrame) -> pd.DataFrame:
    """Characteristics of everyone, of men and of women.

    Returns
    -------
    DataFrame
        ``variable, label, statistic`` ("mean, sd" or "n, percent"); for
        everyone, men and women each ``_n`` (known values), ``_first`` and
        ``_second`` (the two statistics); and ``standardised_difference`` of
        men against women (difference over the root mean square SD; Austin,
        Stat Med 2009;28:3083-3107).
    """
    table = table[[*dict.fromkeys(["sex", *MEASURES, *_SHARES, "activity"])]]
    groups = {"all": table, "men": table[table["sex"] == "M"], "women": table[table["sex"] == "F"]}
    rows: list[dict[str, object]] = [
        {"variable": "participants", "label": "Participants", "statistic": "n, percent"}
        | {f"{who}_n": len(part) for who, part in groups.items()}
        | {f"{who}_first": len(part) for who, part in groups.items()}
        | {f"{who}_second": 100 * len(part) / len(table) for who, part in groups.items()}
    ]
    for name, (label, _) in MEASURES.items():
        row: dict[str, object] = {"variable": name, "label": label, "statistic": "mean, sd"}
        for who, part in groups.items():
            values = part[name].dropna()
            row |= {f"{who}_n": len(values), f"{who}_first": values.mean(), f"{who}_second": values.std()}
        rows.append(row | {"standardised_difference": _difference(row)})
    shares = {name: (label, table[name]) for name, label in _SHARES.items()}
    for level in ("low", "moderate", "high"):
        known = table["activity"].notna()
        shares[f"activity_{level}"] = (f"Activity {level}", (table["activity"] == level).astype(float).where(known))
    for name, (label, values) in shares.items():
        row = {"variable": name, "label": label, "statistic": "n, percent"}
        for who, part in groups.items():
            here = values[part.index].dropna()
            share = float(here.mean()) if len(here) else float("nan")
            row |= {f"{who}_n": len(here), f"{who}_first": float(here.sum()), f"{who}_second": 100 * share}
        p, q = float(str(row["men_second"])) / 100, float(str(row["women_second"])) / 100
        spread = np.sqrt((p * (1 - p) + q * (1 - q)) / 2)
        rows.append(row | {"standardised_difference": (p - q) / spread if spread > 0 else float("nan")})
    return pd.DataFrame(rows)


def concordance(table: pd.DataFrame) -> pd.DataFrame:
    """MRI compared with DXA, for everyone and by sex.

    Pearson (with Fisher's interval) and Spearman use the measures in their own
    units. Lin's coefficient, bias and limits of agreement need a common unit, so
    muscle volume is converted to mass with 1.056 kg/L. They then show how much of
    the lean mass is in the muscles that MRI measures, which is not all of it.
    """
    rows = []
    second_measure = [pair for pair in AMRA_PAIRS if pair[0] in table and table[pair[1]].notna().any()]
    for first, second, factor, label in (*PAIRS, *second_measure):
        for who, part in _by_sex(table[["sex", first, second]]):
            x, y = part[first].to_numpy(dtype=float), part[second].to_numpy(dtype=float)
            plain, converted = agreement(x, y), line_and_limits(factor * x, y)
            rows.append(
                {"comparison": label, "first": first, "second": second, "sex": who, "n": plain.n}
                | {"pearson": plain.pearson, "ci_low": plain.pearson_low, "ci_high": plain.pearson_high}
                | {"spearman": plain.spearman, "slope": plain.slope, "intercept": plain.intercept}
                | {"lin_concordance": converted.concordance, "bias": converted.bias}
                | {"limit_low": converted.limit_low, "limit_high": converted.limit_high}
            )
    return pd.DataFrame(rows)


def decline(table: pd.DataFrame, structures: Sequence[str] = ()) -> pd.DataFrame:
    """Change per decade of age by sex, for the main measures and every structure's volume."""
    rows = []
    masks = [(who, (table["sex"] == who).to_numpy(dtype=bool)) for who in ("M", "F")]
    who_is = [(who, mask, Bends()) for who, mask in masks if mask.any()]
    age = table["age"].to_numpy(dtype=float)
    for name in [*_DECLINES, *(f"{structure}_cm3" for structure in structures)]:
        values = table[name].to_numpy(dtype=float)
        for who, mask, bends in who_is:
            rows.append({"measure": name, "sex": who, **vars(decline_per_decade(values[mask], age[mask], bends))})
    return pd.DataFrame(rows)


def trend(
    table: pd.DataFrame, outcomes: Sequence[str] = ("low_muscle_mass", "weak_grip", "sarcopenia")
) -> pd.DataFrame:
    """Share with an outcome by age group, with the Cochran-Armitage test over the groups."""
    groups = age_group(table["age"])
    rows = []
    for outcome in outcomes:
        for who, part in _by_sex(table[["sex", outcome]]):
            known = part[part[outcome].notna()]
            by = known.groupby(groups[known.index], observed=False)[outcome]
            totals, events = by.size().to_numpy(dtype=float), by.sum().to_numpy(dtype=float)
            test, printed = cochran_armitage(events, totals), trend_as_printed(events, totals)
            for group, total, count in zip(AGE_GROUPS, totals, events, strict=True):
                if total:
                    rows.append(
                        {"outcome": outcome, "sex": who, "age_group": group, "n": int(total), "events": int(count)}
                        | {"percent": 100 * count / total, "chi_square": test.statistic, "p_trend": test.p_value}
                        | {"z_as_printed": printed}
                    )
    return pd.DataFrame(rows)


def age_groups(table: pd.DataFrame) -> pd.DataFrame:
    """Number, median and quartiles of each measure by age group and sex."""
    groups = age_group(table["age"])
    rows = []
    for name in BY_AGE:
        for who, part in _by_sex(table[["sex", name]])[1:]:
            for group, values in part[name].groupby(groups[part.index], observed=True):
                known = values.dropna()
                if len(known):
                    low, median, high = known.quantile([0.25, 0.5, 0.75])
                    rows.append(
                        {"measure": name, "sex": who, "age_group": group, "n": len(known)}
                        | {"median": median, "quartile_low": low, "quartile_high": high}
                    )
    return pd.DataFrame(rows)


def _by_sex(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    parts = [("all", table), ("M", table[table["sex"] == "M"]), ("F", table[table["sex"] == "F"])]
    return [(who, part) for who, part in parts if len(part)]


def _difference(row: dict[str, object]) -> float:
    first, second = float(str(row["men_first"])), float(str(row["women_first"]))
    spread = np.sqrt((float(str(row["men_second"])) ** 2 + float(str(row["women_second"])) ** 2) / 2)
    # A constant has a spread of rounding errors.
    return float((first - second) / spread) if spread > 1e-9 * (abs(first) + abs(second)) else float("nan")
