"""Numbers as they are printed, and tables that have nothing to show."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.cohort import Cohort, build_cohort
from analysis.describe import age_groups, table_one
from analysis.head_to_head import head_to_head
from analysis.manuscript import manuscript_tables
from analysis.mediation import mediation_table
from analysis.reference import height_curves
from analysis.report import _left_out
from analysis.text_tables import format_mean, format_ratio
from analysis.validation import check_phenotypes
from tests.analysis.small_tables import checked, images, people

NAN = float("nan")


@pytest.fixture(scope="module")
def few() -> Cohort:
    return build_cohort(checked(people()), check_phenotypes(images(), "phenotypes.csv"))


@pytest.mark.parametrize(
    ("ratio", "says"),
    [
        ((1.42, 1.13, 1.78), "1.42 (1.13–1.78)"),
        ((0.594, 0.0001, 3889.0), "0.59 (<0.01–>1000)"),
        ((0.003, 0.0, 1.38), "<0.01 (<0.01–1.38)"),
        ((25487.6, 3.0, 9e7), ">1000 (3.00–>1000)"),
        ((2.0, NAN, 4.0), "2.00 (– to 4.00)"),
        ((NAN, NAN, NAN), "–"),
    ],
)
def test_a_ratio_is_never_printed_as_nothing_nor_with_digits_that_nobody_knows(
    ratio: tuple[float, float, float], says: str
) -> None:
    assert format_ratio(*ratio) == says


def test_one_person_has_a_mean_and_no_standard_deviation() -> None:
    assert format_mean(79.13, NAN, 1) == "79.1"
    assert format_mean(65.04, 7.2, 1) == "65.0 ± 7.2"


def test_quartiles_by_age_are_not_printed_of_fewer_than_five_people(few: Cohort) -> None:
    table = age_groups(few.all_ages.head(30))
    printed = manuscript_tables({"associations": pd.DataFrame(), "age_groups": table})["age_groups"]
    shown = sum(cell != "–" for row in printed.rows for cell in row[2:])
    assert 0 < shown == (table["n"] >= 5).sum() < len(table)


def test_an_empty_table_has_its_columns_and_is_named_on_the_page(few: Cohort) -> None:
    tiny = few.analysed.head(12)
    compared = head_to_head(tiny, ("age",), bootstraps=10)
    made = {
        "calibration": compared.calibration,
        "decision_curve": compared.decision,
        "mediation": mediation_table(tiny, ("age",)),
        "height_percentiles": height_curves(tiny),
        "markers": compared.models,
    }
    empty = [name for name in made if name != "markers"]
    assert all(len(made[name]) == 0 and len(made[name].columns) >= 4 for name in empty)
    printed = manuscript_tables(made | {"associations": pd.DataFrame()})
    assert _left_out(made, printed) == [*(name.replace("_", " ") for name in empty), "markers"]


def test_a_constant_has_no_standardised_difference(few: Cohort) -> None:
    table = table_one(few.analysed.assign(pa_ratio=0.45)).set_index("variable")
    assert pd.isna(table.loc["pa_ratio", "standardised_difference"])
    assert pd.notna(table.loc["age", "standardised_difference"])
