"""Input tables: names, codes, units, exclusions, and errors that say what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.cohort import build_cohort
from analysis.definitions import AWGS2019
from analysis.derived_columns import derive
from analysis.errors import DataError, UsageError
from analysis.fields import read_fields
from analysis.sensitivity import mark_missing, sensitivity
from analysis.tables import read_table, write_table
from analysis.validation import check_phenotypes
from tests.analysis.small_tables import checked as _checked
from tests.analysis.small_tables import images as _images
from tests.analysis.small_tables import people as _people


def _with_bmi(people: pd.DataFrame) -> pd.DataFrame:
    return people.assign(bmi=people["weight_kg"] / (people["height_cm"] / 100) ** 2)


def _as_ukb(people: pd.DataFrame, style: str) -> pd.DataFrame:
    """The same people with field numbers, in UK Biobank's codes and units."""
    numbers = {
        "sex": 31, "age": 21003, "height_cm": 50, "weight_kg": 21002, "bmi": 21001, "grip_left_kg": 46,
        "grip_right_kg": 47, "arm_lean_left_kg": 23250, "arm_lean_right_kg": 23254, "leg_lean_left_kg": 23267,
        "leg_lean_right_kg": 23271, "activity": 22032, "falls_last_year": 2296,
    }  # fmt: skip
    out = people.drop(columns="died").copy()
    out["sex"] = out["sex"].map({"F": 0, "M": 1})
    out["activity"] = out["activity"].map({"low": 0, "moderate": 1, "high": 2})
    for name in out.columns:
        if "lean" in name:
            out[name] *= 1000
    styles = {"rap": "p{}_i2", "dash": "{}-2.0", "f": "f.{}.2.0", "dx": "participant.p{}_i2", "stata": "n_{}_2_0"}
    names = {name: styles[style].format(number) for name, number in numbers.items()}
    firsts = {"rap": "p31", "dash": "31-0.0", "f": "f.31.0.0", "dx": "participant.p31", "stata": "n_31_0_0"}
    names["sex"] = firsts[style]
    names["eid"] = {"f": "f.eid", "dx": "participant.eid", "stata": "n_eid"}.get(style, "eid")
    out = out.rename(columns=names)
    # The first visit is in the table too and must not be used.
    return out.assign(**{styles[style].format(50).replace("2", "0", 1): 999.0})


def _as_extracted(people: pd.DataFrame) -> pd.DataFrame:
    """As `dx extract_dataset` names the columns: with the entity before the field."""
    return _as_ukb(people, "rap").add_prefix("participant.")


def _as_exported(people: pd.DataFrame) -> pd.DataFrame:
    """As Table Exporter writes codes: in words."""
    words = {
        "p31": {0: "Female", 1: "Male"},
        "p22032_i2": {0: "low", 1: "Moderate", 2: "High"},
        "p2296_i2": {1: "No falls", 2: "Only one fall", 3: "More than one fall"},
    }
    out = _as_ukb(people, "rap")
    return out.assign(**{name: out[name].map(meaning) for name, meaning in words.items()})


@pytest.mark.parametrize("export", [_as_extracted, _as_exported])
def test_exports_of_the_research_analysis_platform_give_the_same_people(export) -> None:  # type: ignore[no-untyped-def]
    people = _people()
    codes, told = _checked(_as_ukb(people, "rap")).table, _checked(export(people)).table
    pd.testing.assert_frame_equal(told, codes)
    assert told["falls_last_year"].notna().all()


def test_an_answer_that_was_not_given_is_missing_in_words_too() -> None:
    people = _people().drop(columns="falls_last_year")
    people["p2296_i2"] = ["Prefer not to answer", "Do not know", "No falls in the last year", "Only one fall"] * 10
    assert _checked(people).table["falls_last_year"].tolist()[:4] == [pd.NA, pd.NA, "1", "2"]


@pytest.mark.parametrize("style", ["rap", "dash", "f", "dx", "stata"])
def test_ukb_columns_give_the_same_people_as_canonical_ones(style: str) -> None:
    people = _people()
    plain, ukb = _checked(people).table, _checked(_as_ukb(people, style)).table
    for name in people.columns.drop("died"):
        if plain[name].dtype == float:
            np.testing.assert_allclose(ukb[name], plain[name], rtol=1e-12)
        else:
            assert ukb[name].tolist() == plain[name].tolist()


def test_best_of_several_grip_attempts_is_taken_and_minus_three_is_missing() -> None:
    people = _people().drop(columns=["grip_left_kg", "falls_last_year"])
    people["p46_i2_a0"], people["p46_i2_a1"] = 20.0, 24.0
    people["p2296_i2"] = [-3, 1, 2, 3] * 10
    table = derive(_checked(people).table.merge(_images()[["eid", "tmv_cm3", "pa_ratio", "lr_asymmetry"]], on="eid"))
    assert set(table["grip_left_kg"]) == {24.0}
    assert table["falls"].tolist()[1:4] == [0.0, 1.0, 1.0] and np.isnan(table["falls"][0])


