"""Deaths with dates: lengths of follow-up, and hazard ratios compared with R and with the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import (
    build_cohort,
    check_participants,
    check_phenotypes,
    follow_up,
    hazard_ratios,
    read_fields,
)
from analysis.competing_risks import dated_events
from analysis.deaths import Register
from analysis.definitions import COVARIATES
from analysis.survival import PER_SD, THIRDS, FollowUp
from analysis.thirds import tertiles
from tests.analysis.r import needs_survival, run_r
from tests.analysis.small_tables import images, people
from tests.analysis.synthetic import cohort_of, drawn

_N, _SEED = 12000, 4


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return cohort_of(_N, _SEED).analysed


@pytest.fixture(scope="module")
def ratios(table: pd.DataFrame) -> pd.DataFrame:
    return hazard_ratios(table, follow_up(table), COVARIATES)


def test_true_hazard_ratios_lie_inside_the_intervals(ratios: pd.DataFrame) -> None:
    truth = drawn(_N, _SEED).truth["hazard_ratio_of_death"]
    in_thirds = ratios[ratios["contrast"] == THIRDS]
    assert len(in_thirds) == 6 and 1.4 < truth["pa_ratio"]["adjusted"] < 1.49 < truth["pa_ratio"]["crude"] < 1.55
    for row in in_thirds.itertuples():
        assert row.ci_low <= truth[row.exposure][row.model] <= row.ci_high, (row.exposure, row.model)


@needs_survival
def test_hazard_ratios_of_the_cohort_agree_with_r(table: pd.DataFrame, ratios: pd.DataFrame, tmp_path: Path) -> None:
    followed = follow_up(table)
    data = table[["sex", "age", "bmi", "activity", "pa_ratio"]].assign(
        years=followed.years, dead=followed.died, group=tertiles(table["pa_ratio"].to_numpy()).group
    )
    r = run_r(
        """
        library(survival); d$sd <- d$pa_ratio / sd(d$pa_ratio); s <- d[d$group != 1, ]; s$high <- (s$group == 2) * 1
        s$activity <- factor(s$activity, c("low", "moderate", "high")); d$activity <- factor(d$activity)
        f <- coxph(Surv(years, dead) ~ high + age + sex + bmi + (activity == "moderate") + (activity == "high"), s,
                   control = coxph.control(eps = 1e-13, iter.max = 50))
        z <- cox.zph(f)$table[, "p"]
        g <- coxph(Surv(years, dead) ~ age + sex + bmi + activity, s, control = coxph.control(eps = 1e-13))
        out("thirds", c(exp(c(coef(f)[1], confint(f)[1, ])), coef(summary(f))[1, 5],
                        anova(g, f)[2, 4], z[1], z[length(z)]))
        f <- coxph(Surv(years, dead) ~ sd, d, control = coxph.control(eps = 1e-13))
        out("sd", c(exp(c(coef(f)[1], confint(f)[1, ])), coef(summary(f))[1, 5]))
        """,
        tmp_path,
        d=data,
    )
    ours = ratios[ratios["exposure"] == "pa_ratio"].set_index(["contrast", "model"])
    columns = ["hazard_ratio", "ci_low", "ci_high", "p_value", "p_likelihood_ratio", "p_proportional"]
    adjusted = ours.loc[(THIRDS, "adjusted"), [*columns, "p_proportional_all"]].to_numpy(dtype=float)
    np.testing.assert_allclose(adjusted, r["thirds"], rtol=1e-5)
    np.testing.assert_allclose(ours.loc[(PER_SD, "crude"), columns[:4]].to_numpy(dtype=float), r["sd"], rtol=1e-6)


def _dated(**columns: list[str | None]) -> pd.DataFrame:
    n = len(columns["imaging_date"])
    dates = {name: pd.to_datetime(pd.Series(columns.get(name, [None] * n))) for name in
             ("imaging_date", "death_date", "censor_date")}  # fmt: skip
    return pd.DataFrame(dates).assign(died=pd.Series(columns.get("died", [None] * n), dtype="string"))


def test_follow_up_ends_at_death_at_a_persons_own_date_or_at_the_latest_death() -> None:
    table = _dated(
        imaging_date=["2015-01-01", "2015-01-01", "2015-01-01", None, "2016-01-01"],
        death_date=["2016-01-01", None, None, None, "2020-01-01"],
        censor_date=[None, "2017-01-01", None, None, None],
    )
    followed = follow_up(table)
    days = np.array([365, 731, 1826, np.nan, 1461]) / 365.25
    np.testing.assert_allclose(followed.years, days)
    np.testing.assert_array_equal(followed.died, [1, 0, 0, np.nan, 1])
    assert "2020-01-01" in followed.end and "latest death" in followed.end
    assert followed.summary.iloc[0][["n", "deaths"]].tolist() == [4, 2]


def test_deaths_after_the_registers_last_day_do_not_count() -> None:
    table = _dated(
        imaging_date=["2015-01-01"] * 3,
        death_date=["2016-01-01", "2019-06-01", None],
        censor_date=[None, None, "2021-01-01"],  # later than the register can know
    )
    followed = follow_up(table, Register(pd.Timestamp("2018-01-01"), stated=True))
    np.testing.assert_array_equal(followed.died, [1, 0, 0])
    np.testing.assert_allclose(followed.years, np.array([365, 1096, 1096]) / 365.25)


def test_dates_that_contradict_one_another_are_left_out_and_noted() -> None:
    table = _dated(
        imaging_date=["2015-01-01", "2015-01-01", "2015-01-01", "2015-01-01"],
        death_date=["2014-01-01", "2015-01-01", "2018-01-01", None],
        censor_date=[None, None, None, "2014-05-05"],
        died=["1", "1", "0", "0"],
    )
    followed = follow_up(table)
    assert np.isfinite(followed.years).tolist() == [False, False, True, False]
    assert [(note.where, note.count) for note in followed.notes] == [("death_date", 2), ("censor_date", 1), ("died", 1)]


def test_a_third_without_deaths_is_not_estimable() -> None:
    table = cohort_of(_N, _SEED).analysed.head(400).assign(pa_ratio=np.linspace(0.3, 0.6, 400))
    died = (np.arange(400) % 20 == 0) & (np.arange(400) > 150)
    found = hazard_ratios(table, FollowUp(np.linspace(1, 5, 400), died.astype(float), "", ()), COVARIATES,
                          exposures=("pa_ratio",))  # fmt: skip
    in_thirds = found[found["contrast"] == THIRDS]
    assert in_thirds["hazard_ratio"].isna().all() and (in_thirds["note"] == "no deaths in a third: not estimable").all()
    assert in_thirds["deaths_low"].tolist() == [0, 0]


def test_few_deaths_are_flagged() -> None:
    table = cohort_of(_N, _SEED).analysed.head(900)
    found = hazard_ratios(table, follow_up(table), COVARIATES, exposures=("pa_ratio",))
    assert found.loc[found["model"] == "adjusted", "note"].str.contains("fewer than 5 deaths per coefficient").all()


def test_without_dates_there_are_no_hazard_ratios() -> None:
    table = cohort_of(_N, _SEED).analysed.head(500).assign(death_date=pd.NaT, imaging_date=pd.NaT, censor_date=pd.NaT)
    followed = follow_up(table)
    assert not followed.given and hazard_ratios(table, followed, COVARIATES).empty


@pytest.mark.parametrize("names", [("p53_i2", "p40000_i0", "p191"), ("53-2.0", "40000-0.0", "191-0.0")])
def test_ukb_fields_of_dates_are_read(names: tuple[str, str, str]) -> None:
    people = drawn(300, 2).participants.drop(columns=["imaging_date", "death_date", "censor_date", "died"])
    dates: list[list[str | None]] = [["2015-03-01"] * 3, ["2018-03-01", None, None], [None, "2017-03-01", None]]
    for name, values in zip(names, dates, strict=True):
        people[name] = [*values, *[values[2]] * (len(people) - 3)]
    table = check_participants(people, read_fields(), "participants.csv").table
    followed = follow_up(table.head(3))
    np.testing.assert_allclose(followed.years, np.array([1096, 731, 1096]) / 365.25)
    assert followed.died.tolist() == [1.0, 0.0, 0.0]


def test_a_death_without_a_date_is_not_followed_as_alive() -> None:
    table = _dated(
        imaging_date=["2015-01-01"] * 4,
        death_date=["2016-01-01", None, None, "2018-01-01"],
        died=["1", "1", "0", "1"],
    )
    followed = follow_up(table)
    assert np.isfinite(followed.years).tolist() == [True, False, True, True]
    assert [(note.where, note.count) for note in followed.notes] == [("died", 1)]
    falls = dated_events(table.assign(fall_date=pd.to_datetime([None, None, "2015-07-01", None])), "fall_date")
    assert np.isfinite(falls.years).tolist() == [True, False, True, True]
    assert falls.note == "1 died on an unknown day: left out"
    fell = dated_events(table.assign(fall_date=pd.to_datetime([None, "2015-07-01", None, None])), "fall_date")
    assert fell.status.tolist() == [2, 1, 0, 2] and fell.note == ""


def test_who_was_imaged_after_the_end_of_follow_up_has_no_known_outcome() -> None:
    dates = {
        "imaging_date": ["2015-01-01", "2019-01-01", "2019-01-01", "2016-01-01"] * 10,
        "death_date": ["2016-01-01", None, "2020-01-01", None] * 10,
    }
    table = people().assign(**dates, died=[1, 0, 1, 0] * 10)
    checked = check_participants(table, read_fields(), "participants.csv")
    cohort = build_cohort(
        checked, check_phenotypes(images(), "p.csv"), covariates=(), register_until=pd.Timestamp("2018-06-30")
    )
    n = len(cohort.analysed) // 4
    followed = follow_up(cohort.analysed, cohort.register)
    np.testing.assert_array_equal(cohort.analysed["mortality"].notna(), np.isfinite(followed.years))
    assert cohort.analysed["mortality"].tolist()[:4] == pytest.approx([1, np.nan, np.nan, 0], nan_ok=True)
    assert [(note.where, note.count) for note in cohort.notes if "end of follow-up" in note.rule] == [
        ("imaging_date", 2 * n)
    ]
