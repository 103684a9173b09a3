"""Firth's estimate against its closed form and against R's own optimiser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.firth import firth
from tests.analysis.r import needs_r, run_r

# The penalised likelihood written down in R and maximised by R, with no score formula in between.
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
