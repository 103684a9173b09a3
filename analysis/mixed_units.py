"""Find measures of some people that are in pounds while those of the others are in kilograms.

Kilograms times 2.2046 are possible kilograms of somebody else, and the median of everybody stays where it was. Two
signs are left. One is a centre whose median nobody's population reaches. The other is a second peak: above a limit
there are more people than just below it, which no single population shows, and they exceed the others by the factor
of the units. Both only warn, because a study of very heavy people beside others can look alike.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.definitions import label_of
from analysis.plausible import FEWEST, POUNDS_OF_GRIP, POUNDS_OF_LEAN_MASS, POUNDS_OF_WEIGHT
from analysis.text_tables import in_words

__all__ = ["pounds_of_some"]

_POUNDS_PER_KG = 2.2046
# The second peak's median over the first one's: 2.2046 within what two samples of people differ.
_LOWEST_FACTOR, _HIGHEST_FACTOR = 1.9, 2.6
# "Just below the limit" is from the limit over this.
_BAND = 1.2
_FEWEST_IN_PEAK = 10


def pounds_of_some(table: pd.DataFrame) -> tuple[str, ...]:
    """Warnings about measures of some people that are probably in pounds.

    Parameters
    ----------
    table : DataFrame
        Canonical participants, with ``centre`` as text or missing.

    Returns
    -------
    tuple of str
        One sentence or two for each measure that looks so; it names the centres if they are what differs.
    """
    square = (table["height_cm"] / 100) ** 2
    legs = (table["leg_lean_left_kg"] + table["leg_lean_right_kg"]).fillna(table["legs_lean_kg"])
    arms = (table["arm_lean_left_kg"] + table["arm_lean_right_kg"]).fillna(table["arms_lean_kg"])
    asked = {
        "weight": (((table["weight_kg"] / square).fillna(table["bmi"]), POUNDS_OF_WEIGHT),),
        "lean mass": (((legs + arms) / square, POUNDS_OF_LEAN_MASS),),
        "left grip": _by_sex(table, "grip_left_kg"),
        "right grip": _by_sex(table, "grip_right_kg"),
    }
    found = {}
    for name, parts in asked.items():
        if centres := _centres(table["centre"], parts):
            found[name] = f"at {label_of('centre').lower()} {in_words(centres)} only"
        elif people := sum(_second_peak(values, limit) for values, limit in parts):
            found[name] = f"of at least {people} people"
    return tuple(_sentence(name, whose) for name, whose in found.items())


def _by_sex(table: pd.DataFrame, hand: str) -> tuple[tuple[pd.Series, float], ...]:
    return tuple((table[hand].where(table["sex"] == sex), limit) for sex, (_, limit) in POUNDS_OF_GRIP.items())


def _centres(centre: pd.Series, parts: tuple[tuple[pd.Series, float], ...]) -> list[str]:
    """Centres of enough people whose median is above the limit."""
    above: dict[str, None] = {}
    for values, limit in parts:
        known = values.dropna()
        medians = known.groupby(centre.astype("string")[known.index], sort=True).agg(["median", "size"])
        above |= dict.fromkeys(map(str, medians.index[(medians["median"] > limit) & (medians["size"] >= FEWEST)]))
    return list(above)


def _second_peak(values: pd.Series, limit: float) -> int:
    """People above the limit, if they are a peak of their own at about 2.2 times the others; else 0."""
    known = values.dropna().to_numpy(dtype=float)
    above, below = known[known > limit], known[known <= limit]
    just_below = int((below > limit / _BAND).sum())
    if len(above) < _FEWEST_IN_PEAK or len(above) <= just_below:
        return 0
    factor = float(np.median(above) / np.median(below)) if len(below) else 0.0
    return len(above) if _LOWEST_FACTOR < factor < _HIGHEST_FACTOR else 0


def _sentence(name: str, whose: str) -> str:
    return (
        f"The {name} {whose} is probably in pounds: it is about twice that of the others. If so, divide it by "
        f"{_POUNDS_PER_KG} to give kg, and run the analysis again. Nothing was changed."
    )
