"""Hundreds of covariates: what cannot be estimated is said at once, and what takes long is said before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import Options, workload
from analysis.cohort import Cohort
from analysis.curves import odds_ratio_curves
from analysis.mediation import mediation_table
from analysis.muscles import muscle_associations, muscle_selection
from analysis.survival import follow_up, hazard_ratios
from analysis.text_tables import in_words
from analysis.workload import expected_minutes, said_of_time
from tests.analysis.synthetic import cohort_of

_NAMES = tuple(f"c{number}" for number in range(200))


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    made = cohort_of(900, 6)
    noise = np.random.default_rng(2).normal(size=(len(made.analysed), len(_NAMES)))
    more = pd.DataFrame(noise, columns=list(_NAMES), index=made.analysed.index)
    return replace(made, analysed=pd.concat([made.analysed, more], axis=1))


def test_models_with_more_coefficients_than_events_bear_are_left_out(cohort: Cohort) -> None:
    table = cohort.analysed
    muscles = muscle_associations(table, ("sartorius", "gracilis"), _NAMES, ("falls",))
    assert muscles["odds_ratio"].isna().all() and muscles["events"].min() > 50
    assert muscle_associations(table, ("sartorius",), ("age",), ("falls",))["odds_ratio"].notna().all()
    for empty in (
        muscle_selection(table, ("sartorius", "gracilis"), _NAMES, ("falls",)),
        odds_ratio_curves(table, "pa_ratio", ("falls",), _NAMES),
        mediation_table(table, _NAMES),
    ):
        assert len(empty) == 0 and len(empty.columns) >= 3


def test_cox_with_more_coefficients_than_deaths_is_not_estimable(cohort: Cohort) -> None:
    followed = follow_up(cohort.analysed)
    rows = hazard_ratios(cohort.analysed, followed, _NAMES, exposures=("pa_ratio",)).set_index(["contrast", "model"])
    assert rows.loc[("per SD", "adjusted"), "note"] == "more coefficients than deaths: not estimable"
    assert np.isnan(rows.loc[("per SD", "adjusted"), "hazard_ratio"])
    assert np.isfinite(rows.loc[("per SD", "crude"), "hazard_ratio"])


def test_a_long_run_is_announced_and_a_usual_one_is_not(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    options = Options(Path("p.csv"), Path("q.csv"), Path("o"), adjust=_NAMES)
    assert said_of_time(cohort, replace(options, adjust=("age", "sex"))) == ""
    assert expected_minutes(replace(cohort, analysed=cohort.analysed.head(300)), options) == 0  # no model is tried
    paper, usual, full = (
        expected_minutes(cohort, replace(options, paper=kind == "paper", full=kind == "full"))
        for kind in ("paper", "", "full")
    )
    assert paper > 0 and usual > 0 and full > usual
    monkeypatch.setattr(workload, "expected_minutes", lambda *_: 150.0)
    said = said_of_time(cohort, replace(options, full=True))
    assert "200 columns of covariates" in said and "about 2 hours" in said and "--bootstraps" in said


def test_of_hundreds_of_names_the_first_are_printed() -> None:
    assert in_words(("age", "sex")) == "age, sex"
    assert in_words(_NAMES).endswith("c9 and 190 others")
