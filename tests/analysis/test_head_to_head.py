"""Discrimination and the comparison of markers, against R."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import associations, build_cohort, check_participants, check_phenotypes, read_fields
from analysis.cox import fit_cox
from analysis.definitions import COVARIATES
from analysis.discrimination import brier_score, concordance_index, delong, net_benefit, weighted_auc
from analysis.head_to_head import head_to_head
from analysis.logistic import fit_logistic, refitted
from analysis.optimism import Fitted, resampled
from analysis.survival import follow_up
from analysis.verdicts import verdicts
from phantom.table import draw_cohort
from tests.analysis.r import needs_survival, run_r
from tests.analysis.synthetic import cohort_of


@needs_survival
def test_areas_concordance_and_likelihood_ratios_agree_with_r(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    n = 400
    a, b = rng.normal(size=n), rng.normal(size=n).round(1)
    y = (rng.random(n) < 1 / (1 + np.exp(1 - a - 0.5 * b))).astype(float)
    time, died = np.ceil(rng.exponential(20 / np.exp(0.6 * a + 0.3 * b))) + 1, (rng.random(n) < 0.6).astype(float)
    r = run_r(
        """
        library(survival)
        f <- glm(y ~ a, binomial, d); g <- glm(y ~ a + b, binomial, d)
        place <- function(x, y) { c1 <- x[y == 1]; c0 <- x[y == 0]
          s <- outer(c1, c0, function(p, q) (p > q) + (p == q) / 2); list(rowMeans(s), colMeans(s)) }
        u <- place(predict(f), d$y); v <- place(predict(g), d$y)
        out("auc", c(mean(u[[1]]), mean(v[[1]])))
        out("se", sqrt(var(v[[1]] - u[[1]]) / sum(d$y) + var(v[[2]] - u[[2]]) / sum(1 - d$y)))
        out("brier", mean((fitted(g) - d$y)^2))
        h <- coxph(Surv(time, died) ~ a, d); k <- coxph(Surv(time, died) ~ a + b, d)
        c2 <- concordance(h, k); out("c", c2$concordance); out("v", c(c2$var))
        w <- rep(c(0, 1, 3, 2), 100)
        out("again", coef(suppressWarnings(glm(y ~ a + b, binomial, d, weights = w))))
        """,
        tmp_path,
        d=pd.DataFrame({"y": y, "a": a, "b": b, "time": time, "died": died}),
    )
    both = np.column_stack([a, b])
    fits = [fit_logistic(x, y) for x in (both[:, :1], both)]
    risks = np.array([1 / (1 + np.exp(-(f.coefficients[0] + both[:, : len(f.names) - 1] @ f.coefficients[1:])))
                      for f in fits])  # fmt: skip
    areas, covariance = delong(risks, y)
    np.testing.assert_allclose(areas, r["auc"], rtol=1e-10)
    change = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    np.testing.assert_allclose(change, r["se"][0], rtol=1e-8)
    assert brier_score(risks[1], y) == pytest.approx(r["brier"][0], rel=1e-7)
    assert weighted_auc(risks[1], y, np.ones(n), np.full(n, 2.0)) == pytest.approx([areas[1]] * 2)
    cox = [fit_cox(time, died, x) for x in (both[:, :1], both)]
    linear = np.array([both[:, : len(f.names)] @ f.coefficients for f in cox])
    index = concordance_index(linear, time, died)
    np.testing.assert_allclose(index.values, r["c"], rtol=1e-9)
    np.testing.assert_allclose(index.covariance.ravel(), r["v"], rtol=1e-6)
    weights = np.tile([0.0, 1, 3, 2], 100)
    again = refitted(np.vstack([np.ones(n), both.T]), y, weights, fits[1].coefficients, steps=6)
    np.testing.assert_allclose(again, r["again"], rtol=1e-6)


def test_net_benefit_is_that_of_the_published_definition() -> None:
    # Vickers & Elkin's formula by hand: 3 true and 2 false positives of 10 at a threshold of 20%.
    risk = np.array([0.9, 0.8, 0.3, 0.25, 0.21, 0.1, 0.1, 0.1, 0.1, 0.1])
    events = np.array([1.0, 1, 1, 0, 0, 0, 0, 0, 0, 1])
    assert net_benefit(risk, events, 0.2) == pytest.approx(3 / 10 - 2 / 10 * 0.2 / 0.8)


@pytest.mark.parametrize("n", [5, 60, 2500])
def test_harrells_c_counts_every_pair_once(n: int) -> None:
    """Ties of time and of risk, and more people than one block."""
    rng = np.random.default_rng(n)
    time, died = rng.integers(1, max(3, n // 8), n).astype(float), (rng.random(n) < 0.4).astype(float)
    died[0] = 1
    risks = np.array([rng.integers(0, n // 3 + 2, n).astype(float), rng.normal(size=n)])
    found = concordance_index(risks, time, died)
    events = np.flatnonzero(died == 1)
    later = (time > time[events, None]) | ((time == time[events, None]) & (died == 0))
    for value, risk in zip(found.values, risks, strict=True):
        score = np.where(later, (risk < risk[events, None]) + 0.5 * (risk == risk[events, None]), 0.0)
        assert value == pytest.approx(score.sum() / later.sum(), abs=1e-12)


def test_the_markers_of_the_synthetic_cohort_are_judged_in_plain_words() -> None:
    """P/A has the published effect on weak grip, which moves the AUC by a few thousandths only."""
    table = cohort_of(12000, 4).analysed
    found = head_to_head(table, COVARIATES, follow_up(table)).models
    changes = found[found["against"] == "covariates"].set_index(["outcome", "measure", "model"])
    weak = changes.loc[("weak_grip", "AUC", "+ P/A")]
    assert 0.001 < weak["change"] < 0.02 and weak["p_likelihood_ratio"] < 1e-4
    assert ("low_muscle_mass", "AUC", "+ ALMI") not in changes.index  # ALMI defines it
    assert ("mortality", "C", "+ P/A") in changes.index
    assert list(found["outcome"].unique()) == ["falls", "mortality", "weak_grip", "sarcopenia", "low_muscle_mass"]
    said = verdicts(found)
    # A change of a few thousandths is significant among 12,000 people, and is not called an improvement.
    assert said[0].startswith("Beyond the covariates, P/A adds little to the prediction of ")
    assert "weak grip (AUC +0.0" in said[0]
    row = changes.loc[("falls", "AUC", "+ P/A")]
    falls = next(text for text in said if text.startswith("Falls in the last year ("))
    assert (
        f"of {row['value'] - row['change']:.3f}; P/A changes it by" in falls and "Beyond TMV, P/A changes it" in falls
    )
    assert ("which is no improvement" in falls) == (row["p_likelihood_ratio"] >= 0.05 or row["change"] <= 0)


@pytest.mark.parametrize(
    ("change", "p", "rival", "words"),
    [
        (
            0.02,
            1e-9,
            0.01,
            "P/A improves the prediction of falls in the last year (AUC +0.020). No other single marker",
        ),
        (0.02, 1e-9, 0.03, "(AUC +0.020). Another single marker adds more."),
        (0.004, 1e-9, 0.001, "P/A adds little to the prediction of falls in the last year (AUC +0.004)."),
        (0.004, 0.2, 0.001, "P/A does not improve the prediction of falls in the last year (AUC +0.004) beyond"),
        (-0.004, 1e-9, 0.001, "P/A does not improve the prediction of falls in the last year (AUC −0.004) beyond"),
    ],
)
def test_small_p_values_alone_make_no_improvement(change: float, p: float, rival: float, words: str) -> None:
    about = {"outcome": "falls", "measure": "AUC", "n": 900, "events": 90, "ci_low": -0.01, "ci_high": 0.05, "note": ""}
    rows = [("covariates", "", 0.6, np.nan, np.nan), ("+ P/A", "covariates", 0.6 + change, change, p),
            ("+ ALMI", "covariates", 0.6 + rival, rival, 0.01),
            ("+ P/A and TMV", "+ TMV", 0.61, 0.001, 0.3)]  # fmt: skip
    names = ("model", "against", "value", "change", "p_likelihood_ratio")
    said = verdicts(pd.DataFrame([about | dict(zip(names, row, strict=True)) for row in rows]))
    assert words in said[0]
    assert said[1].startswith(
        "Falls in the last year (90 of 900 people): the covariates alone have an AUC of 0.600; P/A"
    )
    assert "The best other single marker is ALMI" in said[1] and "Beyond TMV, P/A changes it by +0.001" in said[1]


def test_outcomes_with_too_few_events_are_named() -> None:
    few = cohort_of(12000, 4).analysed.head(600)
    said = verdicts(head_to_head(few, COVARIATES, outcomes=("falls", "mortality")).models)
    assert said[0].startswith("P/A does not improve the prediction of falls in the last year (AUC ")
    assert re.fullmatch(r"Death from any cause \(\d+ of \d+ people\): too few events to compare models\.", said[-1])


def test_bootstraps_remove_optimism_and_give_curves() -> None:
    table = cohort_of(12000, 4).analysed.head(1500)
    found = head_to_head(table, COVARIATES, outcomes=("falls",), bootstraps=20)
    plain = head_to_head(table, COVARIATES, outcomes=("falls",)).models
    assert (found.models["optimism"] > 0).all() and (found.models["value"] < plain["value"]).all()
    assert (found.models["ci_low"].dropna() < found.models["ci_high"].dropna()).all()
    base = found.calibration[found.calibration["model"] == "covariates"]
    assert base["n"].sum() == 1500
    # Maximum likelihood makes predicted and observed numbers equal.
    assert (base["predicted"] * base["n"]).sum() == pytest.approx((base["observed"] * base["n"]).sum())
    assert set(found.decision["model"]) >= {"everybody", "+ P/A"}
    again = head_to_head(table, COVARIATES, outcomes=("falls",), bootstraps=20)
    pd.testing.assert_frame_equal(found.models, again.models)
    # The Brier score stands beside the corrected AUC, so it is corrected too: it looked too small.
    assert (found.models["brier_optimism"] < 0).all() and plain["brier_optimism"].isna().all()
    np.testing.assert_allclose(found.models["brier"] + found.models["brier_optimism"], plain["brier"])


def test_the_corrected_brier_score_is_near_that_of_new_people() -> None:
    """Twelve regressors without effect, 300 people: the apparent score is far below that of anybody else."""
    rng = np.random.default_rng(11)
    apparent, corrected, true = [], [], []
    new = rng.normal(size=(20_000, 12))
    for _ in range(20):
        x, y = rng.normal(size=(300, 12)), (rng.random(300) < 0.3).astype(float)
        one = Fitted(x, fit_logistic(x, y))
        drawn = resampled({"model": one}, y, 40, rng)
        apparent.append(brier_score(one.risk, y))
        corrected.append(apparent[-1] - drawn.brier_optimism[0])
        predicted = Fitted(new, one.fit).risk
        true.append(float(np.mean(0.3 * (1 - predicted) ** 2 + 0.7 * predicted**2)))
    gap, left = np.mean(true) - np.mean(apparent), np.mean(true) - np.mean(corrected)
    assert gap > 0.01 and abs(left) < 0.25 * gap


def test_resampled_scores_are_those_of_models_fitted_to_the_drawn_people() -> None:
    rng = np.random.default_rng(12)
    x, y = rng.normal(size=(400, 2)), (rng.random(400) < 0.3).astype(float)
    one = Fitted(x, fit_logistic(x, y))
    found = resampled({"model": one}, y, 3, np.random.default_rng(5))
    again = np.random.default_rng(5)
    for repeat in range(3):
        chosen = again.integers(0, 400, 400)
        refit = Fitted(x[chosen], fit_logistic(x[chosen], y[chosen]))
        assert found.brier[repeat, 0] == pytest.approx(brier_score(refit.risk, y[chosen]), rel=1e-4)
        assert found.brier_tested[repeat, 0] == pytest.approx(brier_score(Fitted(x, refit.fit).risk, y), rel=1e-3)


def test_confounding_by_mass_is_found_and_removed() -> None:
    """P/A depends on volume and has no effect of its own: its odds ratio is far from 1 without volume, 1 with it."""
    made = draw_cohort(12000, 7, ineligible=0.0, pa_tmv_correlation=-0.7)
    people = check_participants(made.participants, read_fields(), "participants.csv")
    table = build_cohort(people, check_phenotypes(made.phenotypes, "phenotypes.csv")).analysed
    men = table[table["sex"] == "M"]
    assert np.corrcoef(men["pa_ratio"], men["tmv_cm3"])[0, 1] == pytest.approx(-0.7, abs=0.03)
    ask: dict[str, Any] = {"exposures": ("pa_ratio",), "outcomes": ("falls", "mortality")}
    without = associations(table, COVARIATES, **ask).summary.query("model == 'adjusted'").set_index("outcome")
    beside = associations(table, (*COVARIATES, "tmv_cm3"), **ask).summary.query("model == 'adjusted'")
    assert without.loc["falls", "ci_low"] > 1.1 and made.truth["odds_ratio_crude"]["pa_ratio"]["falls"] > 1.2
    for row in beside.itertuples():
        assert row.ci_low < made.truth["odds_ratio_adjusted_for_tmv"]["pa_ratio"][row.outcome] < row.ci_high
    found = head_to_head(table, COVARIATES, outcomes=("falls",)).models.set_index(["model", "against"])
    assert found.loc[("+ P/A", "covariates"), "p_likelihood_ratio"] < 1e-6
    assert found.loc[("+ P/A and TMV", "+ TMV"), "p_likelihood_ratio"] > 0.01


def test_markers_that_are_constant_or_covariates_are_left_out_and_said_to_be() -> None:
    table = cohort_of(12000, 4).analysed.head(2500).assign(pa_ratio=0.45)
    covariates = ("age", "sex", "tmv_cm3")
    models = head_to_head(table, covariates, follow_up(table), outcomes=("falls",), bootstraps=10).models
    assert "P/A is constant, or follows from the covariates: left out." in verdicts(models)[0]
    dated = models[models["measure"] == "C"]
    models = models[models["measure"] == "AUC"].set_index("model")
    for name in ("+ TMV", "+ P/A", "+ P/A and TMV"):
        assert "left out" in models.loc[name, "note"] and np.isnan(models.loc[name, "value"])
    assert np.isfinite(models.loc["+ ALMI", "change"]) and "+ P/A" not in set(dated["model"])
    drawn = np.random.default_rng(1).normal(size=(len(table), 120))
    many = pd.concat([table, pd.DataFrame(drawn, columns=[f"c{i}" for i in range(120)])], axis=1)
    few = head_to_head(many, [f"c{i}" for i in range(120)], outcomes=("falls",)).models
    assert few["note"].tolist() == ["too few events to compare models"]
