"""Ratios per SD are per the same SD, whatever the outcome and the model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.competing_risks import competing_risks
from analysis.cox import fit_cox
from analysis.design import exposure_sd, in_sds
from analysis.fine_gray import fit_fine_gray
from analysis.logistic import fit_logistic
from analysis.measurement_error import KnownError, undiluted_associations
from analysis.muscles import muscle_associations
from analysis.sensitivity import per_sd
from analysis.survival import FollowUp, hazard_ratios


def _table(n: int = 1500) -> tuple[pd.DataFrame, np.ndarray]:
    """An exposure whose outcome is known of its middle only, where its SD is far smaller."""
    rng = np.random.default_rng(6)
    x = rng.normal(0, 2, n)
    middle = np.abs(x) < 1.5
    happened = (rng.random(n) < 1 / (1 + np.exp(-0.3 * x))).astype(float)
    table = pd.DataFrame({"x": x, "all": happened, "some": np.where(middle, happened, np.nan)})
    table["pa_ratio"], table["tmv_cm3"], table["height_cm"] = x, rng.normal(9000, 900, n), 170.0
    return table, middle


def test_the_sd_is_that_of_everybody_who_has_the_exposure() -> None:
    table, middle = _table()
    sd = table["x"].std()
    found = per_sd(table, (), exposures=("x",), outcomes=("all", "some"))
    assert found["sd"].tolist() == pytest.approx([sd, sd])
    few = table[middle]
    slope = fit_logistic(few[["x"]].to_numpy(), few["some"].to_numpy()).coefficients[1]
    assert found["odds_ratio"][1] == pytest.approx(np.exp(slope * sd), rel=1e-6)


def test_hazard_ratios_are_per_the_same_sd() -> None:
    table, middle = _table()
    years = np.where(middle, np.random.default_rng(1).exponential(5, len(table)) + 0.1, np.nan)
    found = hazard_ratios(table, FollowUp(years, table["all"].to_numpy(), "", ()), (), exposures=("x",))
    row = found[found["contrast"] == "per SD"].iloc[0]
    few = table[middle]
    slope = fit_cox(years[middle], few["all"].to_numpy(), few[["x"]].to_numpy()).coefficients[0]
    assert row["hazard_ratio"] == pytest.approx(np.exp(slope * table["x"].std()), rel=1e-6)


def test_dated_events_muscles_and_corrected_ratios_are_per_the_same_sd() -> None:
    table, middle = _table()
    start = pd.Timestamp("2015-01-01")
    days = pd.to_timedelta(np.ceil(np.random.default_rng(2).uniform(1, 1500, len(table))), unit="D")
    dates = {"imaging_date": start, "death_date": pd.NaT, "censor_date": pd.Timestamp("2018-01-01"),
             "fall_date": (start + days).where(table["all"] == 1)}  # fmt: skip
    dated = table.assign(**dates)
    dated.loc[~middle, "imaging_date"] = pd.NaT
    row = competing_risks(dated, (), ("x",), ("fall_date",)).query("contrast == 'per SD'").iloc[0]
    few = dated[middle]
    end = few["fall_date"].fillna(few["censor_date"]).clip(upper=few["censor_date"])
    status = (few["fall_date"] <= few["censor_date"]).astype(int).to_numpy()
    years = (end - few["imaging_date"]).dt.days.to_numpy() / 365.25
    slope = fit_fine_gray(years, status, few[["x"]].to_numpy()).coefficients[0]
    sd = table["x"].std()
    assert row["sub_hazard_ratio"] == pytest.approx(np.exp(slope * sd), rel=1e-6)
    few = table[middle]
    slope = fit_logistic(few[["x"]].to_numpy(), few["some"].to_numpy()).coefficients[1]
    muscle = muscle_associations(table, (), (), ("some",)).query("muscle == 'pa_ratio' and model == 'adjusted'")
    assert muscle["odds_ratio"].iloc[0] == pytest.approx(np.exp(slope * sd), rel=1e-6)
    errors = {"x": (KnownError(0.1, "given"),)}
    measured = undiluted_associations(table, (), ("x",), ("some",), errors)["odds_ratio_measured"]
    assert measured.iloc[0] == pytest.approx(np.exp(slope * sd), rel=1e-6)


def test_an_exposure_of_one_value_or_nobody_has_no_sd() -> None:
    for values in ([], [1.0], [0.1, 0.1, 0.1], [np.nan, 2.0]):
        assert np.isnan(exposure_sd(np.array(values)))
    np.testing.assert_array_equal(in_sds(np.array([2.0, 2.0])), [2.0, 2.0])
    np.testing.assert_allclose(in_sds(np.array([1.0, 3.0, np.nan])), np.array([1.0, 3.0, np.nan]) / np.sqrt(2))
    flat = pd.DataFrame({"x": [1.0] * 50})
    found = hazard_ratios(flat, FollowUp(np.ones(50), np.tile([0.0, 1.0], 25), "", ()), (), exposures=("x",))
    assert found.query("contrast == 'per SD'")["note"].tolist() == ["no variation: not estimable"]
