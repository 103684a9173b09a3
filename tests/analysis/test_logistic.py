"""Logistic regression against R's glm and MASS::confint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.logistic import fit_logistic, likelihood_ratio_p
from analysis.profile_likelihood import profile_interval
from tests.analysis.r import needs_r, run_r

_R_GLM = """
for (i in unique(d$set)) {
  s <- d[d$set == i, ]
  f <- glm(y ~ x + age + f1 + f2, family = binomial, data = s, control = glm.control(epsilon = 1e-15, maxit = 100))
  # confint's default takes steps of a fifth and interpolates: which is off by up to 2e-4 here; fine steps are not.
  ci <- suppressMessages(confint(profile(f, which = "x", del = 0.1, maxsteps = 60), "x"))
  out(sprintf("rough%d", i), suppressMessages(confint(f, "x")))
  out(sprintf("coef%d", i), coef(f))
  out(sprintf("se%d", i), sqrt(diag(vcov(f))))
  out(sprintf("p%d", i), coef(summary(f))[, 4])
  out(sprintf("ci%d", i), ci)
  out(sprintf("lr%d", i), anova(update(f, . ~ . - x), f, test = "LRT")[2, 5])
  dev <- sapply(our$low[our$set == i], function(b)
    deviance(glm(y ~ offset(b * x) + age + f1 + f2, family = binomial, data = s)) - deviance(f))
  out(sprintf("dlow%d", i), dev)
}
"""


def _random_set(number: int) -> pd.DataFrame:
    """Factors, binary and continuous exposures, common and sparse outcomes, ages on different scales."""
    rng = np.random.default_rng(number)
    n = int(rng.integers(80, 1500))
    x = rng.integers(0, 2, n).astype(float) if number % 2 else rng.normal(size=n)
    age = rng.normal(65, 8, n) * (10.0 ** rng.integers(-3, 4))
    factor = rng.integers(0, 3, n)
    predictor = rng.normal() * x + 0.5 * (age - age.mean()) / age.std() + 0.4 * (factor == 1)
    share = 0.5 if number % 3 else 40 / n
    y = (predictor + rng.logistic(size=n) > np.quantile(predictor + rng.logistic(size=n), 1 - share)).astype(float)
    return pd.DataFrame({"set": number, "y": y, "x": x, "age": age, "f1": factor == 1, "f2": factor == 2}).astype(float)


@needs_r
def test_twenty_four_random_data_sets_agree_with_r(tmp_path: Path) -> None:
    sets = {number: _random_set(number) for number in range(24)}
    ours = {}
    for number, data in sets.items():
        x, y = data[["x", "age", "f1", "f2"]].to_numpy(), data["y"].to_numpy()
        fit = fit_logistic(x, y)
        ours[number] = (fit, profile_interval(fit, x, y, 0), likelihood_ratio_p(fit, fit_logistic(x[:, 1:], y)))
    ends = pd.DataFrame({"set": list(ours), "low": [interval[0] for _, interval, _ in ours.values()]})
    r = run_r(_R_GLM, tmp_path, d=pd.concat(sets.values()), our=ends)
    for number, (fit, interval, ratio_p) in ours.items():
        assert fit.converged
        scale = np.maximum(1, np.abs(r[f"coef{number}"]))
        np.testing.assert_allclose(fit.coefficients / scale, r[f"coef{number}"] / scale, atol=1e-8)
        np.testing.assert_allclose(fit.standard_errors, r[f"se{number}"], rtol=1e-6)
        np.testing.assert_allclose(fit.p_values, r[f"p{number}"], rtol=1e-5, atol=1e-12)
        np.testing.assert_allclose(np.array(interval, dtype=float), r[f"ci{number}"], atol=5e-5)
        np.testing.assert_allclose(np.array(interval, dtype=float), r[f"rough{number}"], atol=2e-4)
        # MASS interpolates a spline. The deviance at our end shows which of the two is more exact.
        np.testing.assert_allclose(r[f"dlow{number}"], 3.841458820694124, atol=1e-5)
        np.testing.assert_allclose(ratio_p, r[f"lr{number}"][0], rtol=1e-5, atol=1e-12)


def test_budworm_interval_is_the_published_one() -> None:
    """Venables & Ripley's tobacco budworm: confint gives 0.8228708 to 1.3390581 for the log2 dose."""
    dose, male = np.tile(np.arange(6.0), 2), np.repeat([1.0, 0.0], 6)
    dead = np.array([1, 4, 9, 13, 18, 20, 0, 2, 6, 10, 12, 16]) / 20
    regressors, trials = np.column_stack([male, dose]), np.full(12, 20.0)
    fit = fit_logistic(regressors, dead, ("male", "dose"), weights=trials)
    assert fit.summary.loc["dose", "coefficient"] == pytest.approx(1.064214, abs=1e-6)
    assert profile_interval(fit, regressors, dead, 1, weights=trials) == pytest.approx((0.8228708, 1.3390581), abs=1e-4)


def test_two_by_two_table_gives_its_cross_product() -> None:
    x = np.repeat([1.0, 0.0], [12335, 12335])
    y = np.concatenate([np.arange(12335) < 257, np.arange(12335) < 174]).astype(float)
    fit = fit_logistic(x[:, None], y)
    assert np.exp(fit.coefficients[1]) == pytest.approx((257 / 12078) / (174 / 12161), rel=1e-10)
    assert fit.standard_errors[1] == pytest.approx(np.sqrt(1 / 257 + 1 / 12078 + 1 / 174 + 1 / 12161), rel=1e-8)


def test_separation_is_detected_and_gives_no_finite_end() -> None:
    x = np.repeat([0.0, 1.0], 50)
    y = np.concatenate([np.zeros(50), np.arange(50) % 2])
    fit = fit_logistic(x[:, None], y)
    assert fit.separated and not fit.converged


def test_collinear_regressors_are_refused() -> None:
    x = np.arange(30.0)
    with pytest.raises(np.linalg.LinAlgError):
        fit_logistic(np.column_stack([x, 2 * x + 1]), (x > 12).astype(float))
