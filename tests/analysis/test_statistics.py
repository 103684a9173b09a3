"""Correlation, trend, decline and tertiles, compared with R and printed figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.describe import table_one
from analysis.limits_of_agreement import agreement, fisher_interval
from analysis.multiplicity import benjamini_hochberg, e_value, e_value_of_interval
from analysis.thirds import tertiles
from analysis.trend import age_group, cochran_armitage, decline_per_decade
from tests.analysis.r import needs_r, run_r
from tests.analysis.synthetic import cohort_of


@needs_r
def test_correlations_and_lines_agree_with_r(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(10, 2, 300).round(1)  # rounded: ties matter to Spearman
    y = 0.7 * x + rng.normal(0, 1.5, 300)
    ours = agreement(x, y)
    r = run_r(
        """
        p <- cor.test(d$x, d$y); out("p", c(p$estimate, p$conf.int))
        out("s", cor(d$x, d$y, method = "spearman"))
        out("line", coef(lm(y ~ x, d)))
        s <- summary(lm(y ~ x, d))$coefficients; out("slope", s[2, ])
        out("bh", p.adjust(c(0.01, 0.04, 0.03, NA, 0.2), method = "BH"))
        """,
        tmp_path,
        d=pd.DataFrame({"x": x, "y": y}),
    )
    np.testing.assert_allclose([ours.pearson, ours.pearson_low, ours.pearson_high], r["p"], rtol=1e-10)
    np.testing.assert_allclose(ours.spearman, r["s"][0], rtol=1e-10)
    np.testing.assert_allclose([ours.intercept, ours.slope], r["line"], rtol=1e-9)
    line = decline_per_decade(y, x)
    slope, error, _, p_value = r["slope"]
    np.testing.assert_allclose(
        [line.per_decade, line.low, line.high, line.p_value],
        [10 * slope, 10 * (slope - 1.96 * error), 10 * (slope + 1.96 * error), p_value],
        rtol=1e-8,
    )
    np.testing.assert_allclose(benjamini_hochberg(np.array([0.01, 0.04, 0.03, np.nan, 0.2])), r["bh"], rtol=1e-12)


@needs_r
def test_the_curve_of_a_decline_agrees_with_natural_splines_in_r(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    age = rng.uniform(50, 85, 700).round(1)
    bent = 8 - 0.003 * (age - 50) ** 2 + rng.normal(0, 0.8, 700)
    straight = 8 - 0.02 * age + rng.normal(0, 0.8, 700)
    r = run_r(
        """
        library(splines); k <- quantile(d$age, c(.05, .35, .65, .95))
        for (y in c("bent", "straight")) {
          line <- lm(reformulate("age", y), d)
          curve <- lm(reformulate("ns(age, knots = k[2:3], Boundary.knots = k[c(1, 4)])", y), d)
          out(y, anova(line, curve)[2, "Pr(>F)"])
        }
        """,
        tmp_path,
        d=pd.DataFrame({"age": age, "bent": bent, "straight": straight}),
    )
    for name, values in (("bent", bent), ("straight", straight)):
        assert decline_per_decade(values, age).p_nonlinear == pytest.approx(r[name][0], rel=1e-6)
    assert r["bent"][0] < 0.05 < r["straight"][0]


def test_a_line_over_two_ages_has_no_curve() -> None:
    assert np.isnan(decline_per_decade(np.arange(20.0) % 7, np.repeat([60.0, 70.0], 10)).p_nonlinear)


@needs_r
def test_trend_agrees_with_prop_trend_test_on_its_own_example(tmp_path: Path) -> None:
    """Smokers among lung patients (Fleiss 1981), the example of R's help page: chi-square 8.2249."""
    smokers, patients = np.array([83.0, 90, 129, 70]), np.array([86.0, 93, 136, 82])
    ours = cochran_armitage(smokers, patients)
    r = run_r(
        "t <- prop.trend.test(c(83, 90, 129, 70), c(86, 93, 136, 82)); out('t', c(t$statistic, t$p.value))", tmp_path
    )
    np.testing.assert_allclose([ours.statistic, ours.p_value], r["t"], rtol=1e-8)
    assert ours.statistic == pytest.approx(8.2249, abs=1e-4)


