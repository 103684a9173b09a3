"""Many reports become one table of phenotypes: identity, types, versions, archives."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from analysis.__main__ import main
from analysis.collect import collect_reports
from analysis.errors import DataError
from tests.analysis.made_reports import made_report, write_report


def test_reports_become_one_row_each(tmp_path: Path) -> None:
    for eid in ("0020", "0003"):
        write_report(tmp_path / "studies", eid, made_report(eid))
    assert main(["collect", str(tmp_path / "studies"), "--out", str(tmp_path / "phenotypes.parquet")]) == 0
    table = pd.read_parquet(tmp_path / "phenotypes.parquet")
    assert table["eid"].tolist() == ["0003", "0020"]
    assert table["sartorius_left_cm3"].tolist() == [4.0, 4.0] and table["pa_ratio"].tolist() == [0.5, 0.5]
    assert table["quality_flags"].tolist() == ["missing-station"] * 2
    assert table["tvi_cm3_per_cm2"].isna().all()
    assert table["model_trained_on_synthetic"].tolist() == [1.0, 1.0] and set(table["model_training_data"]) == {"t"}
    assert table["femur_cm3"].isna().all()  # cut by the field of view: only a lower bound


def test_reports_of_both_versions_become_one_table(tmp_path: Path) -> None:
    write_report(tmp_path, "old", made_report("1", "1.0.0"))
    write_report(tmp_path, "new", made_report("2", "1.1.0"))
    collected = collect_reports(tmp_path)
    assert collected.left_out == () and collected.table["eid"].tolist() == ["1", "2"]
    assert collected.table["pa_ratio"].tolist() == [0.5, 0.5]


def test_damaged_and_foreign_reports_are_left_out_and_named(tmp_path: Path) -> None:
    write_report(tmp_path, "good", made_report("1"))
    write_report(tmp_path, "torn", json.dumps(made_report("2"))[:200])
    foreign = copy.deepcopy(made_report("3"))
    foreign["schema_version"] = "9.0.0"
    write_report(tmp_path, "foreign", foreign)
    collected = collect_reports(tmp_path)
    assert collected.table["eid"].tolist() == ["1"]
    assert [name for name, _ in collected.left_out] == ["foreign/report.json", "torn/report.json"]
    assert "schema_version" in collected.left_out[0][1]


def test_two_reports_of_one_participant_are_refused(tmp_path: Path) -> None:
    write_report(tmp_path, "a", made_report("1"))
    write_report(tmp_path, "b", made_report("1"))
    with pytest.raises(DataError, match=r"b/report.json: the same participant and visit as in a/report.json"):
        collect_reports(tmp_path)


def test_a_folder_without_reports_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no report.json"):
        collect_reports(tmp_path)


def keys(table: pd.DataFrame) -> list[tuple[str, str | None]]:
    return [(eid, None if pd.isna(visit) else visit) for eid, visit in zip(table["eid"], table["visit"], strict=True)]


def test_two_visits_of_a_participant_are_two_rows(tmp_path: Path) -> None:
    write_report(tmp_path, "1000123_20201_2_0", made_report("1000123"))
    write_report(tmp_path, "1000123_20201_3_0", made_report("1000123"))
    told = made_report("1000124")
    told["study"]["visit"] = "3"
    write_report(tmp_path, "anything", told)
    write_report(tmp_path, "c47f5b18b8a4", made_report("c47f5b18b8a4"))
    assert keys(collect_reports(tmp_path).table) == [
        ("1000123", "2"),
        ("1000123", "3"),
        ("1000124", "3"),
        ("c47f5b18b8a4", None),
    ]


def test_in_a_cohort_the_record_names_the_study(tmp_path: Path) -> None:
    pseudonym = "c47f5b18b8a4"
    for folder, record in {
        "sub-01_2": {"eid": "sub-01", "visit": "2"},
        f"{pseudonym}_20200131": {"eid": None, "visit": None},
        "any_key": {"eid": None, "visit": None},
        "damaged": {},
    }.items():
        write_report(tmp_path, folder, made_report(pseudonym if folder != "damaged" else "other"))
        text = json.dumps(record) if record else "{"
        (tmp_path / folder / "attempt.json").write_text(text)
    table = collect_reports(tmp_path).table
    assert keys(table) == [("any_key", None), (pseudonym, "20200131"), ("other", None), ("sub-01", "2")]


def test_parquet_has_types_units_and_versions(tmp_path: Path) -> None:
    edited, foreign = made_report("1"), made_report("2")
    edited["model"]["made"] = "semiautomatic"
    foreign["model"] |= {"made_elsewhere": True, "sha256": "f" * 64, "synthetic_training": False}
    for eid, report in (("1", edited), ("2", foreign)):
        write_report(tmp_path / "studies", eid, report)
    assert main(["collect", str(tmp_path / "studies"), "--out", str(tmp_path / "p.parquet")]) == 0
    schema = pq.read_schema(tmp_path / "p.parquet")
    types = {name: str(schema.field(name).type) for name in ("eid", "visit", "pa_ratio", "model_trained_on_synthetic")}
    assert types.pop("eid").endswith("string") and types.pop("visit").endswith("string")
    assert types == {"pa_ratio": "double", "model_trained_on_synthetic": "int8"}
    assert schema.field("tmv_cm3").metadata[b"unit"] == b"cm3"
    about = json.loads(schema.metadata[b"sarcomap"])
    assert about["table_version"] == "1.0.0" and about["report_schema_versions"] == ["1.0.0"]
    assert [(m["sha256"][0], m["trained_on_synthetic"]) for m in about["models"]] == [("0", True), ("f", False)]
    table = pd.read_parquet(tmp_path / "p.parquet")
    assert table["label_source"].tolist() == ["semiautomatic", "made elsewhere"]
    assert table["schema_version"].tolist() == ["1.0.0"] * 2


def test_a_studys_own_files_are_not_searched_and_an_unfinished_run_is_left_alone(tmp_path: Path) -> None:
    write_report(tmp_path, "1", made_report("1"))
    write_report(tmp_path / "1", "derived", made_report("2"))
    write_report(tmp_path / "2", ".sarcomap-staging", made_report("3"))
    assert keys(collect_reports(tmp_path).table) == [("1", None)]
