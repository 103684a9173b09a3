"""Odds ratios per SD, curves and other cases, compared with R and with counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analysis.definitions import COVARIATES
from analysis.sensitivity import per_sd, sensitivity
from analysis.splines import restricted_cubic_spline
from tests.analysis.r import needs_r, run_r
from tests.analysis.synthetic import cohort_of

_N, _SEED = 6000, 8


@needs_r
def test_per_sd_and_the_test_of_a_curve_agree_with_r(tmp_path: Path) -> None:
    """R's natural splines use another basis of the same functions."""
    table = cohort_of(_N, _SEED).analysed
    ours = per_sd(table, COVARIATES, exposures=("pa_ratio",), outcomes=("weak_grip",)).iloc[0]
    r = run_r(
        """
        library(splines); d$z <- d$pa_ratio / sd(d$pa_ratio); k <- quantile(d$z, c(.05, .35, .65, .95))
        f <- glm(weak_grip ~ z + age + sex + bmi + activity, binomial, d, control = glm.control(epsilon = 1e-14))
        g <- update(f, . ~ . - z + ns(z, knots = k[2:3], Boundary.knots = k[c(1, 4)]))
        out("or", exp(c(coef(f)[2], suppressMessages(confint(f, "z"))))); out("p", coef(summary(f))[2, 4])
        out("curve", anova(f, g, test = "LRT")[2, 5])
        """,
        tmp_path,
        d=table[["pa_ratio", "weak_grip", "age", "sex", "bmi", "activity"]],
    )
    np.testing.assert_allclose(ours[["odds_ratio", "ci_low", "ci_high"]].to_numpy(dtype=float), r["or"], atol=1e-4)
    np.testing.assert_allclose(ours["p_value"], r["p"][0], rtol=1e-5)
    np.testing.assert_allclose(ours["p_nonlinear"], r["curve"][0], rtol=1e-4)


def test_the_spline_is_straight_beyond_its_outer_knots() -> None:
    x = np.linspace(-5, 5, 1001)
    basis = restricted_cubic_spline(x, knots=(-2, -1, 1, 2))
    assert basis.shape == (1001, 3)
    bend = np.abs(np.diff(basis, 2, axis=0)).max(axis=1)
    assert bend[(x[1:-1] < -2.02) | (x[1:-1] > 2.02)].max() < 1e-10
    assert np.abs(np.diff(basis[:, 1:], 2, axis=0)).max() > 1e-6


def test_a_curve_is_found_where_there_is_one() -> None:
    rng = np.random.default_rng(3)
    table = cohort_of(_N, _SEED).analysed.copy()
    z = (table["pa_ratio"] - table["pa_ratio"].mean()) / table["pa_ratio"].std()
    table["falls"] = (rng.random(len(table)) < 1 / (1 + np.exp(2 - 0.8 * z**2))).astype(float)
    row = per_sd(table, COVARIATES, exposures=("pa_ratio",), outcomes=("falls",)).iloc[0]
    assert row["p_nonlinear"] < 1e-10


def test_leaving_out_the_probable_removes_them_from_the_controls() -> None:
    table = cohort_of(_N, _SEED).analysed
    rows = sensitivity(table, COVARIATES, exposures=("pa_ratio",)).set_index(["analysis", "outcome"])
    without = rows.loc[("probable sarcopenia left out", "sarcopenia")]
    both = rows.loc[("confirmed or probable sarcopenia", "sarcopenia")]
    probable = both["events_low"] + both["events_high"] - without["events_low"] - without["events_high"]
    assert probable == both["n_low"] + both["n_high"] - without["n_low"] - without["n_high"] > 0
    assert rows.loc[("cuts printed in the paper", "falls"), "low_cut"] == 0.41


def test_an_exposure_without_variation_is_not_estimable() -> None:
    table = cohort_of(_N, _SEED).analysed.head(200).assign(pa_ratio=0.4)
    row = per_sd(table, COVARIATES, exposures=("pa_ratio",), outcomes=("falls",)).iloc[0]
    assert np.isnan(row["odds_ratio"]) and row["method"] == "none"