def test_trend_without_events_is_not_a_number() -> None:
    assert np.isnan(cochran_armitage(np.zeros(4), np.full(4, 10.0)).p_value)


def test_fisher_interval_of_the_paper_is_narrow() -> None:
    low, high = fisher_interval(0.936, 37004)
    assert (round(low, 3), round(high, 3)) == (0.935, 0.937)


def test_lin_and_bland_altman_by_hand() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0])
    ours = agreement(x, x + 1.0)
    assert ours.concordance == pytest.approx(2 * 1.25 / (1.25 + 1.25 + 1.0))
    assert (ours.bias, ours.limit_low, ours.limit_high) == pytest.approx((-1.0, -1.0, -1.0))
    assert ours.pearson == pytest.approx(1.0)


def test_a_constant_measure_has_no_correlation() -> None:
    assert np.isnan(agreement(np.ones(10), np.arange(10.0)).pearson)


def test_thirds_have_the_papers_size() -> None:
    groups = tertiles(np.random.default_rng(0).normal(size=37004))
    assert [int((groups.group == third).sum()) for third in (0, 1, 2)] == [12335, 12334, 12335]


def test_values_equal_to_a_cut_go_to_the_lower_group() -> None:
    groups = tertiles(np.array([1.0, 1, 1, 1, 2, 2, 2, 3, 3, np.nan]))
    assert groups.group.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, -1]
    fixed = tertiles(np.array([0.40, 0.41, 0.45, 0.48, 0.49]), cuts=(0.41, 0.48))
    assert fixed.group.tolist() == [0, 0, 1, 1, 2]


def test_age_groups_begin_at_their_first_year() -> None:
    groups = age_group(pd.Series([39.0, 40.0, 59.9, 60.0, 80.0, 95.0]))
    assert groups.astype(object).tolist()[1:] == ["40-49", "50-59", "60-69", "80+", "80+"]
    assert pd.isna(groups[0])


def test_e_values_of_the_articles_example() -> None:
    """VanderWeele & Ding 2017: risk ratio 3.9 gives 7.26."""
    assert e_value(3.9, common=False) == pytest.approx(7.26, abs=0.005)
    assert e_value(1 / 3.9, common=False) == pytest.approx(7.26, abs=0.005)
    assert e_value(1.0, common=True) == 1.0
    # In the article: 3.9 (1.8 to 8.7) gives 3.0 for the nearer end, and 1 if the interval contains 1.
    assert e_value_of_interval(1.8, 8.7, common=False) == pytest.approx(3.0, abs=0.005)
    assert e_value_of_interval(0.3, 0.5, common=False) == e_value(0.5, common=False)
    assert e_value_of_interval(0.9, 2.0, common=False) == 1.0


def test_standardised_differences_by_hand() -> None:
    table = cohort_of(1000, 1).analysed
    rows = table_one(table).set_index("variable")
    men, women = table[table["sex"] == "M"], table[table["sex"] == "F"]
    spread = np.sqrt((men["height_cm"].var() + women["height_cm"].var()) / 2)
    expected = (men["height_cm"].mean() - women["height_cm"].mean()) / spread
    assert rows.loc["height_cm", "standardised_difference"] == pytest.approx(expected)
    p, q = men["falls"].mean(), women["falls"].mean()
    expected = (p - q) / np.sqrt((p * (1 - p) + q * (1 - q)) / 2)
    assert rows.loc["falls", "standardised_difference"] == pytest.approx(expected)
    assert rows.loc["falls", "women_first"] == women["falls"].sum()
