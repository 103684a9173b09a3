"""Repeated measurements and multiple imputation, against R, published examples and known truths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.imputation import impute, imputed_associations, pool
from analysis.logistic import fit_logistic
from analysis.repeatability import change_between_visits, repeat_table, repeatability, undiluted
from tests.analysis.r import needs_r, run_r

# Shrout & Fleiss 1979, table 2: six targets, four judges.
_JUDGES = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float)


def test_the_intraclass_correlation_is_that_of_the_published_example() -> None:
    found = repeatability(_JUDGES)
    assert found.icc == pytest.approx(0.29, abs=0.005)
    assert (found.icc_low, found.icc_high) == pytest.approx((0.019, 0.761), abs=0.002)  # as printed by R's psych
    assert found.within_sd == pytest.approx(np.sqrt(1.02), abs=0.002)  # the published mean square of the residual


@needs_r
def test_rubins_rules_and_the_mixed_model_agree_with_r(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    person = np.concatenate([np.arange(60), np.arange(40)])
    time = np.concatenate([np.zeros(60), rng.uniform(1, 3, 40)])
    values = 10 + 2 * rng.normal(size=60)[person] - 0.3 * time + 0.5 * rng.normal(size=100)
    estimates, variances = np.array([0.31, 0.42, 0.25, 0.36, 0.40]), np.array([0.020, 0.022, 0.019, 0.021, 0.020])
    # Both are written out in R, because not every installation has mice and nlme. Where it has, they are used.
    r = run_r(
        """
        q <- c(0.31, 0.42, 0.25, 0.36, 0.40); u <- c(0.020, 0.022, 0.019, 0.021, 0.020); m <- 5; n <- 300; k <- 6
        if (requireNamespace("mice", quietly = TRUE)) {
          p <- mice::pool.scalar(q, u, n = n, k = k); out("pool", c(p$qbar, p$t, p$df, (1 + 1 / m) * p$b / p$t))
        } else {
          t <- mean(u) + (1 + 1 / m) * var(q); l <- (1 + 1 / m) * var(q) / t; f <- n - k
          o <- (f + 1) / (f + 3) * f * (1 - l); v <- (m - 1) / l^2; out("pool", c(mean(q), t, v * o / (v + o), l))
        }
        if (requireNamespace("nlme", quietly = TRUE)) {
          f <- nlme::lme(y ~ time, random = ~ 1 | person, d); s <- summary(f)$tTable[2, 1:2]
          out("mixed", c(s, as.numeric(nlme::VarCorr(f)[, 2])))
        } else {
          X <- cbind(1, d$time); Z <- outer(d$person, unique(d$person), "==") * 1; y <- d$y; N <- length(y)
          g <- function(w, full = FALSE) { V <- diag(N) + exp(w) * tcrossprod(Z); W <- solve(V); A <- t(X) %*% W %*% X
            b <- solve(A, t(X) %*% W %*% y); e <- y - X %*% b; s2 <- c(t(e) %*% W %*% e) / (N - 2)
            if (full) c(b[2], sqrt(s2 * solve(A)[2, 2]), sqrt(exp(w) * s2), sqrt(s2)) else
            (N - 2) * log(s2) + determinant(V)$modulus + determinant(A)$modulus }
          w <- optimize(g, c(-5, 9), tol = 1e-10)$minimum; out("mixed", g(w, TRUE))
        }
        """,
        tmp_path,
        d=pd.DataFrame({"y": values, "time": time, "person": person}),
    )
    found = pool(estimates, variances, 294)
    ours = [found.estimate, found.standard_error**2, found.freedom, found.missing_information]
    np.testing.assert_allclose(ours, r["pool"], rtol=1e-8)
    assert found.p_value < 0.05 and found.low > 0
    change = change_between_visits(values, time, person)
    np.testing.assert_allclose([change.slope, (change.high - change.slope) / 1.959964], r["mixed"][:2], rtol=1e-5)
    np.testing.assert_allclose([change.between_sd, change.within_sd], r["mixed"][2:], rtol=1e-4)


def test_repeats_become_a_row_per_measure() -> None:
    rng = np.random.default_rng(4)
    true = rng.normal(0.45, 0.05, 200)
    parts = [pd.DataFrame({"eid": np.arange(200), "visit": visit, "pa_ratio": true + shift + rng.normal(0, 0.01, 200)})
             for visit, shift in ((2, 0.0), (3, 0.004))]  # fmt: skip
    row = repeat_table(pd.concat([parts[0], parts[1].head(150)])).iloc[0]
    assert row["n"] == 150 and row["within_sd"] == pytest.approx(0.01, rel=0.15)
    assert row["icc"] == pytest.approx(0.05**2 / (0.05**2 + 0.01**2), abs=0.02)
    assert row["change_low"] < 0.004 < row["change_high"] and row["smallest_change"] == pytest.approx(0.0277, rel=0.15)


def test_the_diluted_odds_ratio_is_restored() -> None:
    rng = np.random.default_rng(6)
    n, log_odds = 40000, 0.4
    true = rng.normal(size=n)
    y = (rng.random(n) < 1 / (1 + np.exp(2.5 - log_odds * true))).astype(float)
    seen = true + rng.normal(0, 0.7, n)
    fit = fit_logistic(seen[:, None], y)
    naive, error = float(fit.coefficients[1]), float(fit.standard_errors[1])
    corrected, wider = undiluted(naive, error, 0.7, float(seen.std()))
    assert naive + 1.96 * error < log_odds and abs(corrected - log_odds) < 1.96 * wider
    assert np.isnan(undiluted(naive, error, 2.0, 1.0)[0])


def test_values_missing_at_random_are_imputed_without_bias() -> None:
    """Who has the outcome lacks the covariate more often: complete cases are biased, imputation is not."""
    rng = np.random.default_rng(9)
    n = 4000
    age = rng.normal(65, 8, n)
    bmi = 20 + 0.1 * age + rng.normal(0, 3, n)
    lacks = rng.random(n) < 1 / (1 + np.exp(-(age - 68) / 4))
    table = pd.DataFrame({"age": age, "bmi": np.where(lacks, np.nan, bmi), "sex": rng.choice(["F", "M"], n)})
    table.loc[rng.random(n) < 0.1, "sex"] = None
    made = impute(table, rng)
    assert made.notna().all().all() and set(made["bmi"]) <= set(table["bmi"].dropna())
    assert abs(made["bmi"].mean() - bmi.mean()) < 0.2 < abs(table["bmi"].mean() - bmi.mean())
    assert np.corrcoef(made["age"], made["bmi"])[0, 1] == pytest.approx(np.corrcoef(age, bmi)[0, 1], abs=0.04)


def test_imputed_odds_ratios_equal_the_complete_ones_where_nothing_is_lost() -> None:
    rng = np.random.default_rng(3)
    n = 1500
    table = pd.DataFrame({"pa_ratio": rng.normal(0.45, 0.05, n), "age": rng.normal(65, 8, n)})
    table["falls"] = (rng.random(n) < 0.2).astype(float)
    ask: dict[str, Any] = {"exposures": ("pa_ratio",), "outcomes": ("falls",)}
    assert imputed_associations(table, ("age",), **ask).empty
    table["bmi"] = np.where(rng.random(n) < 0.3, np.nan, rng.normal(26, 4, n))
    row = imputed_associations(table, ("age", "bmi"), imputations=5, **ask).iloc[0]
    assert row["n"] == 1000 and 0 <= row["missing_information"] < 0.05
    same = imputed_associations(table.assign(pa_ratio=0.45), ("age", "bmi"), imputations=2, **ask).iloc[0]
    assert np.isnan(same["odds_ratio"])
    assert row["ci_low"] < row["odds_ratio"] < row["ci_high"]


def test_an_imputed_exposure_is_not_adjusted_for_itself() -> None:
    rng = np.random.default_rng(5)
    n = 1500
    size = rng.normal(9000, 1500, n)
    low = (rng.random(n) < 1 / (1 + np.exp((size - 7000) / 700))).astype(float)
    table = pd.DataFrame({"tmv_cm3": size, "low_muscle_mass": low})
    table["bmi"] = np.where(rng.random(n) < 0.2, np.nan, rng.normal(26, 4, n))
    ask: dict[str, Any] = {"exposures": ("tmv_cm3",), "outcomes": ("low_muscle_mass",)}
    plain = imputed_associations(table, ("bmi",), imputations=2, **ask).iloc[0]
    row = imputed_associations(table, ("bmi", "tmv_cm3"), imputations=2, **ask).iloc[0]
    assert row["odds_ratio"] == pytest.approx(plain["odds_ratio"], rel=0.05) and row["ci_high"] < 0.2


@pytest.mark.parametrize("visits", [[2.0] * 12, []])
def test_repeats_of_people_who_are_not_analysed_leave_an_empty_table(visits: list[float]) -> None:
    table = pd.DataFrame({"eid": [f"{i}" for i in range(len(visits))], "visit": visits})
    assert repeat_table(table.assign(pa_ratio=0.45)).empty
