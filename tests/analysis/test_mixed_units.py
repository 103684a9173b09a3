"""Total muscle volumes of some people in another unit than those of the others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.cohort import build_cohort
from analysis.errors import DataError
from analysis.mixed_units import pounds_of_some
from analysis.validation import check_phenotypes
from tests.analysis.small_tables import checked, images, people


@pytest.mark.parametrize(("factor", "unit"), [(1e-3, "litres"), (1e3, "mm3")])
def test_some_volumes_in_another_unit_are_refused_and_a_single_one_is_missing(factor: float, unit: str) -> None:
    mixed = images()
    mixed.loc[:14, "tmv_cm3"] *= factor
    with pytest.raises(DataError, match=f"tmv_cm3: values of {unit} among those of cm3 in 15 of 40 rows"):
        check_phenotypes(mixed, "p.csv")
    one = images()
    one.loc[3, "tmv_cm3"] *= factor
    found = check_phenotypes(one, "p.csv")
    assert np.isnan(found.table["tmv_cm3"][3]) and found.table["tmv_cm3"].notna().sum() == 39
    assert [note.count for note in found.notes if "tmv_cm3" in note.where] == [1]


def test_pounds_are_refused_where_no_other_column_shows_them() -> None:
    table = people(200).assign(weight_kg=lambda t: t["weight_kg"] * 2.2046)
    with pytest.raises(DataError, match="weight_kg: BMI of weight and height has the median 5.*pounds"):
        checked(table)
    lean = [name for name in table if "lean" in name]
    with pytest.raises(DataError, match="lean mass: over squared height it has the median 1.*pounds"):
        checked(people(200).assign(**{name: people(200)[name] * 2.2046 for name in lean}))
    women = people(200).assign(sex="F", grip_left_kg=52.0, grip_right_kg=54.0)
    with pytest.raises(DataError, match="grip_left_kg: median of women 52, values of pounds"):
        checked(women)


_LEAN = ["arm_lean_left_kg", "arm_lean_right_kg", "leg_lean_left_kg", "leg_lean_right_kg"]
_POUNDS = 2.2046


def _spread(n: int = 1000) -> pd.DataFrame:
    """People with BMI, grip and lean mass as wide as the published ones, at three centres."""
    rng = np.random.default_rng(8)
    man = np.arange(n) % 2 == 1
    table = people(n).assign(height_cm=np.where(man, 176, 163) + rng.normal(0, 6, n))
    table["weight_kg"] = np.exp(rng.normal(np.log(26), 0.18, n)) * (table["height_cm"] / 100) ** 2
    for hand in ("grip_left_kg", "grip_right_kg"):
        table[hand] = (np.where(man, 39, 24) + rng.normal(0, np.where(man, 8.9, 6.1))).clip(4)
    lean = (np.where(man, 8.2, 6.5) + rng.normal(0, 0.95, n)) * (table["height_cm"] / 100) ** 2
    table[_LEAN] = lean.to_numpy()[:, None] * np.array([0.125, 0.125, 0.375, 0.375])
    table["centre"] = rng.choice(["Cheadle", "Newcastle", "Reading"], n, p=[0.6, 0.37, 0.03])
    return table


def _said(table: pd.DataFrame) -> tuple[str, ...]:
    return pounds_of_some(checked(table).table)


@pytest.mark.parametrize(
    ("columns", "name"),
    [(["weight_kg"], "weight"), (_LEAN, "lean mass"), (["grip_left_kg"], "left grip"),
     (["grip_right_kg"], "right grip")],
)  # fmt: skip
def test_a_centre_that_weighs_in_pounds_is_named(columns: list[str], name: str) -> None:
    table = _spread(2000)  # some 60 of them at Reading
    table.loc[table["centre"] == "Reading", columns] *= _POUNDS
    (said,) = _said(table)
    assert said.startswith(f"The {name} at centre Reading only is probably in pounds")


@pytest.mark.parametrize(("share", "columns", "name"), [(0.03, ["weight_kg"], "weight"), (0.08, _LEAN, "lean mass"),
                                                        (0.3, ["grip_left_kg"], "left grip")])  # fmt: skip
def test_pounds_of_some_people_are_a_second_peak(share: float, columns: list[str], name: str) -> None:
    table = _spread().drop(columns="centre")
    table.loc[np.random.default_rng(1).random(len(table)) < share, columns] *= _POUNDS
    (said,) = _said(table)
    assert said.startswith(f"The {name} of at least ") and "Nothing was changed." in said


def test_heavy_strong_and_unlike_people_alone_are_no_pounds() -> None:
    table = _spread()
    assert _said(table) == ()
    heavy = table.assign(weight_kg=table["weight_kg"] * 1.4)  # a median BMI of 36, and 8% above 48
    assert _said(heavy) == ()
    patients = np.random.default_rng(2).normal(45, 6, 400) * (table["height_cm"][:400] / 100) ** 2
    beside = table.assign(weight_kg=[*patients, *table["weight_kg"][400:]])  # bariatric patients beside others
    assert _said(beside) == ()


def test_pounds_of_some_are_said_at_the_top_and_not_refused() -> None:
    table = _spread(200)
    table["centre"] = np.where(np.arange(200) < 40, "Reading", "Cheadle")
    table.loc[:39, "weight_kg"] *= _POUNDS
    cohort = build_cohort(checked(table), check_phenotypes(images(200), "p.csv"), covariates=("age", "bmi"))
    assert ["Reading only is probably in pounds" in said for said in cohort.warnings] == [True]


def test_weights_in_stones_are_refused_by_name() -> None:
    table = people(200)
    table.loc[:5, "weight_kg"] /= 6.35029
    with pytest.raises(DataError, match="weight_kg: values of stones where kg is expected in 6 of 200 rows"):
        checked(table)