def test_a_date_of_death_is_a_death() -> None:
    people = _people().drop(columns="died")
    people["p40000_i0"] = ["2021-03-04"] + [None] * 39
    table = derive(_checked(people).table.merge(_images(), on="eid"))
    assert table["mortality"].tolist() == [1.0] + [0.0] * 39


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_tables_come_back_as_they_were_written(suffix: str, tmp_path: Path) -> None:
    people = _people().assign(eid=lambda t: "0" + t["eid"])
    write_table(people, tmp_path / f"people{suffix}")
    back = read_table(tmp_path / f"people{suffix}")
    assert back["eid"].tolist() == people["eid"].tolist()  # leading zeros kept
    np.testing.assert_allclose(back["weight_kg"], people["weight_kg"])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda t: t.assign(height_cm=t["height_cm"] / 100), "values of metres"),
        (lambda t: t.assign(height_cm=t["height_cm"].where(t.index > 9, t["height_cm"] / 100)), "in 10 of 40 rows"),
        (lambda t: t.assign(leg_lean_left_kg=t["leg_lean_left_kg"] * 1000), "values of grams"),
        (lambda t: t.assign(age=t["age"].astype(str).where(t.index != 3, "about 60")), "text where a number is"),
        (lambda t: t.assign(activity="vigorous"), "an unknown code"),
        (lambda t: t.assign(eid="7"), "a participant more than once in 40 of 40"),
        (lambda t: t.assign(leg_lean_left_kg=1.5, leg_lean_right_kg=1.5), "legs leaner than arms"),
        (lambda t: t.drop(columns="sex"), "no column for sex"),
        (lambda t: _with_bmi(t).assign(weight_kg=t["weight_kg"] * 2.2046), "weight over squared height is not the BMI"),
        (lambda t: t.assign(grip_left_kg=t["grip_left_kg"].astype(str).str.replace(".", ",")), "text where a number"),
        (lambda t: t.assign(imaging_date="05/14/2015"), "not a date in 40 of 40 rows"),
        (lambda t: t.assign(age=t["age"] * 12), "values outside 18 to 110 years in 40 of 40"),
    ],
)
def test_a_column_that_cannot_be_trusted_is_one_clear_error(spoil, says) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=says):
        _checked(spoil(_people()))


def test_all_problems_of_a_table_are_reported_at_once_without_identifiers() -> None:
    people = _people().assign(activity="vigorous")
    people["height_cm"] /= 100
    with pytest.raises(DataError) as caught:
        _checked(people)
    assert "height_cm" in str(caught.value) and "activity" in str(caught.value)
    assert "1000" not in str(caught.value)


def test_single_impossible_values_are_set_to_missing_and_noted() -> None:
    people = _people()
    people.loc[4, "height_cm"] = 17.0
    checked = _checked(people)
    assert np.isnan(checked.table.loc[4, "height_cm"])
    assert [(note.where, note.count, note.first_rows) for note in checked.notes] == [
        ("participants.csv, height_cm", 1, (5,))
    ]


def test_ukb_missing_codes_of_a_measurement_are_missing_and_noted() -> None:
    people = _people(100)
    people.loc[[3, 50], "grip_right_kg"] = -3.0
    checked = _checked(people)
    assert checked.table["grip_right_kg"].isna().sum() == 2
    assert [(note.where, note.count) for note in checked.notes] == [("participants.csv, grip_right_kg", 2)]


def test_with_two_in_five_missing_complete_cases_and_everyone_are_kept() -> None:
    rng = np.random.default_rng(5)
    people, images = _people(400), _images(400)
    people.loc[rng.random(400) < 0.4, "activity"] = None
    people.loc[rng.random(400) < 0.4, "weight_kg"] = np.nan
    cohort = build_cohort(_checked(people), check_phenotypes(images, "phenotypes.csv"))
    complete = people["activity"].notna() & people["weight_kg"].notna()
    assert len(cohort.analysed) == complete.sum() < 180 and len(cohort.eligible) == 400
    filled, names = mark_missing(cohort.eligible, ("age", "sex", "bmi", "activity"))
    assert names == ("age", "sex", "bmi", "activity", "bmi missing", "activity missing")
    assert filled[[*names]].notna().all().all()
    assert filled["bmi missing"].sum() == people["weight_kg"].isna().sum()
    assert filled["bmi"].mean() == pytest.approx(cohort.eligible["bmi"].mean())
    rows = sensitivity(cohort.analysed, ("age", "sex", "bmi", "activity"), ("pa_ratio",), everyone=cohort.eligible)
    marked = rows[rows["analysis"].str.startswith("everyone")].set_index("outcome")
    assert (marked["n_low"] + marked["n_high"]).loc["mortality"] == pytest.approx(2 * 400 / 3, abs=2)


def test_a_table_without_complete_cases_names_what_is_missing_most() -> None:
    people = _people(60).assign(activity=None)
    with pytest.raises(DataError, match="missing covariate.* activity in all.* take it out of --adjust"):
        build_cohort(_checked(people), check_phenotypes(_images(60), "phenotypes.csv"))


