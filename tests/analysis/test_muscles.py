"""Every muscle as an exposure, and the stability of a lasso's choice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.definitions import COVARIATES
from analysis.muscles import NOT_MUSCLES, muscle_associations, muscle_selection
from analysis.penalised_selection import lasso, stability_selection
from tests.analysis.r import needs_r, run_r
from tests.analysis.synthetic import cohort_of


@needs_r
def test_a_muscle_per_sd_over_squared_height_agrees_with_r(tmp_path: Path) -> None:
    cohort = cohort_of(12000, 4)
    table = cohort.analysed.head(2500)
    made = muscle_associations(table, ("gracilis", "femur"), COVARIATES, outcomes=("falls",))
    assert set(made["muscle"]) == {"gracilis", "pa_ratio"} and len(made) == 4
    columns = ["sex", "age", "bmi", "activity", "falls", "gracilis_cm3", "tmv_cm3", "height_cm"]
    r = run_r(
        """
        d$x <- d$gracilis_cm3 / (d$height_cm / 100)^2; d$x <- d$x / sd(d$x)
        f <- glm(falls ~ x + age + sex + bmi + activity + tmv_cm3, binomial, d)
        s <- summary(f)$coefficients; out("f", c(exp(s[2, 1]), s[2, 4]))
        out("ci", exp(suppressMessages(confint(f, "x"))))
        """,
        tmp_path,
        d=table[columns],
    )
    row = made[(made["muscle"] == "gracilis") & (made["model"] == "adjusted and TMV")].iloc[0]
    np.testing.assert_allclose([row["odds_ratio"], row["p_value"]], r["f"], rtol=1e-6)
    np.testing.assert_allclose([row["ci_low"], row["ci_high"]], r["ci"], atol=2e-4)
    assert not {"femur", "iliac_bone"} - NOT_MUSCLES


def _data(n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(n, 8)) + 0.5 * rng.normal(size=(n, 1))
    return x, (rng.random(n) < 1 / (1 + np.exp(1 - 0.9 * x[:, 0] + 0.7 * x[:, 1]))).astype(float)


@pytest.mark.parametrize("penalty", [0.0, 0.01, 0.05])
def test_the_lasso_meets_the_conditions_of_an_optimum(penalty: float) -> None:
    """Karush, Kuhn and Tucker's conditions hold at the minimum of a convex function, and nowhere else."""
    x, y = _data()
    design = np.column_stack([np.ones(len(y)), x])
    penalties = np.concatenate([[0.0], np.full(8, penalty)])
    found = lasso(design, y, penalties)
    slope = design.T @ (y - 1 / (1 + np.exp(-(design @ found)))) / len(y)
    kept = found != 0
    np.testing.assert_allclose(slope[kept], (penalties * np.sign(found))[kept], atol=1e-6)
    assert (np.abs(slope[~kept]) <= penalties[~kept] + 1e-6).all()
    assert kept[:3].all() and kept.sum() == (9 if penalty == 0 else kept.sum())


def test_markers_with_an_effect_are_chosen_in_nearly_every_half() -> None:
    x, y = _data()
    shares = stability_selection(x, np.empty((len(y), 0)), y, np.random.default_rng(1), halves=20)
    assert shares[:2].min() > 0.9 and shares[2:].max() < 0.5


def test_the_selection_lists_every_muscle_and_the_ratio() -> None:
    cohort = cohort_of(12000, 4)
    made = muscle_selection(cohort.analysed.head(1500), cohort.structures[:4], COVARIATES, outcomes=("falls",))
    assert set(made["marker"]) == {*cohort.structures[:4], "pa_ratio", "tmv_cm3"} - NOT_MUSCLES
    assert made["share"].between(0, 1).all()
