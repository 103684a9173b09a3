"""One visit of each participant is analysed, without the studies that were rejected."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.errors import DataError
from analysis.exclusions import choose_visit, read_exclusions
from analysis.options import Options
from analysis.run import load_cohort
from phantom.table import draw_cohort, write_cohort

TABLE = pd.DataFrame({"eid": ["1", "1", "2", "3"], "visit": ["2", "3", "2", None]}, dtype="string")


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("eid,visit,decision\n1,2,reject\n2,2,accept\n3,,reject\n", [True, False, False, True]),
        ("eid\n1\n", [True, True, False, False]),
        ("1\n3\n", [True, True, False, True]),
        ("eid,visit\n1,3.0\n", [False, True, False, False]),
        ("", [False] * 4),
        ("eid,visit,decision\n", [False] * 4),
    ],
)
def test_a_list_of_exclusions_names_studies_or_participants(tmp_path: Path, content: str, rows: list[bool]) -> None:
    (tmp_path / "list.csv").write_text(content)
    assert read_exclusions(tmp_path / "list.csv").rows(TABLE).tolist() == rows


def test_an_unknown_decision_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("eid,decision\n1,maybe\n")
    with pytest.raises(DataError, match="decision 'maybe'; expected accept or reject"):
        read_exclusions(tmp_path / "list.csv")


def test_several_visits_need_a_choice() -> None:
    with pytest.raises(
        DataError, match=r"2 rows of participants with several visits: unknown \(1 rows\), 2 \(2 rows\)"
    ):
        choose_visit(TABLE, None, "p.parquet")
    assert choose_visit(TABLE, "3", "p.parquet")["eid"].tolist() == ["1"]
    with pytest.raises(DataError, match="no row of visit 4"):
        choose_visit(TABLE, "4", "p.parquet")
    assert len(choose_visit(TABLE.iloc[1:3], None, "p.parquet")) == 2


def test_rejected_studies_are_left_out_and_counted(tmp_path: Path) -> None:
    phenotypes, participants, _ = write_cohort(tmp_path, draw_cohort(400, 1))
    table = pd.read_csv(phenotypes, dtype={"eid": str})[["eid", "tmv_cm3", "pa_ratio"]].assign(visit=2)
    pd.concat([table, table.assign(visit=3)]).to_csv(phenotypes, index=False)
    table.head(30)[["eid", "visit"]].assign(decision="reject").to_csv(tmp_path / "qc.csv", index=False)
    for visit, left_out in (("2", 30), ("3", 0)):
        options = Options(phenotypes, participants, tmp_path, visit=visit, exclude=tmp_path / "qc.csv")
        flow = load_cohort(options).flow.set_index("reason")["excluded"]
        assert flow.get("study rejected (--exclude)", 0) == left_out
