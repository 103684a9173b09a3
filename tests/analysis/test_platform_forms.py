"""The forms in which platforms and spreadsheets really write a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.amra import amra_phenotypes
from analysis.cohort import build_cohort
from analysis.derived_columns import derive
from analysis.errors import DataError
from analysis.exclusions import instance_of, of_instance
from analysis.fields import at_instance, columns_that_matter, read_fields
from analysis.tables import read_identifiers, read_table
from analysis.validation import Checked, check_participants, check_phenotypes
from tests.analysis.small_tables import checked, images, people

_TITLES = {
    "eid": "Participant ID", "sex": "Sex", "age": "Age when attended assessment centre | Instance 2",
    "height_cm": "Standing height | Instance 2", "weight_kg": "Weight | Instance 2",
    "grip_left_kg": "Hand grip strength (left) | Instance 2",
    "grip_right_kg": "Hand grip strength (right) | Instance 2",
    "arm_lean_left_kg": "Arm lean mass (left) | Instance 2", "arm_lean_right_kg": "Arm lean mass (right) | Instance 2",
    "leg_lean_left_kg": "Leg lean mass (left) | Instance 2", "leg_lean_right_kg": "Leg lean mass (right) | Instance 2",
    "activity": "IPAQ activity group | Instance 0", "falls_last_year": "Falls in the last year | Instance 2",
}  # fmt: skip


def _read(text: str, folder: Path, ending: str = "csv") -> pd.DataFrame:
    (folder / f"table.{ending}").write_text(text)
    return read_table(folder / f"table.{ending}")


def test_titles_and_labels_are_read_and_the_visit_of_activity_is_noted() -> None:
    plain = people()
    titled = plain.drop(columns=["bmi", "died"]).rename(columns=_TITLES)
    for name in titled.columns:
        if "lean mass" in name:
            titled[name] *= 1000
    titled["Sex"] = plain["sex"].map({"F": "Female", "M": "Male"})
    titled[_TITLES["activity"]] = plain["activity"].str.capitalize().where(plain.index > 0, "Prefer not to answer")
    words = {1: "No falls", 2: "Only one fall", 3: "More than one fall"}
    titled[_TITLES["falls_last_year"]] = plain["falls_last_year"].map(words)
    read = checked(titled)
    expected = checked(plain).table
    for name in ("sex", "falls_last_year"):
        assert read.table[name].tolist() == expected[name].tolist()
    assert (
        pd.isna(read.table["activity"][0]) and read.table["activity"].tolist()[1:] == expected["activity"].tolist()[1:]
    )
    np.testing.assert_allclose(read.table["leg_lean_left_kg"], expected["leg_lean_left_kg"])
    assert [note.rule for note in read.notes] == ["from visit 0, because the table has none of visit 2"]
    assert read.sources["height_cm"] == ("Standing height | Instance 2",)


@pytest.mark.parametrize(
    "written", ["2015-05-14 00:00:00", "2015-05-14T00:00:00.000Z", "2015-05-14 09:13:00+00:00", "14may2015"]
)
def test_dates_with_a_time_and_those_of_stata_are_dates(written: str) -> None:
    assert set(checked(people().assign(imaging_date=written)).table["imaging_date"]) == {pd.Timestamp("2015-05-14")}


def test_dates_whose_day_and_month_could_be_exchanged_are_refused() -> None:
    with pytest.raises(DataError, match="column imaging_date: not a date in 40 of 40 rows"):
        checked(people().assign(imaging_date="05/04/2015"))


def test_titles_as_converters_write_them_are_read() -> None:
    plain = people().drop(columns=["bmi", "died"])
    titled = plain.rename(columns=_TITLES)
    for name in titled.columns:
        if "lean mass" in name:
            titled[name] *= 1000
    for change in (
        lambda name: name.lower().replace(" | ", "_").replace(" ", "_"),  # participant_id is then a name and a title
        lambda name: "".join(letter if letter.isalnum() else "." for letter in name),  # R's make.names
    ):
        read = checked(titled.rename(columns=change)).table
        assert read["eid"].tolist() == plain["eid"].tolist() and read["falls_last_year"].notna().all()
        np.testing.assert_allclose(read["leg_lean_left_kg"], plain["leg_lean_left_kg"])


@pytest.mark.parametrize("name", ["IPAQ activity group", "p22032"])
def test_a_column_that_names_no_visit_is_taken_with_a_note(name: str) -> None:
    read = checked(people().rename(columns={"activity": name}))
    assert read.table["activity"].notna().all()
    assert [note.rule for note in read.notes] == [f"the column {name} names no visit: taken for visit 2"]
    # A visit that is named is never another one.
    with pytest.raises(DataError, match="no column for age"):
        checked(people().rename(columns={"age": "p21003_i0"}))


def test_semicolons_with_decimal_commas_are_read(tmp_path: Path) -> None:
    table = _read("eid;height_cm;weight_kg\n0012;171,5;80\n13;160;61,25\n", tmp_path)
    assert table["eid"].tolist() == ["0012", "13"]
    assert table["height_cm"].tolist() == [171.5, 160.0] and table["weight_kg"].tolist() == [80.0, 61.25]


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_a_delimiter_at_the_end_of_rows_shifts_nothing(ending: str, tmp_path: Path) -> None:
    mark = "," if ending == "csv" else "\t"
    rows = [("eid", "sex", "age"), ("7", "M", "61", ""), ("8", "F", "70", "")]
    table = _read("\n".join(mark.join(row) for row in rows), tmp_path, ending)
    assert table["eid"].tolist() == ["7", "8"] and table["age"].tolist() == [61, 70]
    both = _read("\n".join(mark.join((*row, "")[:4]) for row in rows), tmp_path, ending)
    assert list(both.columns) == ["eid", "sex", "age"] and both["age"].tolist() == [61, 70]


def test_two_delimiters_at_the_end_of_rows_and_row_numbers_of_r(tmp_path: Path) -> None:
    assert _read("eid,sex,age\n7,M,61,,\n8,F,70,,\n", tmp_path)["age"].tolist() == [61, 70]
    with pytest.raises(DataError, match=r"row.names = FALSE"):
        _read('"eid","sex","age"\n"1",7,"M",61\n"2",8,"F",70\n', tmp_path)
    with pytest.raises(DataError, match="one column, whose name has several words"):
        _read("eid|sex|age\n7|M|61\n", tmp_path)


def test_a_point_is_a_missing_value_as_in_stata(tmp_path: Path) -> None:
    assert _read("eid,age,bmi\n7,61,.\n8,.,24.5\n", tmp_path).isna().sum().tolist() == [0, 1, 1]


@pytest.mark.parametrize("row", ["7,M,61,5", "7,M"])
def test_rows_that_do_not_fit_the_header_are_refused(row: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data row 2 has \d values, the header 3 names"):
        _read(f"eid,sex,age\n6,F,60\n{row}\n", tmp_path)


def test_eids_in_scientific_notation_are_named_as_such() -> None:
    with pytest.raises(DataError, match="eid: scientific notation, so digits are lost in 40 of 40"):
        checked(people().assign(eid="1.23457E+06"))


def test_signed_asymmetry_and_partly_inverted_ratios_are_refused() -> None:
    with pytest.raises(DataError, match=r"lr_asymmetry: negative values in 20 of 40 .* Take \|left - right\| / larger"):
        check_phenotypes(images().assign(lr_asymmetry=[0.02, -0.02] * 20), "p.csv")
    with pytest.raises(DataError, match="values above 1, probably anterior over posterior in 12 of 40"):
        check_phenotypes(images().assign(pa_ratio=[2.2] * 12 + [0.45] * 28), "p.csv")
    # A few are failed segmentations and stay.
    assert (
        check_phenotypes(images().assign(pa_ratio=[2.2] * 2 + [0.45] * 38), "p.csv").table["pa_ratio"] > 1
    ).sum() == 2


def test_volumes_of_one_side_are_noted() -> None:
    notes = check_phenotypes(images().assign(tmv_cm3=900.0), "p.csv").notes
    assert [note.rule for note in notes] == ["median 900 cm3 (published: 9322): are these the muscles of both sides?"]


def test_the_columns_that_would_be_needed_are_named() -> None:
    names = {"arm_lean_left_kg": "p23263_i2", "arm_lean_right_kg": "p23264_i2", "leg_lean_left_kg": "p23265_i2"}
    pair = (checked(people().rename(columns=names)), check_phenotypes(images(), "p.csv"))
    with pytest.raises(DataError, match=r"no arm_lean_left_kg \(field 23250\), .*Fields 23263, 23264, 23265 are other"):
        build_cohort(*pair, covariates=())


def test_died_as_1_or_blank_means_alive_where_it_is_blank() -> None:
    read = checked(people().assign(died=[1.0, None] * 20))
    assert read.table["died"].tolist() == ["1", "0"] * 20
    assert [note.count for note in read.notes] == [20]
    # With a 0 anywhere, blank is unknown.
    assert checked(people().assign(died=[1, 0, None, 0] * 10)).table["died"].isna().sum() == 10


def test_sums_of_lean_mass_stand_in_for_a_missing_side() -> None:
    table = people()
    sides = ["arm_lean_left_kg", "arm_lean_right_kg", "leg_lean_left_kg", "leg_lean_right_kg"]
    sums = table.drop(columns=sides)
    sums["p23258_i2"] = (table[sides[0]] + table[sides[1]]) * 1000
    sums["p23275_i2"] = (table[sides[2]] + table[sides[3]]) * 1000
    both = [derive(checked(one).table.merge(images(), on="eid")) for one in (table, sums)]
    np.testing.assert_allclose(both[1]["almi"], both[0]["almi"])
    assert both[1]["lr_asymmetry_dexa"].isna().all()
    with pytest.raises(DataError, match="left and right do not add up to legs_lean_kg"):
        checked(table.assign(p23275_i2=9000))


def test_the_fields_that_the_paper_prints_are_not_lean_mass() -> None:
    sources = checked(people().drop(columns="leg_lean_left_kg").assign(p23265_i2=21000)).sources
    assert "leg_lean_left_kg" not in sources


def _with_amra(n: int = 40) -> pd.DataFrame:
    volumes = {"p22403_i2": 1.9, "p22404_i2": 3.5, "p22405_i2": 1.8, "p22406_i2": 3.4}
    return people(n).assign(**{name: value + np.arange(n) * 0.001 for name, value in volumes.items()})


def test_amra_volumes_are_a_second_measure_and_phenotypes_of_their_own() -> None:
    read = checked(_with_amra())
    second = derive(read.table.merge(images(), on="eid"))
    assert second["amra_pa_ratio"][0] == pytest.approx(6.9 / 3.7)
    assert second["amra_thigh_cm3"][0] == pytest.approx(10600)
    assert second["amra_asymmetry"][0] == pytest.approx(0.2 / 5.4)
    own = amra_phenotypes(read, "participants.csv")
    cohort = build_cohort(read, own, covariates=("age",))
    assert len(cohort.analysed) == 40 and cohort.analysed["pa_ratio"][0] == pytest.approx(6.9 / 3.7)
    assert any("AMRA" in warning for warning in cohort.warnings)
    with pytest.raises(DataError, match="nobody with AMRA's four thigh volumes"):
        amra_phenotypes(checked(people()), "participants.csv")


def test_exchanged_amra_groups_are_refused() -> None:
    table = _with_amra().rename(columns={"p22403_i2": "p22404_i2", "p22404_i2": "p22403_i2"})
    table = table.rename(columns={"p22405_i2": "p22406_i2", "p22406_i2": "p22405_i2"})
    with pytest.raises(DataError, match="22403 and 22405 are anterior"):
        checked(table)


def test_the_visit_is_chosen_in_both_tables() -> None:
    table = people().drop(columns="age").assign(p21003_i2=60, p21003_i3=63)
    at_three = check_participants(table, at_instance(read_fields(), 3), "participants.csv")
    assert set(at_three.table["age"]) == {63.0}
    both = pd.concat([images().assign(visit="2_0"), images(30).assign(visit="3_0", pa_ratio=0.5)])
    at_three_only, left = of_instance(both, 3, "p.csv")
    assert set(at_three_only["pa_ratio"]) == {0.5} and left == 40
    assert instance_of(both) is None and instance_of(at_three_only) == 3
    note = check_phenotypes(at_three_only, "p.csv", left).notes[0]
    assert note.count == 40 and "another visit" in note.rule
    with pytest.raises(DataError, match=r"no study of visit 4; visits in the table: 2, 3"):
        of_instance(both, 4, "p.csv")


def test_who_withdrew_is_left_out_of_everything(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("1003\n1004\n")
    table = people().assign(eid=lambda t: t["eid"].where(t.index != 0, "-3"))
    cohort = build_cohort(
        checked(table),
        check_phenotypes(images(), "p.csv"),
        covariates=(),
        withdrawn=read_identifiers(tmp_path / "w.csv"),
    )
    assert cohort.flow["reason"].tolist()[1] == "consent withdrawn" and cohort.flow["excluded"].tolist()[1] == 3
    assert len(cohort.analysed) == 37 and not cohort.analysed["eid"].isin(["1003", "1004"]).any()


def test_a_missing_covariate_is_named_with_those_near_it() -> None:
    table = people().assign(p20116_i0=0, smoke="yes")
    pair: tuple[Checked, Checked] = (checked(table), check_phenotypes(images(), "p.csv"))
    with pytest.raises(DataError, match=r"no column smoking; .* Near it: p20116_i0, smoke"):
        build_cohort(*pair, covariates=("smoking",))
    with pytest.raises(DataError, match=r"no column p20116_i2; .* Near it: p20116_i0"):
        build_cohort(*pair, covariates=("p20116_i2",))


def test_unknown_codes_are_quoted() -> None:
    with pytest.raises(DataError, match=r"an unknown code \('vigorous'\)"):
        checked(people().assign(activity="vigorous"))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_of_a_wide_table_that_do_not_matter_are_not_kept(ending: str, tmp_path: Path) -> None:
    wide = people().assign(mine=1.5, p20116_i0=0, other=2, **{"Standing height | Instance 0": 170.0})
    path = tmp_path / f"wide.{ending}"
    wide.to_csv(path, index=False) if ending == "csv" else wide.to_parquet(path)
    read = read_table(path, ("eid",), lambda header: columns_that_matter(header, read_fields(), ("mine", "smoking")))
    assert set(wide.columns) - set(read.columns) == {"other"}
    assert read["eid"].tolist() == wide["eid"].tolist()
    assert checked(read).header == tuple(wide.columns)  # so that a column near a missing one can be named
