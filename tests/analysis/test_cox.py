"""Cox's model and the test of proportional hazards against R's survival, statsmodels and published figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.hazard_regression import PHReg

from analysis.cox import fit_cox, proportional_hazards_p
from tests.analysis.r import needs_survival, run_r

_R_COX = """
library(survival)
for (i in unique(d$set)) {
  s <- d[d$set == i, ]
  f <- coxph(Surv(time, died) ~ x + age + f1, data = s, ties = "efron",
             control = coxph.control(eps = 1e-14, iter.max = 50))
  out(sprintf("coef%d", i), coef(f)); out(sprintf("se%d", i), sqrt(diag(vcov(f))))
  out(sprintf("loglik%d", i), f$loglik)
  z <- cox.zph(f); out(sprintf("zph%d", i), z$table[, "p"])
}
"""


def _random_set(number: int) -> pd.DataFrame:
    """Days or years, few or many ties, staggered ends, rare or common deaths, non-proportional hazards."""
    rng = np.random.default_rng(100 + number)
    n = int(rng.integers(120, 900))
    x = rng.integers(0, 2, n).astype(float) if number % 2 else rng.normal(size=n)
    age = rng.normal(65, 8, n) * (10.0 ** rng.integers(-2, 3))
    f1 = rng.integers(0, 2, n).astype(float)
    hazard = np.exp(0.5 * x + 0.4 * (age - age.mean()) / age.std() - 0.3 * f1)
    time = rng.exponential(1 / hazard) ** (0.6 if number % 3 else 1 + 0.8 * (f1 == 1))
    end = rng.uniform(0.2, 1.5, n)
    died = time <= end
    followed = np.ceil(np.minimum(time, end) * (20 if number % 4 == 0 else 1500))
    return pd.DataFrame({"set": number, "time": followed, "died": died.astype(float), "x": x, "age": age, "f1": f1})


@needs_survival
def test_twelve_random_data_sets_agree_with_r(tmp_path: Path) -> None:
    sets = {number: _random_set(number) for number in range(12)}
    r = run_r(_R_COX, tmp_path, d=pd.concat(sets.values()))
    for number, data in sets.items():
        time, died, x = data["time"].to_numpy(), data["died"].to_numpy(), data[["x", "age", "f1"]].to_numpy()
        fit = fit_cox(time, died, x)
        each, together = proportional_hazards_p(fit, time, died, x)
        np.testing.assert_allclose(fit.coefficients, r[f"coef{number}"], rtol=1e-7, atol=1e-10)
        np.testing.assert_allclose(fit.standard_errors, r[f"se{number}"], rtol=1e-6)
        np.testing.assert_allclose([fit.null_log_likelihood, fit.log_likelihood], r[f"loglik{number}"], rtol=1e-10)
        np.testing.assert_allclose([*each, together], r[f"zph{number}"], rtol=1e-5, atol=1e-12)


def test_statsmodels_agrees() -> None:
    data = _random_set(4)
    time, died, x = data["time"].to_numpy(), data["died"].to_numpy(), data[["x", "f1"]].to_numpy()
    ours, theirs = fit_cox(time, died, x), PHReg(time, x, status=died, ties="efron").fit()
    assert len(np.unique(time[died == 1])) < 0.5 * died.sum()  # ties
    np.testing.assert_allclose(ours.coefficients, theirs.params, atol=1e-6)
    np.testing.assert_allclose(ours.standard_errors, theirs.bse, rtol=1e-5)


def test_remission_of_leukaemia_gives_the_published_hazard_ratio() -> None:
    """Freireich 1963, the data of Cox's own article; Efron's coefficient is 1.572 with standard error 0.412."""
    treated = [(6, 1)] * 3 + [(7, 1), (10, 1), (13, 1), (16, 1), (22, 1), (23, 1)]
    treated += [(time, 0) for time in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)]
    control = [(time, 1) for time in (1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23)]
    time, died = np.array([*treated, *control], dtype=float).T
    fit = fit_cox(time, died, np.repeat([0.0, 1.0], 21)[:, None])
    assert fit.coefficients[0] == pytest.approx(1.5721, abs=5e-5)
    assert fit.standard_errors[0] == pytest.approx(0.4124, abs=5e-5)
    row = fit.summary.iloc[0]
    assert (row["hazard_ratio"], row["ci_low"], row["ci_high"]) == pytest.approx((4.817, 2.147, 10.81), abs=5e-3)


def test_a_group_without_deaths_does_not_converge_to_a_number() -> None:
    rng = np.random.default_rng(1)
    group = np.repeat([0.0, 1.0], 60)
    died = ((group == 1) & (rng.random(120) < 0.3)).astype(float)
    try:
        fit = fit_cox(rng.uniform(1, 5, 120), died, group[:, None])
    except np.linalg.LinAlgError:
        return
    assert not fit.converged


def test_without_deaths_there_is_no_model() -> None:
    with pytest.raises(ValueError, match="no deaths"):
        fit_cox(np.ones(5), np.zeros(5), np.arange(5.0)[:, None])


def test_deaths_at_one_time_say_nothing_about_proportional_hazards() -> None:
    rng = np.random.default_rng(2)
    time, died, x = rng.uniform(2, 5, 60), np.zeros(60), rng.normal(size=(60, 1))
    time[:2], died[:2] = 1.0, 1.0
    fit = fit_cox(time, died, x)
    each, together = proportional_hazards_p(fit, time, died, x)
    assert fit.converged and np.isnan(each).all() and np.isnan(together)
