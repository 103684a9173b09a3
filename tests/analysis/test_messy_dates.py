"""Dates that cannot be: they would lengthen everybody's follow-up without any sign of it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.errors import DataError, OptionError
from analysis.options import Options
from tests.analysis.small_tables import checked, people


@pytest.mark.parametrize("name", ["death_date", "imaging_date", "censor_date", "fall_date"])
def test_a_date_far_in_the_future_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=rf"{name}: a date more than 2 years after today in 1 of 40 rows"):
        checked(people().assign(**{name: ["2091-01-01", *[None] * 39]}))
    assert checked(people().assign(**{name: ["2018-01-01", *[None] * 39]})).table[name].notna().sum() == 1


def test_the_end_of_follow_up_may_not_be_far_in_the_future() -> None:
    with pytest.raises(OptionError, match="in the future"):
        Options(Path("p"), Path("q"), Path("o"), censor_date="2091-01-01")


def test_imaging_before_the_method_existed_is_missing_and_noted_or_refused_if_frequent() -> None:
    one = checked(people().assign(imaging_date=["1900-01-01", *["2016-05-01"] * 39]))
    assert pd.isna(one.table["imaging_date"][0]) and one.table["imaging_date"].notna().sum() == 39
    assert [(note.where, note.count) for note in one.notes if "imaging_date" in note.where] == [
        ("participants.csv, imaging_date", 1)
    ]
    with pytest.raises(DataError, match="imaging_date: before 1984"):
        checked(people().assign(imaging_date=[*["1900-01-01"] * 10, *["2016-05-01"] * 30]))
