"""Measures in both tables, or of a kind that cannot be what was asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.cohort import build_cohort
from analysis.describe import trend
from analysis.errors import DataError
from analysis.fields import read_fields
from analysis.options import Options
from analysis.run import load_cohort
from analysis.validation import Checked, check_participants, check_phenotypes
from tests.analysis.small_tables import checked, images, people


def _people(table: pd.DataFrame, *also: str) -> Checked:
    return check_participants(table, read_fields(), "participants.csv", also=also)


@pytest.mark.parametrize(
    ("name", "says"), [("sex", "2 different texts"), ("imaging_date", "dates"), ("eid", "identifiers")]
)
def test_an_exposure_that_is_no_measure_is_refused(name: str, says: str) -> None:
    table = people().assign(imaging_date="2016-05-01")
    with pytest.raises(DataError, match=f"column {name}: {says} as an exposure"):
        build_cohort(_people(table, name), check_phenotypes(images(), "p.csv"), exposures=(name,), covariates=())


@pytest.mark.parametrize("name", ["eid", "imaging_date"])
def test_identifiers_and_dates_are_no_covariates(name: str) -> None:
    table = people().assign(imaging_date="2016-05-01")
    with pytest.raises(DataError, match=f"column {name}: .* as a covariate"):
        build_cohort(_people(table), check_phenotypes(images(), "p.csv"), covariates=("age", name))


def test_a_measure_of_both_tables_is_that_of_the_phenotypes_and_refused_if_they_differ() -> None:
    mri = images().sample(frac=1, random_state=1)
    same = people().merge(images()[["eid", "pa_ratio"]].round(5), on="eid")
    cohort = build_cohort(_people(same, "pa_ratio"), check_phenotypes(mri, "p.csv"), covariates=())
    assert cohort.analysed.set_index("eid")["pa_ratio"].equals(images().set_index("eid")["pa_ratio"])
    assert "pa_ratio" not in cohort.sources
    other = same.assign(pa_ratio=same["pa_ratio"][::-1].to_numpy())
    with pytest.raises(DataError, match="column pa_ratio is in both tables, other values for 40 of 40 people"):
        build_cohort(_people(other, "pa_ratio"), check_phenotypes(mri, "p.csv"), covariates=())


def test_the_notes_of_a_clean_table_are_empty() -> None:
    assert not checked(people()).notes and not check_phenotypes(images(), "p.csv").notes


def test_a_date_modifies_nothing_and_is_no_site(tmp_path: Path) -> None:
    people().assign(imaging_date="2016-05-01").to_csv(tmp_path / "p.csv", index=False)
    images().to_csv(tmp_path / "m.csv", index=False)
    options = Options(tmp_path / "m.csv", tmp_path / "p.csv", tmp_path / "o")
    for asked in (replace(options, interactions=("imaging_date",)), replace(options, sites=("imaging_date",))):
        with pytest.raises(DataError, match="column imaging_date: dates as a covariate"):
            load_cohort(asked)


def test_people_too_young_for_a_group_of_age_are_noted() -> None:
    table = people().assign(age=[25.0] * 3 + [60.0] * 37)
    cohort = build_cohort(_people(table), check_phenotypes(images(), "p.csv"), covariates=(), min_age=18)
    assert trend(cohort.analysed).groupby(["outcome", "sex"])["n"].sum()["weak_grip", "all"] == 37
    assert [(note.where, note.count) for note in cohort.notes] == [("age", 3)]
