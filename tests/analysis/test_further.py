"""Survival curves, curves of odds ratios, groups and muscle quality, against R and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.by_group import table_by_group
from analysis.competing_tables import composition_table
from analysis.composition import add_composition, composition_associations, volume_z_scores
from analysis.curves import odds_ratio_curves
from analysis.definitions import COVARIATES
from analysis.kaplan_meier import log_rank_p, survival_curve
from analysis.mediation import mediate, mediation_table
from analysis.survival import follow_up
from analysis.thirds import tertiles
from tests.analysis.r import needs_survival, run_r
from tests.analysis.synthetic import cohort_of


@needs_survival
def test_survival_and_odds_ratio_curves_agree_with_r(tmp_path: Path) -> None:
    table = cohort_of(12000, 4).analysed.head(2500)
    rng = np.random.default_rng(1)
    time, died = np.ceil(rng.exponential(30, len(table))) / 2, (rng.random(len(table)) < 0.3).astype(float)
    group = tertiles(table["pa_ratio"].to_numpy()).group.astype(int)
    columns = ["sex", "age", "bmi", "activity", "falls", "pa_ratio"]
    r = run_r(
        """
        library(survival); library(splines)
        f <- survfit(Surv(time, died) ~ 1, d); i <- which(f$n.event > 0); i <- i[c(1, 10, 30)]
        out("km", c(f$surv[i], f$lower[i], f$upper[i], f$n.risk[i]))
        out("p", pchisq(survdiff(Surv(time, died) ~ group, d)$chisq, 2, lower.tail = FALSE))
        k <- quantile(d$pa_ratio, c(.05, .35, .65, .95))
        B <- function(x) ns(x, knots = k[2:3], Boundary.knots = k[c(1, 4)])
        g <- glm(falls ~ B(pa_ratio) + age + sex + bmi + activity, binomial, d)
        at <- quantile(d$pa_ratio, c(.01, .99)); x <- B(at) - B(rep(median(d$pa_ratio), 2)); j <- 2:4
        e <- x %*% coef(g)[j]; s <- sqrt(diag(x %*% vcov(g)[j, j] %*% t(x)))
        out("or", exp(c(e, e - qnorm(.975) * s, e + qnorm(.975) * s)))
        """,
        tmp_path,
        d=table[columns].assign(time=time, died=died, group=group),
    )
    curve = survival_curve(time, died)
    some = [0, 9, 29]
    ours = np.concatenate([curve.alive[some], curve.low[some], curve.high[some], curve.at_risk[some]])
    np.testing.assert_allclose(ours, r["km"], rtol=1e-8)
    assert log_rank_p(time, died, group, [0, 1, 2]) == pytest.approx(r["p"][0], rel=1e-6)
    ends = odds_ratio_curves(table, "pa_ratio", ("falls",), COVARIATES).iloc[[0, -1]]
    np.testing.assert_allclose(ends[["odds_ratio", "ci_low", "ci_high"]].to_numpy().T.ravel(), r["or"], rtol=1e-5)


def test_groups_add_up_and_skewed_measures_have_a_median() -> None:
    table = cohort_of(12000, 4).analysed.head(900).copy()
    table.loc[table.index[:30], "bmi"] = np.nan
    table["weight_kg"] = np.exp(table["weight_kg"] / 15)
    made = table_by_group(table)
    thirds = made[made["by"] == "third of pa_ratio"]
    bmi = thirds[thirds["variable"] == "bmi"]
    assert bmi["people"].sum() == 900 and bmi["missing"].sum() == 30 and bmi["n"].sum() == 870
    weight = thirds[(thirds["variable"] == "weight_kg") & (thirds["group"] == "lowest third")].iloc[0]
    low = table[tertiles(table["pa_ratio"].to_numpy()).group == 0]["weight_kg"]
    assert weight["statistic"] == "median, quartiles" and weight["first"] == pytest.approx(low.median())
    assert made[made["by"] == "sarcopenia"]["group"].nunique() == 3


def test_muscle_quality_is_defined_within_each_sex() -> None:
    made = add_composition(cohort_of(12000, 4).analysed)
    assert made.groupby("sex")["low_specific_strength"].mean().to_numpy() == pytest.approx([0.2, 0.2], abs=0.01)
    share = made["adverse_muscle_composition"].mean()
    assert 0.02 < share < 0.12  # 1/16 if fat and volume were independent; 10.5% in UK Biobank (Linge 2021)
    adverse = made[made["adverse_muscle_composition"] == 1]
    for sex in ("M", "F"):
        everybody = made.loc[made["sex"] == sex, "muscle_fat_fraction"]
        assert adverse.loc[adverse["sex"] == sex, "muscle_fat_fraction"].min() > everybody.quantile(0.74)
    assert adverse["muscle_volume_z"].max() <= made["muscle_volume_z"].quantile(0.26)
    assert (made["muscle_composition"] == "adverse").sum() == len(adverse)
    assert made["muscle_composition"].isin(["normal", "high fat only"]).mean() == pytest.approx(0.75, abs=0.01)


def test_the_z_score_of_volume_does_not_depend_on_sex_weight_and_height() -> None:
    table = cohort_of(12000, 4).analysed
    z = volume_z_scores(table)
    assert z.groupby(table["sex"]).mean().to_numpy() == pytest.approx([0, 0], abs=1e-9)
    assert z.groupby(table["sex"]).std().to_numpy() == pytest.approx([1, 1], abs=0.01)
    for sex in ("M", "F"):
        rows = table["sex"] == sex
        for name in ("height_cm", "weight_kg", "bmi"):
            assert abs(np.corrcoef(z[rows], table.loc[rows, name])[0, 1]) < 0.02


@needs_survival
def test_groups_of_composition_are_compared_as_r_does(tmp_path: Path) -> None:
    table = add_composition(cohort_of(12000, 4).analysed.head(6000))
    followed = follow_up(table)
    made = composition_associations(table, ("age", "sex"), followed)
    r = run_r(
        """
        library(survival); d$g <- relevel(factor(d$g), "normal")
        w <- c("glow volume only", "ghigh fat only", "gadverse")
        f <- summary(glm(falls ~ g + age + sex, binomial, d))$coefficients[w, ]
        h <- summary(coxph(Surv(years, died) ~ g + age + sex, d))$coefficients[w, ]
        out("odds", c(exp(f[, 1]), f[, 4])); out("hazard", c(h[, 2], h[, 5]))
        """,
        tmp_path,
        d=pd.DataFrame({"g": table["muscle_composition"], "falls": table["falls"], "age": table["age"],
                        "sex": table["sex"], "years": followed.years, "died": followed.died}),
    )  # fmt: skip
    for outcome, measure, name in (("falls", "odds ratio", "odds"), ("mortality", "hazard ratio", "hazard")):
        part = made[(made["outcome"] == outcome) & (made["measure"] == measure)].iloc[1:]
        np.testing.assert_allclose([*part["ratio"], *part["p_value"]], r[name], rtol=1e-5)
    assert composition_table(made).rows[0][2] == "normal"
    nobody = table.assign(muscle_composition=pd.NA)
    assert composition_associations(nobody, (), followed).empty


def test_without_muscle_fat_composition_is_not_known() -> None:
    table = cohort_of(12000, 4).analysed.head(300).drop(columns="muscle_fat_fraction")
    assert add_composition(table)["adverse_muscle_composition"].isna().all()
    assert isinstance(add_composition(table), pd.DataFrame)


@needs_survival
def test_mediation_is_the_closed_form_of_linear_models_and_finds_the_truth(tmp_path: Path) -> None:
    """Truth: 0.5 per SD directly, and 0.6 * 0.8 through the mediator."""
    rng = np.random.default_rng(2)
    n = 3000
    c, x = rng.normal(size=n), rng.normal(size=n)
    m = 0.6 * x + 0.3 * c + rng.normal(size=n)
    y = 0.5 * x + 0.8 * m - 0.4 * c + rng.normal(size=n)
    r = run_r(
        """
        d$x <- d$x / sd(d$x); a <- lm(m ~ c + x, d); b <- lm(y ~ c + x + m, d); t <- lm(y ~ c + x, d)
        out("parts", c(coef(t)["x"], coef(b)["x"], coef(a)["x"] * coef(b)["m"]))
        """,
        tmp_path,
        d=pd.DataFrame({"c": c, "x": x, "m": m, "y": y}),
    )
    found = mediate(x, m, y, c[:, None])
    np.testing.assert_allclose([found.total, found.direct, found.indirect], r["parts"], rtol=1e-8)
    sd = float(x.std(ddof=1))
    assert found.direct_low < 0.5 * sd < found.direct_high and found.indirect_low < 0.48 * sd < found.indirect_high
    table = cohort_of(12000, 4).analysed.head(1500)
    made = mediation_table(table, COVARIATES)
    assert ("weak_grip", "grip_kg") not in set(zip(made["outcome"], made["mediator"], strict=True)) and len(made) == 5
    assert table["mortality"].sum() < 35 and "mortality" not in set(made["outcome"])  # an interval would end at 0


def test_groups_of_nobody_and_determined_mediators_are_left_out() -> None:
    rng = np.random.default_rng(1)
    time, died = rng.exponential(5, 90), np.ones(90)
    group = np.repeat([0, 1, 2], 30)
    assert np.isnan(log_rank_p(time, died, np.zeros(90, dtype=int), [0, 1, 2]))
    two = log_rank_p(time, died, np.where(group == 2, 1, group), [0, 1, 2])
    assert two == pytest.approx(log_rank_p(time, died, np.where(group == 2, 1, group), [0, 1]))
    table = cohort_of(12000, 4).analysed.head(800)
    twin = table.assign(tmv_cm3=1000 * table["pa_ratio"] + table["age"])
    made = mediation_table(twin, ("age",), outcomes=("falls",))
    assert "tmv_cm3" not in set(made["mediator"]) and "almi" in set(made["mediator"])


def test_a_group_that_left_before_the_first_death_says_nothing_in_the_log_rank_test() -> None:
    time, died = np.array([1.0, 1, 1, 5, 6, 7, 8, 9]), np.array([0.0, 0, 0, 1, 1, 1, 0, 1])
    group = np.array([0, 0, 0, 1, 2, 1, 2, 1])
    there = group > 0
    with_it, without = (
        log_rank_p(t, d, g, [0, 1, 2]) for t, d, g in ((time, died, group), (time[there], died[there], group[there]))
    )
    assert with_it == pytest.approx(without)
    assert np.isnan(log_rank_p(time[:4], died[:4], group[:4], [0, 1, 2]))
