"""Reference percentiles that depend on height: known curves, published equations, and R's maximum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.figures.percentiles import percentile_figure
from analysis.lms import centile, fit_lms
from analysis.reference import height_curves, reference_table
from operators.phenotype_report.percentiles import percentiles_of, read_reference
from tests.analysis.r import needs_r, run_r

# Bowerman et al., Am J Respir Crit Care Med 2023;207:768-774 (GLI Global 2022): FEV1 of men, litres.
# M = exp(-11.399108 + 2.462664 ln(height in cm) - 0.011394 ln(age) + M spline), S = exp(-2.256278 + 0.080729 ln(age) +
# S spline), L = 1.22703; the splines are those of the published lookup table.
_AGES = np.array([50.0, 55, 60, 65, 70, 75, 80, 85])
_M_SPLINE = [-0.001884, -0.044959, -0.092396, -0.141814, -0.190811, -0.238077, -0.283142, -0.325775]
_S_SPLINE = [0.009634, 0.025363, 0.040633, 0.055218, 0.069004, 0.081972, 0.094172, 0.105658]


def _spirometry(age: np.ndarray, height_cm: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """L, M and S as published."""
    m = -11.399108 + 2.462664 * np.log(height_cm) - 0.011394 * np.log(age) + np.interp(age, _AGES, _M_SPLINE)
    s = -2.256278 + 0.080729 * np.log(age) + np.interp(age, _AGES, _S_SPLINE)
    return np.full(len(age), 1.22703), np.exp(m), np.exp(s)


def _men(n: int, seed: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age, height = rng.uniform(50, 85, n), rng.normal(176, 6.7, n)
    power, median, spread = _spirometry(age, height)
    values = median * (1 + power * spread * rng.standard_normal(n)) ** (1 / power)
    return pd.DataFrame({"sex": "M", "age": age, "height_cm": height, "tmv_cm3": values})


def test_published_equations_by_sex_age_and_height_are_found_again() -> None:
    table = _men(9000)
    age, height, values = (table[name].to_numpy() for name in ("age", "height_cm", "tmv_cm3"))
    fit = fit_lms(age, values, height_cm=height)
    assert fit.height_exponent == pytest.approx(2.462664, abs=0.12) and fit.power == pytest.approx(1.22703, abs=0.15)
    grid = [tuple(map(np.array, pair)) for pair in ((_AGES[1:-1], np.full(6, 165.0)), (_AGES[1:-1], np.full(6, 188.0)))]
    for ages, heights in grid:
        for z in (-1.8808, 0.0, 1.8808):
            ours = centile(*fit.at(ages, heights), z)
            np.testing.assert_allclose(ours, centile(*_spirometry(ages, heights), z), rtol=0.02)
    # Without height, tall and short men have the same percentiles, and the spread contains that of height.
    without = fit_lms(age, values)
    assert np.isnan(without.height_exponent) and without.at(_AGES)[2].mean() > fit.at(_AGES)[2].mean() * 1.05


def test_the_table_gives_a_report_the_percentile_of_the_height(tmp_path: Path) -> None:
    table = reference_table(_men(3000), "men of a test")
    assert not table.duplicated(["phenotype", "sex", "age", "height_cm"]).any()
    assert len(table[table["height_cm"].isna()]) == len(table[table["height_cm"].notna()])
    table.to_csv(tmp_path / "reference.csv", index=False)
    rows = read_reference(tmp_path / "reference.csv", synthetic_images=False)
    short, tall = (float(_spirometry(np.array([65.0]), np.array([cm]))[1][0]) for cm in (160.0, 192.0))
    for value, height_m in ((short, 1.60), (tall, 1.92)):
        found, source = percentiles_of({"tmv_cm3": value}, "M", "065Y", rows, height_m)
        assert found["tmv_cm3"] == pytest.approx(50, abs=6) and source.endswith("for sex, age and height")
    assert percentiles_of({"tmv_cm3": short}, "M", "065Y", rows)[0]["tmv_cm3"] < 25


def test_curves_by_height_have_bands_and_a_figure() -> None:
    curves = height_curves(_men(1500), ("tmv_cm3",), bootstraps=8)
    middle = curves[curves["percentile"] == 50]
    assert middle["value"].is_monotonic_increasing and (middle["ci_low"] < middle["ci_high"]).all()
    truth = _spirometry(middle["age"].to_numpy(), middle["height_cm"].to_numpy())[1]
    np.testing.assert_allclose(middle["value"], truth, rtol=0.02)
    assert percentile_figure(curves, "height_cm").axes[0].get_xlabel() == "Height, cm"
    assert height_curves(_men(200).drop(columns="height_cm")).empty
    with pytest.raises(ValueError, match="values that differ"):
        fit_lms(_men(200)["age"].to_numpy(), np.full(200, 0.45))
    same = _men(200).assign(height_cm=176.0)
    assert height_curves(same).empty and reference_table(same, "x")["height_cm"].isna().all()


@needs_r
def test_r_finds_the_same_maximum_with_height(tmp_path: Path) -> None:
    table = _men(500)
    age, height, values = (table[name].to_numpy() for name in ("age", "height_cm", "tmv_cm3"))
    fit = fit_lms(age, values, height_cm=height)
    r = run_r(
        """
        library(splines); k <- quantile(d$age, c(.05, .35, .65, .95)); h <- round(mean(d$height_cm), 1)
        B <- cbind(1, ns(d$age, knots = k[2:3], Boundary.knots = k[c(1, 4)]), 10 * log(d$height_cm / h))
        u <- d$tmv_cm3 / median(d$tmv_cm3)
        off <- function(p) { m <- exp(B %*% p[2:6]); s <- exp(p[7] + p[8] * (d$age - mean(d$age)) / 10)
          z <- ((u / m)^p[1] - 1) / (p[1] * s); -sum(p[1] * log(u / m) - log(s) - z^2 / 2) }
        p <- c(1, 0, 0, 0, 0, .2, log(.15), 0)
        for (i in 1:6) p <- optim(p, off, method = "BFGS", control = list(maxit = 2000, reltol = 1e-15))$par
        out("best", c(-off(p), 10 * p[6], p[1]))
        """,
        tmp_path,
        d=table,
    )
    assert fit.log_likelihood == pytest.approx(r["best"][0], abs=1e-4)
    np.testing.assert_allclose([fit.height_exponent, fit.power], r["best"][1:], atol=5e-3)
