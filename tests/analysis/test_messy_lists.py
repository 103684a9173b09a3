"""Lists of people and studies to leave out: no spelling of them may keep anybody in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.errors import DataError
from analysis.exclusions import read_exclusions
from analysis.options import Options
from analysis.run import load_cohort
from analysis.tables import read_identifiers
from tests.analysis.small_tables import images, people


def test_identifiers_with_a_decimal_point_are_people(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("eid\n1001.0\n1002\n")
    assert {"1001", "1002"} <= read_identifiers(tmp_path / "w.csv")
    (tmp_path / "w.csv").write_text("1001.0\n1002.0\n")
    assert read_identifiers(tmp_path / "w.csv") == {"1001", "1002"}


def test_a_list_that_leaves_nobody_out_is_said_at_the_top(tmp_path: Path) -> None:
    people().to_csv(tmp_path / "p.csv", index=False)
    images().to_csv(tmp_path / "m.csv", index=False)
    (tmp_path / "w.csv").write_text('"","x"\n"1","1001"\n"2","1002"\n')  # as R writes a table: row numbers first
    options = Options(tmp_path / "m.csv", tmp_path / "p.csv", tmp_path / "o")
    said = load_cohort(replace(options, withdrawn=tmp_path / "w.csv")).warnings
    assert any("No identifier of w.csv (2 lines) is in either table" in warning for warning in said)
    (tmp_path / "e.csv").write_text("9001\n9002\n")
    said = load_cohort(replace(options, exclude=tmp_path / "e.csv")).warnings
    assert any("No study of e.csv is in the phenotypes" in warning for warning in said)
    (tmp_path / "w.csv").write_text("1001\n1002\n")
    cohort = load_cohort(replace(options, withdrawn=tmp_path / "w.csv"))
    assert not cohort.warnings and len(cohort.analysed) == 38


def test_a_rejected_visit_without_its_array_index_is_the_study_of_that_visit(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("eid,visit,decision\n1000,2,reject\n1001,2_1,reject\n")
    table = images(4).assign(visit="2_0")
    assert read_exclusions(tmp_path / "e.csv").rows(table).tolist() == [True, False, False, False]


def test_a_single_line_that_is_no_header_is_not_an_empty_list(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("1000,reject\n")
    with pytest.raises(DataError):
        read_exclusions(tmp_path / "e.csv")
    for nobody in ("", "eid,visit,decision\n"):
        (tmp_path / "e.csv").write_text(nobody)
        assert not read_exclusions(tmp_path / "e.csv").participants


def test_repeated_studies_are_checked_and_rejected_as_the_others_are(tmp_path: Path) -> None:
    people().to_csv(tmp_path / "p.csv", index=False)
    second = images().assign(visit=3)
    second.loc[0, "pa_ratio"] = -0.4
    pd.concat([images().assign(visit=2), second]).to_csv(tmp_path / "m.csv", index=False)
    (tmp_path / "e.csv").write_text("eid,visit,decision\n1001,3,reject\n")
    options = Options(tmp_path / "m.csv", tmp_path / "p.csv", tmp_path / "o", visit="2", exclude=tmp_path / "e.csv")
    repeats = load_cohort(options).repeats
    assert repeats is not None
    known = repeats.dropna(subset="pa_ratio")
    first, again = (set(known.loc[known["visit"] == visit, "eid"]) for visit in (2, 3))
    assert first - again == {"1000", "1001"} and len(first) == 40
    second.assign(tmv_cm3=second["tmv_cm3"] / 1000).to_csv(tmp_path / "litres.csv", index=False)
    pd.concat([images().assign(visit=2), pd.read_csv(tmp_path / "litres.csv")]).to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(DataError, match=r"m\.csv, visit 3: column tmv_cm3: values of litres"):
        load_cohort(options)


def test_phenotypes_with_visits_and_without_an_eid_are_an_error_of_the_table(tmp_path: Path) -> None:
    people().to_csv(tmp_path / "p.csv", index=False)
    images().drop(columns="eid").assign(visit=2).to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(DataError, match=r"m\.csv: no column eid"):
        load_cohort(Options(tmp_path / "m.csv", tmp_path / "p.csv", tmp_path / "o"))
