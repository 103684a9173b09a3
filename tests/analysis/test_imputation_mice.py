"""Multiple imputation against R's mice, and mediation against statsmodels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.stats.mediation import Mediation

from analysis.imputation import impute, pool
from analysis.logistic import fit_logistic
from analysis.mediation import mediate
from tests.analysis.r import needs, run_r

# Estimates and standard errors of mice 3.15.0, m = 80, maxit = 5, seed = 3: intercept, x, BMI, smoker, centres b and c.
MICE_ESTIMATES = np.array([-0.81617, 0.49292, 0.54743, 0.60649, 0.73793, -0.63462])
MICE_ERRORS = np.array([0.13740, 0.06599, 0.10655, 0.15133, 0.18309, 0.17856])


def _missing_at_random(n: int = 1500) -> pd.DataFrame:
    """A measure and two factors, missing more often in people with the outcome and in the old."""
    rng = np.random.default_rng(12)
    age = rng.normal(0, 1, n)
    bmi = 0.4 * age + rng.normal(size=n)
    smoker = (rng.random(n) < 1 / (1 + np.exp(0.3 - 0.8 * bmi))).astype(int)
    # An unordered factor whose middle level by alphabet has the largest BMI.
    centre = np.array(["a", "b", "c"])[np.where(rng.random(n) < 0.6, np.where(bmi > 0.3, 1, np.where(age > 0, 0, 2)),
                                                rng.integers(0, 3, n))]  # fmt: skip
    x = 0.5 * bmi + rng.normal(size=n)
    effect = np.array([0.0, 0.8, -0.5])[np.searchsorted(["a", "b", "c"], centre)]
    falls = (rng.random(n) < 1 / (1 + np.exp(0.8 - 0.5 * x - 0.6 * bmi - 0.5 * smoker - effect))).astype(float)
    table = pd.DataFrame({"falls": falls, "x": x, "age": age, "bmi": bmi, "smoking": np.where(smoker, "yes", "no"),
                          "centre": centre})  # fmt: skip
    for name, share in (("bmi", 0.35), ("smoking", 0.2), ("centre", 0.3)):
        table.loc[rng.random(n) < share * 2 / (1 + np.exp(-age - falls + 0.5)), name] = None
    return table


def test_imputed_estimates_are_those_that_mice_gave() -> None:
    """Against eighty imputations of mice 3.15.0; the test below has the script."""
    table = _missing_at_random()
    estimates, errors = _pooled(table, 30)
    # Thirty imputations leave a Monte-Carlo error of about a tenth of a standard error.
    assert (np.abs(estimates - MICE_ESTIMATES) < 0.35 * MICE_ERRORS).all()
    # mice does not draw the coefficients of a factor's model, so that its errors for factors are a little too small.
    np.testing.assert_allclose(errors, MICE_ERRORS, rtol=0.15)
    complete = table.dropna()
    biased = fit_logistic(_regressors(complete), complete["falls"].to_numpy()).coefficients
    assert abs(biased[0] - MICE_ESTIMATES[0]) > 2 * MICE_ERRORS[0]


@pytest.mark.slow
@needs("mice")
def test_imputed_estimates_agree_with_mice(tmp_path: Path) -> None:
    table = _missing_at_random()
    r = run_r(
        """
        suppressMessages(library(mice))
        for (f in c("smoking", "centre")) { d[[f]][d[[f]] == ""] <- NA; d[[f]] <- factor(d[[f]]) }
        i <- mice(d, m = 20, maxit = 5, seed = 3, printFlag = FALSE)
        p <- summary(pool(with(i, glm(falls ~ x + bmi + smoking + centre, binomial))))
        out("estimates", p$estimate); out("errors", p$std.error)
        """,
        tmp_path,
        d=table,
    )
    estimates, errors = _pooled(table, 30)
    assert (np.abs(estimates - r["estimates"]) < 0.6 * r["errors"]).all()
    np.testing.assert_allclose(errors, r["errors"], rtol=0.15)


def _regressors(table: pd.DataFrame) -> np.ndarray:
    factors = [(table["smoking"] == "yes"), (table["centre"] == "b"), (table["centre"] == "c")]
    return np.column_stack([table["x"], table["bmi"], *(level.astype(float) for level in factors)])


def _pooled(table: pd.DataFrame, imputations: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    fits = []
    for _ in range(imputations):
        made = impute(table, rng)
        fits.append(fit_logistic(_regressors(made), made["falls"].to_numpy()))
    pooled = [pool(np.array([fit.coefficients[i] for fit in fits]), np.array([fit.covariance[i, i] for fit in fits]),
                   len(table) - 6) for i in range(6)]  # fmt: skip
    return np.array([one.estimate for one in pooled]), np.array([one.standard_error for one in pooled])


def test_a_factor_is_imputed_by_what_goes_with_its_levels_and_not_by_their_order() -> None:
    rng = np.random.default_rng(2)
    n = 3000
    level = rng.integers(0, 3, n)
    # The first and the last level look alike by the order of codes, and differ in the measure.
    measure = np.array([0.0, 3.0, -3.0])[level] + rng.normal(size=n)
    table = pd.DataFrame({"centre": np.array(["a", "b", "c"])[level], "measure": measure})
    gone = rng.random(n) < 0.3
    made = impute(table.assign(centre=table["centre"].mask(gone)), rng)
    assert (made["centre"][gone] == table["centre"][gone]).mean() > 0.8
    means = made[gone].groupby("centre")["measure"].mean()
    np.testing.assert_allclose(means, [0, 3, -3], atol=0.25)


def test_mediation_agrees_with_statsmodels() -> None:
    rng = np.random.default_rng(3)
    n = 400
    c, x = rng.normal(size=n), rng.normal(size=n)
    m = 0.5 * x + 0.3 * c + rng.normal(size=n)
    y = (rng.random(n) < 0.3 + 0.05 * x + 0.08 * m - 0.02 * c).astype(float)
    one, per_sd = np.ones(n), x / x.std(ddof=1)
    outcome, mediator = sm.OLS(y, np.column_stack([one, per_sd, m, c])), sm.OLS(m, np.column_stack([one, per_sd, c]))
    summary = Mediation(outcome, mediator, (1, 1), 2).fit(n_rep=300).summary()
    ours = mediate(x, m, y, c[:, None], bootstraps=300)
    rows = {"ACME (average)": (ours.indirect, ours.indirect_low, ours.indirect_high),
            "ADE (average)": (ours.direct, ours.direct_low, ours.direct_high)}  # fmt: skip
    for name, mine in rows.items():
        estimate, low, high = summary.loc[name, ["Estimate", "Lower CI bound", "Upper CI bound"]]
        width = high - low
        np.testing.assert_allclose(mine, [estimate, low, high], atol=0.25 * width)
    assert ours.total == pytest.approx(summary.loc["Total effect", "Estimate"], abs=0.1 * width)
