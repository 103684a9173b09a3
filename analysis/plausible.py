"""Refuse columns whose values are possible but cannot be what their name says, and name the likely cause.

Each check compares a median with the published values (method, section 1), by
sex where the sexes differ, with wide margins: it detects another unit, an
inverted ratio and exchanged codes, not an unusual population.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.problems import Problems

__all__ = [
    "FEWEST",
    "POUNDS_OF_GRIP",
    "POUNDS_OF_LEAN_MASS",
    "POUNDS_OF_WEIGHT",
    "check_dates",
    "check_measurements",
    "check_phenotype_ranges",
    "check_sexes",
]

# With fewer known values of a sex, its median says too little.
FEWEST = 20
# A ratio of 0.45 in per cent is 45; inverted it is 2.2. An asymmetry of 0.03 in per cent is 3.
_HIGHEST_RATIO, _LOWEST_PER_CENT, _HIGHEST_ASYMMETRY = 1.0, 10.0, 0.5
# Share by which a ratio may differ from that of its own two volumes.
_RATIO_TOLERANCE = 0.02
# Medians that no population reaches in kg, and that pounds give.
POUNDS_OF_GRIP = {"M": ("men", 62.0), "F": ("women", 42.0)}
POUNDS_OF_WEIGHT, POUNDS_OF_LEAN_MASS = 48.0, 11.5  # over squared height, kg/m2
_TO_KG = "Divide by 2.2046 to give kg."
# Medians of total muscle volume outside these are of other muscles than the 25, or of one side.
_USUAL_VOLUME_CM3 = (4_000, 20_000)
# Total muscle volumes outside these are in litres or mm3.
_LOWEST_VOLUME_CM3, _HIGHEST_VOLUME_CM3 = 100, 100_000
# More people than this with a ratio above 1 are no failed segmentations: some ratios are inverted.
_MIXED_SHARE, _FEWEST_MIXED = 0.05, 10
# The first Dixon image was published in 1984 (Dixon, Radiology 1984;153:189-194).
_FIRST_IMAGE = pd.Timestamp(1984, 1, 1)
_EARLY_SHARE = 0.05
# Dates further ahead than this are mistakes. Nearer ones may be a planned end of follow-up, or a wrong clock.
_YEARS_AHEAD = 2
# Women above men by this many SD. The sexes differ by about 2 SD the other way round.
_REVERSED = 0.5


def check_phenotype_ranges(table: pd.DataFrame, problems: Problems) -> None:
    """Check units and directions of phenotypes: volumes in cm3, P/A as posterior over anterior, fractions."""
    tmv = table["tmv_cm3"]
    if tmv.notna().any() and tmv.median() < _LOWEST_VOLUME_CM3:
        problems.add("tmv_cm3", "values of litres", tmv < _LOWEST_VOLUME_CM3, "Multiply by 1000 to give cm3.")
    if tmv.median() > _HIGHEST_VOLUME_CM3:
        problems.add("tmv_cm3", "values of mm3", tmv > _HIGHEST_VOLUME_CM3, "Divide by 1000 to give cm3.")
    for unit, there, remedy in (
        ("litres", tmv < _LOWEST_VOLUME_CM3, "Multiply them by 1000 to give cm3."),
        ("mm3", tmv > _HIGHEST_VOLUME_CM3, "Divide them by 1000 to give cm3."),
    ):
        if not _LOWEST_VOLUME_CM3 <= tmv.median() <= _HIGHEST_VOLUME_CM3 or not there.any():
            continue  # all values are in another unit, as said above
        if there.sum() > max(1, _MIXED_SHARE * tmv.notna().sum()):
            problems.add("tmv_cm3", f"values of {unit} among those of cm3", there, remedy)
        else:
            problems.note("tmv_cm3", f"a volume that nobody has, perhaps {unit}: set to missing", there)
            table["tmv_cm3"] = table["tmv_cm3"].mask(there)
    low, high = _USUAL_VOLUME_CM3
    if _LOWEST_VOLUME_CM3 <= tmv.median() < low or high < tmv.median() <= _HIGHEST_VOLUME_CM3:
        rule = f"median {tmv.median():.0f} cm3 (published: 9322): are these the muscles of both sides?"
        problems.note("tmv_cm3", rule, tmv.notna())
    for name in ("pa_ratio", "pa_ratio_left", "pa_ratio_right"):
        if name in table.columns:
            _check_ratio(table[name], name, problems)
    for name in table.columns:
        if name.endswith(("_asymmetry", "_fraction")) or name == "lr_asymmetry":
            values = table[name]
            if values.notna().any() and (values.median() > _HIGHEST_ASYMMETRY or (values > 1).mean() > 0.01):
                problems.refuse(
                    name,
                    f"median {values.median():.3g}, values of per cent where a fraction is expected",
                    f"Divide {name} by 100.",
                )
    if {"hamstrings_cm3", "quadriceps_cm3"} <= set(table.columns):
        expected = table["hamstrings_cm3"] / table["quadriceps_cm3"]
        wrong = (table["pa_ratio"] / expected - 1).abs() > _RATIO_TOLERANCE
        if wrong.sum() > 0.01 * max(1, int((table["pa_ratio"].notna() & expected.notna()).sum())):
            problems.add(
                "pa_ratio",
                "not hamstrings_cm3 over quadriceps_cm3",
                wrong,
                "Compute it as posterior over anterior, or remove the two volumes if they are other muscles.",
            )


def check_dates(table: pd.DataFrame, names: Sequence[str], problems: Problems) -> None:
    """Refuse dates far in the future, and set days of imaging that are before the method existed to missing.

    One death in 2091 would give everybody a follow-up of 70 years.
    """
    latest = pd.Timestamp.today() + pd.DateOffset(years=_YEARS_AHEAD)
    for name in names:
        future = table[name] > latest
        if future.any():
            rule = f"a date more than {_YEARS_AHEAD} years after today"
            problems.add(name, rule, future, "Correct it, or leave it empty where nothing happened.")
    early = table["imaging_date"] < _FIRST_IMAGE
    rule = f"before {_FIRST_IMAGE.year}, when nobody had Dixon images"
    if early.sum() > max(1, _EARLY_SHARE * table["imaging_date"].notna().sum()):
        problems.add("imaging_date", rule, early, "Give the day of imaging.")
    elif early.any():
        problems.note("imaging_date", f"{rule}: set to missing", early)
        table["imaging_date"] = table["imaging_date"].mask(early)


def check_measurements(table: pd.DataFrame, problems: Problems) -> None:
    """Check units that their range alone does not detect."""
    for hand in ("grip_left_kg", "grip_right_kg"):
        for sex, (who, limit) in POUNDS_OF_GRIP.items():
            grip = table.loc[table["sex"] == sex, hand].dropna()
            if len(grip) >= FEWEST and grip.median() > limit:
                problems.refuse(hand, f"median of {who} {grip.median():.3g}, values of pounds", _TO_KG)
                break
    square = (table["height_cm"] / 100) ** 2
    legs = (table["leg_lean_left_kg"] + table["leg_lean_right_kg"]).fillna(table["legs_lean_kg"])
    arms = (table["arm_lean_left_kg"] + table["arm_lean_right_kg"]).fillna(table["arms_lean_kg"])
    for name, found, mass, limit in (
        ("weight_kg", "BMI of weight and height has the median", table["weight_kg"], POUNDS_OF_WEIGHT),
        ("lean mass", "over squared height it has the median", legs + arms, POUNDS_OF_LEAN_MASS),
    ):
        ratio = (mass / square).dropna()
        if len(ratio) >= FEWEST and ratio.median() > limit:
            problems.refuse(name, f"{found} {ratio.median():.3g}, values of pounds", _TO_KG)
    litres = {"amra_anterior_right_l", "amra_anterior_left_l"}
    if table[[*litres]].notna().all(axis=1).any():
        front = table["amra_anterior_right_l"] + table["amra_anterior_left_l"]
        back = table["amra_posterior_right_l"] + table["amra_posterior_left_l"]
        ratio = (back / front).median()
        # AMRA's posterior group includes gluteal muscles and adductors, so it is the larger one in everybody.
        if np.isfinite(ratio) and ratio < 1:
            problems.refuse(
                "amra_anterior_*, amra_posterior_*",
                f"posterior over anterior volume has the median {ratio:.2f}; AMRA's is near 1.8",
                "Check the fields: 22403 and 22405 are anterior, 22404 and 22406 posterior.",
            )


def check_sexes(table: pd.DataFrame, problems: Problems) -> None:
    """Check that men are taller, stronger and have more muscle. If not, the codes of sex are exchanged."""
    men, women = table["sex"] == "M", table["sex"] == "F"
    shown = []
    for name, label in (
        ("height_cm", "height"),
        ("grip_right_kg", "grip"),
        ("leg_lean_left_kg", "leg lean mass"),
        ("tmv_cm3", "muscle volume"),
    ):
        if name not in table.columns:
            continue
        first, second = table.loc[men, name].dropna(), table.loc[women, name].dropna()
        if min(len(first), len(second)) >= FEWEST:
            spread = pd.concat([first, second]).std()
            shown.append((label, bool(second.median() - first.median() > _REVERSED * spread)))
    reversed_ones = [label for label, lower in shown if lower]
    if len(reversed_ones) >= 2 or (len(shown) == 1 and reversed_ones):
        problems.refuse(
            "sex",
            f"men have less {' and '.join(reversed_ones)} than women, so the codes are probably exchanged",
            "Check the codes of sex: in UK Biobank 0 is female and 1 is male.",
        )


def _check_ratio(values: pd.Series, name: str, problems: Problems) -> None:
    median = values.median()
    if not np.isfinite(median):
        return
    if median <= _HIGHEST_RATIO:
        above = values > _HIGHEST_RATIO
        if above.sum() > max(_FEWEST_MIXED, _MIXED_SHARE * values.notna().sum()):
            problems.add(name, "values above 1, probably anterior over posterior", above,
                         f"Give hamstrings over quadriceps in every row: 1 / {name}.")  # fmt: skip
        return
    if median >= _LOWEST_PER_CENT:
        problems.refuse(name, f"median {median:.3g}, values of per cent where a ratio is expected", "Divide by 100.")
    else:
        problems.refuse(
            name,
            f"median {median:.3g}, probably anterior over posterior (published: 0.45)",
            f"Give hamstrings over quadriceps: 1 / {name}.",
        )