def test_covariates_that_cost_half_of_the_people_are_named_before_the_results() -> None:
    people = _people(80)
    people.loc[:47, "activity"] = None
    people.loc[50, "weight_kg"] = np.nan
    cohort = build_cohort(_checked(people), check_phenotypes(_images(80), "phenotypes.csv"))
    assert cohort.warnings == ("Missing among the 80 who meet all other criteria: activity in 48, bmi in 1.",)
    few = build_cohort(_checked(_people(80)), check_phenotypes(_images(80), "phenotypes.csv"))
    assert few.warnings == ()


def test_ratios_of_zero_and_infinity_and_negative_volumes_become_missing() -> None:
    images = _images()
    images.loc[0, "pa_ratio"], images.loc[1, "pa_ratio"], images.loc[2, "tmv_cm3"] = 0.0, np.inf, -5.0
    checked = check_phenotypes(images, "phenotypes.csv")
    assert checked.table["pa_ratio"].isna().sum() == 2 and checked.table["tmv_cm3"].isna().sum() == 1
    assert sum(note.count for note in checked.notes) == 3


def test_volumes_in_litres_are_refused() -> None:
    with pytest.raises(DataError, match="Multiply by 1000"):
        check_phenotypes(_images().assign(tmv_cm3=9.1), "phenotypes.csv")


def test_every_exclusion_is_counted_in_order() -> None:
    people = _people(60)
    people.loc[0:2, "age"] = 45
    people.loc[3:4, ["grip_left_kg", "grip_right_kg"]] = np.nan
    people.loc[5, "leg_lean_left_kg"] = np.nan
    people.loc[6, "activity"] = None
    images = _images(58)
    images.loc[7, "pa_ratio"] = np.nan
    images.loc[57, "eid"] = "a stranger"
    cohort = build_cohort(_checked(people), check_phenotypes(images, "phenotypes.csv"))
    assert cohort.flow["excluded"].tolist() == [0, 3, 0, 3, 1, 1, 2, 1]
    assert cohort.flow["remaining"].iloc[-1] == len(cohort.analysed) == 49
    assert len(cohort.all_ages) == 52
    assert [note.count for note in cohort.notes if "not in the participants" in note.rule] == [1]


@pytest.mark.parametrize("n", [2, 15])
def test_too_few_participants_are_refused(n: int) -> None:
    with pytest.raises(DataError, match="participants left to analyse"):
        build_cohort(_checked(_people(n)), check_phenotypes(_images(n), "phenotypes.csv"))


def test_tables_without_a_common_eid_are_refused() -> None:
    images = _images().assign(eid=lambda t: "x" + t["eid"])
    with pytest.raises(DataError, match="no eid in common"):
        build_cohort(_checked(_people()), check_phenotypes(images, "phenotypes.csv"))


def test_cut_offs_are_exclusive_and_consensus_dependent() -> None:
    people = _people(4).assign(
        sex=["M", "M", "F", "F"], height_cm=200.0, grip_left_kg=[27.0, 26.9, 16.0, 15.9], grip_right_kg=1.0
    )
    lean = ["arm_lean_left_kg", "arm_lean_right_kg", "leg_lean_left_kg", "leg_lean_right_kg"]
    people[lean] = np.array([[7.0, 7.0, 7.0, 7.0], [7, 7, 7, 6.9], [5.5, 5.5, 5.5, 5.5], [5.5, 5.5, 5.5, 5.3]])
    joined = _checked(people).table.merge(_images(), on="eid")
    ewgsop2 = derive(joined)
    assert ewgsop2["weak_grip"].tolist() == [0, 1, 0, 1]
    assert ewgsop2["low_muscle_mass"].tolist() == [0, 1, 0, 1]
    assert ewgsop2["sarcopenia_status"].tolist() == ["none", "confirmed", "none", "confirmed"]
    assert derive(joined, AWGS2019)["sarcopenia_status"].tolist() == ["probable", "confirmed", "probable", "probable"]


def test_muscle_specific_strength_is_grip_over_muscle_volume() -> None:
    people = _people(1).assign(grip_left_kg=24.0, grip_right_kg=30.0)
    table = derive(_checked(people).table.merge(_images(1).assign(tmv_cm3=10000.0), on="eid"))
    assert table["specific_strength_kg_per_l"].tolist() == [3.0]  # 30 kg over 10 L


def test_a_users_field_map_changes_only_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("leg_lean_left_kg: {ukb: 99}\n")
    fields = read_fields(tmp_path / "mine.yaml")
    assert fields["leg_lean_left_kg"].ukb == 99 and fields["leg_lean_left_kg"].scale == 0.001
    assert fields["sex"].ukb == 31
    (tmp_path / "mine.yaml").write_text("sex: {field: 99}\n")
    with pytest.raises(UsageError, match="key field"):
        read_fields(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "an empty file"), (b"eid,sex\n", "a header and no rows"), (b"eid,sex,sex\n1,M,M\n", "in the header twice")],
)
def test_files_without_a_table_are_one_clear_error(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "participants.csv").write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_table(tmp_path / "participants.csv")
