"""Columns of 0 and 1 as other software writes them."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from analysis.asked_columns import check_kinds
from analysis.cohort import Cohort, build_cohort
from analysis.covariate_types import ReadAs
from analysis.errors import DataError
from analysis.fields import read_fields
from analysis.validation import check_participants, check_phenotypes
from analysis.values import is_yes
from tests.analysis.small_tables import checked, images, people

_FORMS = [
    [1, 0],
    [1.0, 0.0],
    [True, False],
    ["True", "False"],
    ["TRUE", "false"],
    ["Yes", "NO"],
    ["1", "no"],
]


def _cohort(values: list[object], where: str = "people", told: str = "") -> Cohort:
    tables = {"people": people(60), "images": images(60)}
    tables[where]["frail"] = (values * 60)[:60]
    read_as = {"frail": ReadAs(told)} if told else {}
    first = check_participants(tables["people"], read_fields(), "p.csv", also=("frail",), read_as=read_as)
    second = check_phenotypes(tables["images"], "i.csv", also=("frail",), read_as=read_as)
    return build_cohort(first, second, covariates=(), outcomes=("frail",))


@pytest.mark.parametrize("where", ["people", "images"])
@pytest.mark.parametrize("values", _FORMS)
def test_an_outcome_may_be_true_and_false_or_yes_and_no(values: list[object], where: str) -> None:
    assert _cohort(values, where).analysed["frail"].tolist() == [1.0, 0.0] * 30
    assert _cohort([*values, None], where).analysed["frail"].fillna(-1).tolist() == [1.0, 0.0, -1.0] * 20


def test_an_outcome_that_was_told_to_be_a_factor_is_read_too() -> None:
    assert _cohort(["yes", "no"], told="factor").analysed["frail"].tolist() == [1.0, 0.0] * 30


@pytest.mark.parametrize(
    ("values", "says"),
    [(["T", "F"], "'T', 'F'"), (["y", "n"], "'y', 'n'"), (["yes", "perhaps", "no"], "'perhaps'"),
     (["case", "control"], "'case', 'control'"), ([0.5, 1.0, 0.0] + [0.1 * i for i in range(20)], "'0.5'")],
)  # fmt: skip
def test_an_outcome_of_other_words_or_numbers_is_refused_with_what_was_found(values: list[object], says: str) -> None:
    with pytest.raises(DataError, match=rf"frail: values other than 0 and 1 \(.*{says}.*true or false, yes or no"):
        _cohort(values)


def test_a_measurement_as_an_outcome_is_refused_at_once() -> None:
    """The message quotes few values, and looking for them took minutes in a large cohort."""
    table = pd.DataFrame({"x": np.arange(30_000) / 7})
    begun = time.process_time()
    with pytest.raises(DataError, match=r"column x: values other than 0 and 1 \(.* and 29994 more\)"):
        check_kinds(table, (), ("x",), ())
    assert time.process_time() - begun < 3


@pytest.mark.parametrize("values", _FORMS[2:6])
def test_died_and_falls_are_read_in_the_same_forms(values: list[object]) -> None:
    table = checked(people(60).assign(died=values * 30, falls_last_year=values * 30)).table
    assert table["died"].tolist() == ["1", "0"] * 30
    assert table["falls_last_year"].tolist() == ["2", "1"] * 30  # one fall or more, none


def test_falls_of_0_and_1_are_refused_because_1_is_no_fall_in_the_field() -> None:
    with pytest.raises(DataError, match="falls_last_year: an unknown code .'0'."):
        checked(people(60).assign(falls_last_year=[0, 1] * 30))


@pytest.mark.parametrize("mark", [True, "TRUE", "yes", 1, 1.0, "1"])
def test_synthetic_people_are_said_however_they_are_marked(mark: object) -> None:
    pictures = images(60).assign(synthetic=mark)
    cohort = build_cohort(checked(people(60)), check_phenotypes(pictures, "i.csv"), covariates=())
    assert cohort.synthetic and "Every participant is synthetic" in cohort.warnings[0]
    assert is_yes(pd.Series([mark, None])).tolist() == [True, False]


@pytest.mark.parametrize("mark", [True, "TRUE", 1])
def test_a_network_trained_on_synthetic_images_is_said_however_it_is_marked(mark: object) -> None:
    about = {"model_name": "demo", "model_training_data": "Made up.", "model_intended_use": "Tests."}
    pictures = images(60).assign(**about, model_trained_on_synthetic=mark)
    cohort = build_cohort(checked(people(60)), check_phenotypes(pictures, "i.csv"), covariates=())
    assert cohort.warnings == ("Volumes of 60 of 60 participants are those of demo. Made up. Tests.",)
