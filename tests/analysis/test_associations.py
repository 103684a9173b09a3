"""Odds ratios: the truth is recovered, R agrees, and numbers that the data do not determine are not printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import associations, sex_stratified
from analysis.definitions import COVARIATES, EXPOSURES, OUTCOMES
from analysis.design import Covariates
from analysis.odds_ratios import associate
from analysis.sensitivity import per_sd
from analysis.thirds import tertiles
from phantom.cohort_model import OUTCOMES as MADE
from tests.analysis.r import needs_r, run_r
from tests.analysis.synthetic import cohort_of, drawn

_N, _SEED = 12000, 4


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return cohort_of(_N, _SEED).analysed


@pytest.fixture(scope="module")
def summary(table: pd.DataFrame) -> pd.DataFrame:
    return associations(table, COVARIATES).summary


def test_true_odds_ratios_lie_inside_the_intervals(summary: pd.DataFrame) -> None:
    """Of 15 intervals of 95%, three or more miss the truth with a probability of 4%; the seed is fixed."""
    truth = drawn(_N, _SEED).truth["odds_ratio_adjusted"]
    adjusted = summary[(summary["model"] == "adjusted") & summary["outcome"].isin(truth["pa_ratio"])]
    wanted = np.array([truth[row.exposure][row.outcome] for row in adjusted.itertuples()])
    inside = (adjusted["ci_low"] <= wanted) & (wanted <= adjusted["ci_high"])
    assert len(adjusted) == 15 and inside.sum() >= 13
    # The estimates are informative: intervals of common outcomes are narrow, and the effect on weak grip is found.
    weak = adjusted[(adjusted["exposure"] == "pa_ratio") & (adjusted["outcome"] == "weak_grip")].iloc[0]
    assert weak["ci_low"] > 1.2 and weak["ci_high"] / weak["ci_low"] < 1.6


def test_the_table_has_the_promised_columns_first(summary: pd.DataFrame) -> None:
    promised = (
        "exposure outcome model n_low n_high events_low events_high odds_ratio ci_low ci_high p_value "
        "low_cut high_cut converged"
    )
    assert list(summary.columns[:14]) == promised.split()
    assert set(summary["exposure"]) == set(EXPOSURES) and set(summary["outcome"]) == set(OUTCOMES)
    assert len(summary) == 2 * len(EXPOSURES) * len(OUTCOMES)


@needs_r
def test_adjusted_models_of_the_cohort_agree_with_r(table: pd.DataFrame, summary: pd.DataFrame, tmp_path: Path) -> None:
    groups = tertiles(table["pa_ratio"].to_numpy())
    data = table[["sex", "age", "bmi", "activity", "weak_grip", "sarcopenia"]].assign(group=groups.group)
    r = run_r(
        """
        d <- d[d$group != 1, ]; d$high <- d$group == 2
        for (outcome in c("weak_grip", "sarcopenia")) {
          f <- glm(reformulate(c("high", "age", "sex", "bmi", "activity"), outcome), family = binomial, data = d,
                   control = glm.control(epsilon = 1e-14))
          out(outcome, c(exp(coef(f)[2]), exp(suppressMessages(confint(f, "highTRUE"))), coef(summary(f))[2, 4]))
        }
        """,
        tmp_path,
        d=data,
    )
    for outcome in ("weak_grip", "sarcopenia"):
        row = summary[
            (summary["exposure"] == "pa_ratio") & (summary["outcome"] == outcome) & (summary["model"] == "adjusted")
        ].iloc[0]
        ours = row[["odds_ratio", "ci_low", "ci_high", "p_value"]].to_numpy(dtype=float)
        np.testing.assert_allclose(ours[0], r[outcome][0], rtol=1e-8)
        np.testing.assert_allclose(ours[1:3], r[outcome][1:3], atol=1e-4)
        np.testing.assert_allclose(ours[3], r[outcome][3], rtol=1e-5)


def test_by_sex_the_sexes_add_up_and_no_interaction_is_found(table: pd.DataFrame, summary: pd.DataFrame) -> None:
    both = sex_stratified(table, COVARIATES, exposures=("pa_ratio",))
    for outcome in MADE:
        parts = both[both["outcome"] == outcome]
        whole = summary[(summary["exposure"] == "pa_ratio") & (summary["outcome"] == outcome)].iloc[0]
        assert parts["events_high"].sum() == whole["events_high"] and parts["n_low"].sum() == whole["n_low"]
        assert parts["p_interaction"].nunique() == 1
    assert both["p_interaction"].min() > 0.005  # there is no true interaction


@needs_r
def test_interaction_and_likelihood_ratio_agree_with_r(
    table: pd.DataFrame, summary: pd.DataFrame, tmp_path: Path
) -> None:
    groups = tertiles(table["pa_ratio"].to_numpy())
    data = table[["sex", "age", "bmi", "activity", "weak_grip"]].assign(group=groups.group)
    r = run_r(
        """
        d <- d[d$group != 1, ]; d$high <- d$group == 2
        f <- glm(weak_grip ~ high + age + sex + bmi + activity, binomial, d)
        out("interaction", anova(f, update(f, . ~ . + high:sex), test = "LRT")[2, 5])
        out("lr", anova(update(f, . ~ . - high), f, test = "LRT")[2, 5])
        """,
        tmp_path,
        d=data,
    )
    rows = sex_stratified(table, COVARIATES, exposures=("pa_ratio",), outcomes=("weak_grip",))
    assert rows["p_interaction"].iloc[0] == pytest.approx(r["interaction"][0], rel=1e-6)
    ours = summary.query("exposure == 'pa_ratio' and outcome == 'weak_grip' and model == 'adjusted'").iloc[0]
    assert ours["p_likelihood_ratio"] == pytest.approx(r["lr"][0], rel=1e-6)


def test_bh_column_is_over_the_odds_ratios_of_one_model(summary: pd.DataFrame) -> None:
    for model in ("crude", "adjusted"):
        rows = summary[summary["model"] == model].dropna(subset="p_value").sort_values("p_value", ascending=False)
        steps = rows["p_value"].to_numpy() * len(rows) / np.arange(len(rows), 0, -1)
        expected = np.minimum.accumulate(steps).clip(max=1)
        np.testing.assert_allclose(rows["p_bh"], expected)


def test_fixed_cuts_reach_the_models_by_sex(table: pd.DataFrame) -> None:
    rows = sex_stratified(
        table, COVARIATES, exposures=("pa_ratio",), outcomes=("falls",), cuts={"pa_ratio": (0.4, 0.5)}
    )
    assert rows["n_low"].sum() == (table["pa_ratio"] <= 0.4).sum()
    assert rows["n_high"].sum() == (table["pa_ratio"] > 0.5).sum()


def _small(events_low: int, events_high: int, n: int = 60) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    group = np.repeat([0, 2], n)
    died = np.concatenate([np.arange(n) < events_low, np.arange(n) < events_high]).astype(float)
    table = pd.DataFrame(
        {
            "mortality": died,
            "age": rng.normal(65, 8, 2 * n),
            "sex": "M",
            "bmi": rng.normal(26, 4, 2 * n),
            "activity": rng.choice(["low", "moderate", "high"], 2 * n),
        }
    )
    return table, group.astype(np.int8)


@pytest.mark.parametrize("model", ["crude", "adjusted"])
def test_no_events_in_a_third_give_a_finite_flagged_odds_ratio(model: str) -> None:
    table, group = _small(0, 6)
    groups = tertiles(np.arange(120.0))
    groups = type(groups)(group, 0.0, 1.0)
    row = associate(table, "pa_ratio", "mortality", groups, COVARIATES if model == "adjusted" else (), model)
    assert row.method == "firth" and "an empty cell" in row.note
    assert np.isfinite([row.odds_ratio, row.ci_low, row.ci_high]).all() and row.odds_ratio > 1
    if model == "crude":
        assert row.odds_ratio == pytest.approx((6.5 / 54.5) / (0.5 / 60.5), rel=1e-5)


@pytest.mark.parametrize(("low", "high", "says"), [(0, 0, "no events"), (60, 60, "everyone has the outcome")])
def test_an_outcome_that_nobody_or_everybody_has_is_not_estimable(low: int, high: int, says: str) -> None:
    table, group = _small(low, high)
    groups = type(tertiles(np.arange(9.0)))(group, 0.0, 1.0)
    row = associate(table, "pa_ratio", "mortality", groups, (), "crude")
    assert np.isnan([row.odds_ratio, row.ci_low, row.ci_high, row.p_value]).all()
    assert not row.converged and says in row.note


def test_a_constant_covariate_is_dropped_and_noted() -> None:
    table, group = _small(20, 30)
    groups = type(tertiles(np.arange(9.0)))(group, 0.0, 1.0)
    row = associate(table, "pa_ratio", "mortality", groups, ("age", "sex"), "adjusted")
    without = associate(table, "pa_ratio", "mortality", groups, ("age",), "adjusted")
    assert "sex=M is constant: dropped" in row.note and row.converged
    assert row.odds_ratio == without.odds_ratio


def test_a_covariate_that_follows_from_others_is_dropped() -> None:
    table, _ = _small(1, 1)
    everyone = np.ones(len(table), dtype=bool)
    design = Covariates(table.assign(months=table["age"] * 12), ("age", "months")).of(everyone)
    assert design.names == ("age",) and "follows from" in design.notes[0]


def test_an_exposure_with_one_value_leaves_an_empty_group() -> None:
    table = cohort_of(_N, _SEED).analysed.head(300).assign(pa_ratio=0.45)
    summary = associations(table, COVARIATES, exposures=("pa_ratio",), outcomes=("falls",)).summary
    assert summary["odds_ratio"].isna().all() and summary["note"].str.contains("a group of nobody").all()


def test_missing_outcomes_leave_only_their_own_models() -> None:
    table = cohort_of(_N, _SEED).analysed.head(3000).copy()
    table.loc[table.index[:1200], "falls"] = np.nan  # 40% missing
    summary = associations(table, COVARIATES, exposures=("pa_ratio",), outcomes=("falls", "weak_grip")).summary
    n = (summary["n_low"] + summary["n_high"]).to_numpy()
    assert n[2] == 2000 and 1100 < n[0] < 1300


def test_a_model_that_people_cannot_determine_has_no_odds_ratio() -> None:
    rng = np.random.default_rng(3)
    names = [f"c{i}" for i in range(150)]
    table = pd.DataFrame(rng.normal(size=(240, 150)), columns=names)
    table = table.assign(x=rng.normal(size=240), y=(rng.random(240) < 0.3).astype(float))
    groups = tertiles(table["x"].to_numpy())
    saturated = associate(table, "x", "y", groups, names, "adjusted")
    assert np.isnan(saturated.odds_ratio) and "more coefficients than half the people" in saturated.note
    assert "not estimable" in per_sd(table, names, exposures=("x",), outcomes=("y",))["note"].iloc[0]
    copies = table.assign(**{f"d{i}": table["c0"] + i * table["c1"] for i in range(9)})
    found = associate(copies, "x", "y", groups, ["c0", "c1", *(f"d{i}" for i in range(9))], "adjusted")
    assert np.isfinite(found.odds_ratio) and "9 covariates follow from the others: dropped" in found.note
    determined = associate(table.assign(third=groups.group), "x", "y", groups, ["third"], "adjusted")
    assert np.isnan(determined.odds_ratio) and "collinear" in determined.note


def test_models_that_share_their_people_give_what_each_gives_alone() -> None:
    """Designs are kept for the next outcome; another exposure or other people must not be given the last one."""
    table = cohort_of(_N, _SEED).analysed.head(900).copy()
    table.loc[table.index[:200], "falls"] = np.nan
    shared, asked = Covariates(table, COVARIATES), ("weak_grip", "falls", "mortality", "weak_grip")
    for exposure in ("pa_ratio", "lr_asymmetry_dexa"):
        groups = tertiles(table[exposure].to_numpy(dtype=float))
        for outcome in asked:
            together = associate(table, exposure, outcome, groups, shared, "adjusted")
            assert together == associate(table, exposure, outcome, groups, COVARIATES, "adjusted")
            assert together.method in ("maximum likelihood", "firth")


def test_thirds_that_ties_made_unequal_are_said() -> None:
    table = pd.DataFrame({"falls": [0.0, 1, 0, 0] * 75, "steps": [0.0] * 150 + [1.0] * 60 + [2.0] * 90})
    table["measured"] = np.linspace(0, 1, 300)
    row, other = associations(table, (), exposures=("steps", "measured"), outcomes=("falls",)).rows
    assert (row.n_low, row.n_high) == (150, 90)
    assert row.note == "equal values: thirds of 150, 60 and 90 people"
    assert other.note == ""
    fixed = associations(table, (), exposures=("steps",), outcomes=("falls",), cuts={"steps": (0.5, 1.5)}).rows[0]
    assert fixed.note == ""
