"""What can be asked: free exposures, outcomes and covariates, typed columns, plausible values, collinearity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import associations
from analysis.cohort import build_cohort
from analysis.covariate_types import ReadAs
from analysis.deaths import Register
from analysis.derived_columns import derive
from analysis.design import Covariates, variance_inflation
from analysis.errors import DataError
from analysis.fields import read_fields
from analysis.interactions import interactions
from analysis.logistic import fit_logistic
from analysis.odds_ratios import associate
from analysis.survival import follow_up
from analysis.thirds import tertiles
from analysis.trend import trend_as_printed
from analysis.validation import check_participants, check_phenotypes
from tests.analysis.r import needs_r, run_r
from tests.analysis.small_tables import checked, images, people
from tests.analysis.synthetic import cohort_of


def _typed(table: pd.DataFrame, name: str, **read_as: ReadAs) -> pd.Series:
    return check_participants(table, read_fields(), "participants.csv", also=(name,), read_as=read_as).table[name]


def test_coded_covariates_are_factors_with_missing_codes() -> None:
    coded = people().assign(p20116_i2=[-3, 0, 1, 2] * 10)
    assert _typed(coded, "smoking").tolist()[1:4] == ["never", "previous", "current"]
    assert _typed(coded, "p20116_i2").isna().sum() == 10
    cohort = build_cohort(
        check_participants(coded, read_fields(), "participants.csv", also=("smoking",)),
        check_phenotypes(images(), "p.csv"),
        covariates=("smoking",),
    )
    design = Covariates(cohort.analysed, ("smoking",)).of(np.ones(len(cohort.analysed), dtype=bool))
    assert design.names == ("smoking=previous", "smoking=current")
    assert len(cohort.analysed) == 30


@pytest.mark.parametrize("values", [[-3, 0, 1, 2], [11025, 11026, 11027, 11028], [1, 2, 3, 4]])
def test_codes_of_an_unknown_column_are_refused_with_the_option_that_answers(values: list[int]) -> None:
    with pytest.raises(DataError, match=r"may be codes or numbers.*--read-as mine=factor") as caught:
        _typed(people().assign(mine=values * 10), "mine")
    assert ("factor,-3" in str(caught.value)) == (-3 in values)


def test_negative_codes_among_a_measurement_are_refused_too() -> None:
    hours = np.arange(40.0).round() * 1.0
    hours[:3] = [-1, -3, -1]
    with pytest.raises(DataError, match=r"--read-as tv=number,-3,-1"):
        _typed(people().assign(tv=hours), "tv")
    assert _typed(people().assign(tv=hours), "tv", tv=ReadAs("number", ("-1", "-3"))).isna().sum() == 3
    assert _typed(people().assign(tv=hours + 0.5), "tv").notna().all()


def test_own_columns_are_read_as_told_and_text_is_a_factor() -> None:
    table = people().assign(mine=[-3, 0, 1, 2] * 10, town=["York", "Bath", "Prefer not to answer", "Hull"] * 10)
    told = _typed(table, "mine", mine=ReadAs("factor", ("-3",)))
    assert told.tolist()[:4] == [pd.NA, "0", "1", "2"]
    assert _typed(table, "mine", mine=ReadAs("number", ("-3",))).tolist()[1:4] == [0.0, 1.0, 2.0]
    assert _typed(table, "town").tolist()[:2] == ["York", "Bath"] and _typed(table, "town").isna().sum() == 10
    with pytest.raises(DataError, match="300 different texts"):
        _typed(people(300).assign(town=[f"t{i}" for i in range(300)]), "town")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda p, i: (p, i.assign(pa_ratio=1 / i["pa_ratio"])), "probably anterior over posterior"),
        (lambda p, i: (p, i.assign(pa_ratio=100 * i["pa_ratio"])), "per cent where a ratio"),
        (lambda p, i: (p, i.assign(lr_asymmetry=100 * i["lr_asymmetry"])), "per cent where a fraction"),
        (lambda p, i: (p, i.assign(hamstrings_cm3=900.0, quadriceps_cm3=1800.0)), "not hamstrings_cm3 over"),
        (lambda p, i: (p.assign(sex=p["sex"].map({"F": "M", "M": "F"})), i), "men have less height and grip"),
        (lambda p, i: (p.assign(grip_left_kg=p["grip_left_kg"] * 2.2046), i), "values of pounds"),
        (lambda p, i: (p.assign(height_cm=p["height_cm"] / 2.54), i), "values of inches"),
    ],
)
def test_implausible_tables_are_refused_with_the_likely_cause(spoil, says) -> None:  # type: ignore[no-untyped-def]
    table = people(80)
    man = table["sex"] == "M"
    table["height_cm"] += np.where(man, 6.0, -6.0)
    table["weight_kg"] += np.where(man, 8.0, -8.0)
    table[["grip_left_kg", "grip_right_kg"]] += np.where(man, 8.0, -8.0)[:, None]
    mri = images(80)
    build_cohort(checked(table), check_phenotypes(mri, "p.csv"), covariates=())
    first, second = spoil(table, mri)
    with pytest.raises(DataError, match=says):
        build_cohort(checked(first), check_phenotypes(second, "p.csv"), covariates=())


def test_only_deaths_after_imaging_and_before_the_end_count_in_both_models() -> None:
    table = people().drop(columns="died").assign(imaging_date="2016-01-01")
    table["p40000_i0"] = ["2015-12-31", "2016-01-01", "2018-06-01", "2021-06-01"] + [None] * 36
    end = Register(pd.Timestamp("2020-12-31"), stated=True)
    joined = checked(table).table.merge(images(), on="eid")
    logistic = derive(joined, register=end)["mortality"]
    cox = follow_up(derive(joined, register=end), end)
    assert logistic.isna().tolist()[:4] == [True, True, False, False]
    assert logistic.tolist()[2:5] == [1.0, 0.0, 0.0]
    np.testing.assert_array_equal(np.nan_to_num(logistic, nan=-1), np.nan_to_num(cox.died, nan=-1))


def test_any_column_can_be_exposure_outcome_covariate_or_modifier() -> None:
    table = cohort_of(12000, 4).analysed
    ask: dict[str, Any] = {"exposures": ("tmv_cm3", "pa_ratio"), "outcomes": ("falls", "probable_sarcopenia")}
    rows = associations(table, ("age", "sex", "tmv_cm3"), **ask).summary
    adjusted = rows[(rows["model"] == "adjusted") & (rows["outcome"] == "falls")].set_index("exposure")
    expected = associate(table, "tmv_cm3", "falls", tertiles(table["tmv_cm3"].to_numpy()), ("age", "sex"), "adjusted")
    assert adjusted.loc["tmv_cm3", "odds_ratio"] == expected.odds_ratio  # an exposure is not adjusted for itself
    tests = interactions(table, ("age", "sex"), ("sex", "activity", "bmi"), **ask)
    assert len(tests) == 12 and tests["p_interaction"].notna().sum() >= 10
    with pytest.raises(DataError, match="values other than 0 and 1"):
        build_cohort(checked(people()), check_phenotypes(images(), "p.csv"), outcomes=("age",))


@needs_r
def test_collinear_covariates_and_separated_events_are_told_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    n = 800
    x = (rng.random(n) < 0.5).astype(float)
    a = rng.normal(size=n)
    near = a + 3e-5 * rng.normal(size=n)
    y = (rng.random(n) < 1 / (1 + np.exp(1.5 - 0.5 * x - 0.4 * a))).astype(float)
    fit = fit_logistic(np.column_stack([x, a, near]), y)
    r = run_r(
        """
        f <- glm(y ~ x + a + near, binomial, d, control = glm.control(epsilon = 1e-14))
        out("f", c(coef(f)[2], coef(summary(f))[2, 2])); out("se", coef(summary(f))[3, 2])
        g <- lm(near ~ x + a, d); out("vif", 1 / (1 - summary(g)$r.squared))
        d$band <- cut(d$a, c(-9, -.5, .5, 9)); i <- glm(y ~ x * band, binomial, d); j <- glm(y ~ x + band, binomial, d)
        out("lr", anova(j, i, test = "LRT")[2, 5])
        """,
        tmp_path,
        d=pd.DataFrame({"y": y, "x": x, "a": a, "near": near}),
    )
    assert fit.converged and not fit.separated
    np.testing.assert_allclose([fit.coefficients[1], fit.standard_errors[1]], r["f"], rtol=1e-6)
    np.testing.assert_allclose(fit.standard_errors[2], r["se"][0], rtol=1e-3)
    np.testing.assert_allclose(variance_inflation(near, np.column_stack([x, a])), r["vif"][0], rtol=1e-4)
    apart = fit_logistic(np.column_stack([x, a > 0, near]), (a > 0).astype(float))
    assert apart.separated
    table = pd.DataFrame({"y": y, "x": x + np.arange(n) * 1e-9, "band": pd.cut(a, [-9, -0.5, 0.5, 9]).astype(str)})
    groups = type(tertiles(x))(np.where(x == 1, 2, 0).astype(np.int8), 0.0, 1.0)
    from analysis.interactions import _interaction_p  # the exposure's thirds are given here

    ours, reason = _interaction_p(table, "y", groups, Covariates(table, ()), Covariates(table, ("band",)))
    assert ours == pytest.approx(r["lr"][0], rel=1e-6) and reason == ""


def test_a_covariate_near_the_exposure_is_estimated_with_its_inflation_noted() -> None:
    table = cohort_of(12000, 4).analysed.head(3000)
    groups = tertiles(table["pa_ratio"].to_numpy())
    high = (groups.group == 2).astype(float)
    noisy = table.assign(near=high + 0.02 * np.random.default_rng(1).normal(size=len(table)))
    row = associate(noisy, "pa_ratio", "falls", groups, ("age", "near"), "adjusted")
    assert row.method == "maximum likelihood" and row.converged and row.variance_inflation > 100
    assert "variance inflation" in row.note and "separated" not in row.note


@needs_r
def test_the_trend_statistic_as_printed_is_the_papers_formula(tmp_path: Path) -> None:
    events, totals = np.array([83.0, 90, 129, 70]), np.array([86.0, 93, 136, 82])
    r = run_r(
        """
        x <- c(83, 90, 129, 70); n <- c(86, 93, 136, 82); w <- 1:4; p <- sum(x) / sum(n)
        out("z", sum(w * (x / n - p)) / sqrt(p * (1 - p) * sum(w^2 / n)))
        """,
        tmp_path,
    )
    assert trend_as_printed(events, totals) == pytest.approx(r["z"][0], rel=1e-12)
    assert np.isnan(trend_as_printed(np.zeros(3), totals[:3]))
