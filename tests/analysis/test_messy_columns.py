"""Columns of the user's own: what could mean two things is asked, and never guessed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.covariate_types import ReadAs, told_types
from analysis.design import Covariates
from analysis.errors import DataError, OptionError
from analysis.fields import read_fields
from analysis.tables import read_table
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


@pytest.mark.parametrize("word", ["NA", "na ", ".", "n/a", "NULL", "missing", "NaN", " "])
def test_words_for_missing_are_no_level_of_a_factor_and_no_text_among_numbers(word: str) -> None:
    found = _typed([word, *["city", "village", "town"] * 13])
    assert found.isna().tolist() == [True] + [False] * 39
    assert Covariates(pd.DataFrame({"mine": found}), ("mine",)).names == ("mine=town", "mine=village")
    assert _typed([word, *map(str, np.linspace(0.5, 5.2, 39))]).notna().sum() == 39
    table = people().assign(height_cm=[word, *["170.5"] * 39], imaging_date=[word, *["2016-05-01"] * 39])
    table["smoking"] = [word, *["never"] * 39]
    read = check_participants(table, read_fields(), "p.csv").table
    assert read[["height_cm", "imaging_date", "smoking"]].notna().sum().tolist() == [39, 39, 39]


def test_none_is_a_level_of_the_users_own_factor_and_missing_elsewhere(tmp_path: Path) -> None:
    table = people().assign(mine=["None", "mild"] * 20, height_cm=["None", *["170"] * 39])
    table.to_csv(tmp_path / "p.csv", index=False)
    read = check_participants(read_table(tmp_path / "p.csv"), read_fields(), "p.csv", also=("mine",)).table
    assert read["mine"].value_counts().to_dict() == {"None": 20, "mild": 20}
    assert read["height_cm"].notna().sum() == 39


@pytest.mark.parametrize(
    ("codes", "asked"), [([-9], "-9"), ([-1, -3], "-3,-1"), ([999], "999"), ([-99, 9999], "-99,9999")]
)
def test_codes_for_missing_among_a_measurement_with_decimals_are_refused(codes: list[int], asked: str) -> None:
    values = [*codes, *np.linspace(0.1, 9.7, 40 - len(codes)).round(2)]
    with pytest.raises(DataError, match=f"--read-as mine=number,{asked} "):
        _typed(values)
    known = _typed(values, mine=ReadAs("number", tuple(asked.split(","))))
    assert known.notna().sum() == 40 - len(codes)


def test_measurements_that_happen_to_be_negative_or_large_are_numbers() -> None:
    for values in (np.linspace(-3, 3, 40), np.arange(-20.0, 20.0), np.linspace(60, 99, 40), np.linspace(1, 999, 40)):
        np.testing.assert_array_equal(_typed(values), values)


def test_codes_that_mean_missing_may_be_written_with_decimals_and_a_forgotten_one_is_noted() -> None:
    table = people().assign(mine=[-3, -3, -1, *range(37)])
    for told, kept, notes in (("-3.0", 38, [("-1: read as a number", 1)]), ("-1", 39, [("-3: read as a number", 2)])):
        read_as = {"mine": ReadAs("number", (told,))}
        found = check_participants(table, read_fields(), "p.csv", also=("mine",), read_as=read_as)
        assert found.table["mine"].notna().sum() == kept
        assert [(note.rule, note.count) for note in found.notes] == notes
