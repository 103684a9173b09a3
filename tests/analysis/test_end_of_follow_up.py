"""One end of follow-up for every model of a run, whoever is analysed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.cohort import Cohort, build_cohort
from analysis.competing_risks import dated_events
from analysis.deaths import Register, register_of
from analysis.options import Options
from analysis.provenance import provenance
from analysis.survival import follow_up
from analysis.validation import check_phenotypes
from tests.analysis.small_tables import checked, images, people

_LATEST = pd.Timestamp("2020-06-01")


def _with_deaths() -> pd.DataFrame:
    """The latest death is that of a person without images; the one before, of a person without grip."""
    table = people(60).drop(columns="died").assign(imaging_date="2015-01-01", death_date=None)
    table["death_date"] = table["death_date"].astype("string")
    table.loc[[0, 1, 2], "death_date"] = ["2020-06-01", "2019-06-01", "2017-06-01"]
    table.loc[[3, 4], "imaging_date"] = ["2018-01-01", "2020-01-01"]
    table.loc[1, ["grip_left_kg", "grip_right_kg"]] = np.nan
    return table


def _cohort(register_until: pd.Timestamp | None = None) -> Cohort:
    with_images = check_phenotypes(images(60).iloc[1:], "p.csv")
    return build_cohort(checked(_with_deaths()), with_images, covariates=(), register_until=register_until)


def test_the_same_people_die_in_the_logistic_and_in_coxs_models_whoever_is_analysed() -> None:
    cohort = _cohort()
    assert len(cohort.analysed) == 58
    followed = follow_up(cohort.analysed, cohort.register)
    np.testing.assert_array_equal(followed.died, cohort.analysed["mortality"])  # nobody is unknown in only one of them
    assert np.nansum(followed.died) == 1 and np.isfinite(followed.died).all()
    last = (_LATEST - pd.Timestamp("2015-01-01")).days / 365.25
    assert followed.years.max() == pytest.approx(last)


def test_dated_events_end_with_the_deaths() -> None:
    cohort = _cohort()
    fell = pd.Series(pd.NaT, index=cohort.analysed.index, dtype="datetime64[s]")
    fell[[5, 6]] = pd.to_datetime(["2019-01-01", "2021-01-01"])
    events = dated_events(cohort.analysed.assign(fall_date=fell), "fall_date", cohort.register)
    assert events.status[[5, 6]].tolist() == [1, 0]
    deaths = follow_up(cohort.analysed, cohort.register)
    np.testing.assert_array_equal(np.delete(events.years, 5), np.delete(deaths.years, 5))
    assert events.note == "1 had the event after the end of follow-up: not counted"


def test_the_end_is_said_with_its_source(tmp_path: Path) -> None:
    for name in ("phenotypes.csv", "participants.csv"):
        (tmp_path / name).write_text("eid\n1\n", encoding="utf-8")
    options = Options(tmp_path / "phenotypes.csv", tmp_path / "participants.csv", tmp_path / "out")
    cohort = _cohort()
    assert follow_up(cohort.analysed, cohort.register).end == "2020-06-01 (the latest death known)"
    assert provenance(options, cohort)["deaths_known_until"] == "2020-06-01 (the latest death known)"
    assert [note.rule for note in cohort.notes if "latest one" in note.rule] == [
        "no --censor-date: deaths count as known until the latest one in the table, 2020-06-01, in every model"
    ]
    stated = _cohort(pd.Timestamp("2020-12-31"))
    assert follow_up(stated.analysed, stated.register).end == "2020-12-31"
    assert provenance(options, stated)["deaths_known_until"] == "2020-12-31"
    assert not [note for note in stated.notes if "latest one" in note.rule]


def test_who_withdrew_does_not_set_the_end() -> None:
    with_images = check_phenotypes(images(60).iloc[1:], "p.csv")
    cohort = build_cohort(checked(_with_deaths()), with_images, covariates=(), withdrawn={"1000"})
    assert cohort.register == Register(pd.Timestamp("2019-06-01"), stated=False, dated=True)


def test_without_deaths_only_a_stated_end_or_a_persons_own_is_known() -> None:
    nobody = pd.Series([pd.NaT, pd.NaT], dtype="datetime64[s]")
    assert register_of(nobody) == Register(None, stated=False)
    assert register_of(nobody, _LATEST) == Register(_LATEST, stated=True)
    assert register_of(nobody).words == ""


@pytest.mark.parametrize("stated", [None, "2020-12-31", "2018-06-01"])
def test_where_only_others_died_the_analysed_are_alive_in_both_models(stated: str | None) -> None:
    table = _with_deaths()
    table.loc[1:, "death_date"] = None  # the latest death is that of a person without images
    until = None if stated is None else pd.Timestamp(stated)
    with_images = check_phenotypes(images(60).iloc[1:], "p.csv")
    cohort = build_cohort(checked(table), with_images, covariates=(), register_until=until)
    followed = follow_up(cohort.analysed, cohort.register)
    np.testing.assert_array_equal(followed.died, cohort.analysed["mortality"])
    assert np.nansum(followed.died) == 0 and np.isfinite(followed.died).sum() == (57 if stated == "2018-06-01" else 58)
    late = [note.count for note in cohort.notes if "on or after the end of follow-up" in note.rule]
    assert late == ([1] if stated == "2018-06-01" else [])


def test_a_stated_end_is_said_beside_each_persons_own_date(tmp_path: Path) -> None:
    for name in ("phenotypes.csv", "participants.csv"):
        (tmp_path / name).write_text("eid\n1\n", encoding="utf-8")
    options = Options(tmp_path / "phenotypes.csv", tmp_path / "participants.csv", tmp_path / "out")
    with_images = check_phenotypes(images(60), "p.csv")
    said = {}
    for own, until in (("all", None), ("all", _LATEST), ("some", None), ("some", _LATEST)):
        table = _with_deaths().assign(censor_date="2021-01-01")
        if own == "some":
            table.loc[10:, "censor_date"] = None
        cohort = build_cohort(checked(table), with_images, covariates=(), register_until=until)
        said[own, until is None] = follow_up(cohort.analysed, cohort.register).end
        assert provenance(options, cohort)["deaths_known_until"] == said[own, until is None]
    assert said == {
        ("all", True): "each person's own date",
        ("some", True): "2020-06-01 (the latest death known), or a person's own date",
        ("all", False): "2020-06-01, or a person's own date if that is earlier",
        ("some", False): "2020-06-01, or a person's own date if that is earlier",
    }


def test_follow_up_that_ends_after_today_is_a_warning_at_the_top() -> None:
    soon = f"{pd.Timestamp.today() + pd.DateOffset(months=6):%Y-%m-%d}"
    table = _with_deaths()
    table.loc[0, "death_date"] = soon  # of a person without images
    with_images = check_phenotypes(images(60).iloc[1:], "p.csv")
    (said,) = build_cohort(checked(table), with_images, covariates=()).warnings
    assert said.startswith(f"The follow-up of 57 of 58 participants ends after today (latest day: {soon})")
    stated = build_cohort(checked(table), with_images, covariates=(), register_until=_LATEST)
    assert stated.warnings == ()
    own = _with_deaths().assign(censor_date=[soon, *[None] * 4, soon, *[None] * 54])
    (said,) = build_cohort(checked(own), with_images, covariates=()).warnings
    assert said.startswith("The follow-up of 1 of 58 participants ends after today")
    made_up = build_cohort(checked(table.assign(synthetic=1)), with_images, covariates=())
    assert len(made_up.warnings) == 1 and "synthetic" in made_up.warnings[0]


def test_many_people_imaged_after_the_latest_death_are_a_warning_at_the_top() -> None:
    table = _with_deaths()
    table.loc[40:, "imaging_date"] = "2021-01-01"
    with_images = check_phenotypes(images(60).iloc[1:], "p.csv")
    (said,) = build_cohort(checked(table), with_images, covariates=()).warnings
    assert said.startswith("20 of 58 participants were imaged on or after 2020-06-01, the latest death known.")
    stated = build_cohort(checked(table), with_images, covariates=(), register_until=pd.Timestamp("2022-01-01"))
    assert stated.warnings == ()
    own = table.assign(censor_date="2022-01-01")
    assert build_cohort(checked(own), with_images, covariates=()).warnings == ()


def test_people_without_a_day_of_imaging_are_noted() -> None:
    table = _with_deaths()
    table.loc[[2, 7, 8], "imaging_date"] = None
    cohort = build_cohort(checked(table), check_phenotypes(images(60).iloc[1:], "p.csv"), covariates=())
    followed = follow_up(cohort.analysed, cohort.register)
    assert np.isnan(followed.died).sum() == 3 and cohort.analysed["mortality"].notna().all()
    noted = [note.count for note in followed.notes if note.where == "imaging_date"]
    assert noted == [3]
    no_dates = cohort.analysed.assign(death_date=pd.Series(pd.NaT, index=cohort.analysed.index))
    assert not [note for note in follow_up(no_dates).notes if note.where == "imaging_date"]


def test_deaths_on_the_day_of_imaging_are_not_said_to_be_after_the_end() -> None:
    table = _with_deaths()
    table.loc[1:, "death_date"] = table["imaging_date"].where(table.index == 2)
    cohort = build_cohort(checked(table), check_phenotypes(images(60).iloc[1:], "p.csv"), covariates=())
    notes = [note.rule for note in follow_up(cohort.analysed, cohort.register).notes]
    assert notes == ["on or before the date of imaging: not followed"]
