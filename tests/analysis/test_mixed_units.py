"""Total muscle volumes of some people in another unit than those of the others."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.errors import DataError
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
