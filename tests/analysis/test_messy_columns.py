"""Columns of the user's own: what could mean two things is asked, and never guessed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.covariate_types import ReadAs, told_types
from analysis.errors import DataError, OptionError
from analysis.fields import read_fields
from analysis.validation import check_participants, check_phenotypes
from tests.analysis.small_tables import images, people


def _typed(values: object, **read_as: ReadAs) -> pd.Series:
    table = people().assign(mine=values)
    return check_participants(table, read_fields(), "participants.csv", also=("mine",), read_as=read_as).table["mine"]


def test_infinite_values_are_missing_and_noted() -> None:
    table = people().assign(mine=[np.inf, -np.inf, *np.linspace(0.5, 5.2, 38)])
    found = check_participants(table, read_fields(), "participants.csv", also=("mine",))
    assert found.table["mine"].notna().sum() == 38
    assert [(note.rule, note.count) for note in found.notes] == [("infinite: set to missing", 2)]


def test_numbers_with_text_among_them_are_refused_with_the_option_that_answers() -> None:
    hours = ["Less than an hour a day", "Do not know", *map(str, range(38))]
    with pytest.raises(
        DataError, match=r"numbers and text \('Less than an hour a day'\).*mine=number,Less than an hour"
    ):
        _typed(hours)
    assert _typed(hours, mine=ReadAs("number", ("Less than an hour a day",))).notna().sum() == 38


def test_codes_of_the_web_questionnaires_among_a_measurement_are_refused() -> None:
    with pytest.raises(DataError, match=r"--read-as mine=number,-818,-121"):
        _typed([-818, -121, *range(38)])


def test_an_answer_that_was_not_given_is_missing_among_numbers() -> None:
    table = people().assign(townsend=["Do not know", "Prefer not to answer", *["1.5"] * 38])
    assert check_participants(table, read_fields(), "p.csv").table["townsend"].notna().sum() == 38


def test_columns_of_the_phenotypes_are_not_guessed_either() -> None:
    coded = images().assign(scanner=[1, 2, 3, 4] * 10, flag="a")
    with pytest.raises(DataError, match="scanner: the values 1, 2, 3, 4 may be codes or numbers"):
        check_phenotypes(coded, "p.csv", also=("scanner",))
    told = check_phenotypes(coded, "p.csv", also=("scanner",), read_as={"scanner": ReadAs("factor")})
    assert told.table["scanner"].tolist()[:4] == ["1", "2", "3", "4"]
    assert check_phenotypes(coded, "p.csv").table["scanner"].tolist()[:4] == [1, 2, 3, 4]


def test_an_answer_that_would_have_no_effect_is_refused() -> None:
    fields = read_fields()
    with pytest.raises(OptionError, match="smokng, which no other option names.*Did you mean smoking"):
        told_types({"smokng": ["factor"]}, ("age", "smoking"), fields)
    with pytest.raises(OptionError, match="smoking=number.*does not know"):
        told_types({"smoking": ["number"]}, ("age", "smoking"), fields)
    with pytest.raises(OptionError, match="smoking=factor,0"):
        told_types({"smoking": ["factor", "0"]}, ("age", "smoking"), fields)
    assert told_types({"smoking": ["factor", "-3"]}, ("smoking",), fields) == {"smoking": ReadAs("factor", ("-3",))}


def test_text_among_the_numbers_of_muscle_fat_is_an_error_of_the_table() -> None:
    with pytest.raises(DataError, match="muscle_dixon_fat_core: text where a number is expected"):
        check_phenotypes(images().assign(muscle_dixon_fat_core=["x", *[0.05] * 39]), "p.csv")


def test_a_column_with_the_name_of_a_computed_outcome_is_not_used_and_said_so() -> None:
    table = people().assign(falls=[0, 1, 2, 3] * 10)
    given = check_participants(table, read_fields(), "participants.csv", also=("falls",))
    assert "falls" not in given.table
    assert [note.where for note in given.notes if "computed from the measurements" in note.rule] == [
        "participants.csv, falls"
    ]
