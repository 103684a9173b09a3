"""Odds ratios without measurement error, against a simulated truth and the closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.errors import DataError, OptionError
from analysis.logistic import fit_logistic
from analysis.measurement_error import conditional_sd, known_errors, simex, undiluted_associations
from analysis.options import FILE, Options
from analysis.repeatability import undiluted
from analysis.site_tables import undiluted_table
from tests.analysis.synthetic import cohort_of

_HELD_OUT = Path(__file__).parents[2] / "bundle/docs/held_out/phenotypes.csv"


def _measured(n: int = 20_000, error: float = 0.5, seed: int = 6) -> pd.DataFrame:
    """True log odds 0.4 per unit of an exposure that depends on age and is measured with error."""
    rng = np.random.default_rng(seed)
    age = rng.normal(size=n)
    true = 0.6 * age + 0.8 * rng.normal(size=n)
    falls = (rng.random(n) < 1 / (1 + np.exp(2 - 0.4 * true - 0.3 * age))).astype(float)
    return pd.DataFrame({"pa_ratio": true + error * rng.normal(size=n), "age": age, "falls": falls})


def test_both_corrections_find_the_true_odds_ratio() -> None:
    d = _measured()
    x, y, z = d["pa_ratio"].to_numpy(), d["falls"].to_numpy(), d[["age"]].to_numpy()
    naive = fit_logistic(np.column_stack([x, z]), y)
    log_odds, error = float(naive.coefficients[1]), float(naive.standard_errors[1])
    # Dilution by the reliability given age, 0.64 / 0.89, and not by the larger one of all people.
    assert conditional_sd(x, z) == pytest.approx(np.sqrt(0.64 + 0.25), rel=0.01)
    assert log_odds == pytest.approx(0.4 * 0.64 / 0.89, abs=0.03) and log_odds + 2 * error < 0.4
    for corrected, wider in (undiluted(log_odds, error, 0.5, conditional_sd(x, z)), simex(x, y, z, 0.5)):
        assert abs(corrected - 0.4) < 2 * wider and error < wider < 2 * error


@pytest.mark.slow
def test_intervals_of_simex_contain_the_truth_as_often_as_they_say() -> None:
    held = 0
    for seed in range(60):
        d = _measured(2500, 0.4, seed)
        found, error = simex(d["pa_ratio"].to_numpy(), d["falls"].to_numpy(), d[["age"]].to_numpy(), 0.4, seed)
        held += abs(found - 0.4) < 1.96 * error
    assert held >= 52  # 95% of 60 is 57, give or take 1.7


def test_without_error_nothing_is_corrected() -> None:
    d = _measured(3000)
    x, y, z = d["pa_ratio"].to_numpy(), d["falls"].to_numpy(), d[["age"]].to_numpy()
    fit = fit_logistic(np.column_stack([x, z]), y)
    np.testing.assert_allclose(simex(x, y, z, 1e-4), [fit.coefficients[1], fit.standard_errors[1]], rtol=1e-5)


def test_errors_come_from_repeats_from_the_user_and_from_held_out_people() -> None:
    table = cohort_of(12000, 4).analysed.head(1200)
    repeats = pd.DataFrame({"measure": ["pa_ratio", "lr_asymmetry"], "within_sd": [0.01, 0.02]})
    given = {"pa_ratio": "2%", "almi": "0.1", str(_HELD_OUT): FILE}
    errors = known_errors(table, repeats, given)
    sources = {name: [error.source for error in found] for name, found in errors.items()}
    assert sources["pa_ratio"] == ["repeated imaging", "given", "held-out people"]
    assert sources["lr_asymmetry_mri"] == ["repeated imaging"] and sources["tmv_cm3"] == ["held-out people"]
    assert errors["pa_ratio"][1].sd == pytest.approx(0.02 * table["pa_ratio"].mean())
    assert errors["almi"][0].sd == 0.1
    held_out = pd.read_csv(_HELD_OUT)["pa_relative_error"].std()
    assert errors["pa_ratio"][2].sd == pytest.approx(held_out * table["pa_ratio"].mean())
    made = undiluted_associations(table, ("age", "sex"), ("pa_ratio",), ("falls",), errors)
    falls = made
    assert len(falls) == 3 and falls["reliability"].between(0.9, 1).all()
    assert (np.abs(np.log(falls["odds_ratio"])) >= np.abs(np.log(falls["odds_ratio_measured"]))).all()
    np.testing.assert_allclose(falls["simex"], falls["odds_ratio"], rtol=0.02)
    assert undiluted_table(made).rows[0][1] == "repeated imaging"
    with pytest.raises(DataError, match="no measure shoe_size"):
        known_errors(table, None, {"shoe_size": "2"})


def test_an_error_that_leaves_nothing_is_not_corrected() -> None:
    d = _measured(2000)
    errors = known_errors(d, None, {"pa_ratio": "2"})
    row = undiluted_associations(d, ("age",), ("pa_ratio",), ("falls",), errors).iloc[0]
    assert np.isnan(row["odds_ratio"]) and "as large as" in row["note"] and np.isfinite(row["odds_ratio_measured"])
    rare = d.assign(falls=(np.arange(2000) < 3).astype(float))
    assert "too few" in undiluted_associations(rare, ("age",), ("pa_ratio",), ("falls",), errors).iloc[0]["note"]


@pytest.mark.parametrize("text", ["pa_ratio=0", "pa_ratio=-2%", "pa_ratio=small"])
def test_an_error_that_is_no_number_above_0_is_refused(text: str) -> None:
    from analysis.options import _errors

    class Token:
        value = text

    with pytest.raises(OptionError, match="NAME=SD"):
        _errors(dict, [Token()])


def test_the_option_survives_yaml() -> None:
    given = {"pa_ratio": "2.1%", "held.csv": FILE}
    options = Options(phenotypes=Path("a"), participants=Path("b"), out=Path("c"), measurement_error=given)
    assert options.as_plain()["measurement_error"] == given
