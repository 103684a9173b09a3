"""The audit finds deliberate errors, and what the paper printed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.errors import DataError
from analysis.published_table import audit, audit_file

_ROW = {"outcome": "weak_grip", "n_low": "12335", "n_high": "12335", "events_low": "698", "events_high": "1083"}
_ROW |= {"odds_ratio": "1.60", "ci_low": "1.45", "ci_high": "1.77", "p_value": "<0.001"}


def _verdict(**changes: str) -> pd.Series:
    return audit(pd.DataFrame([_ROW | changes])).summary.iloc[0]


def test_the_papers_adjusted_odds_ratios_are_the_crude_ones() -> None:
    """See method, section 8.5."""
    summary = audit_file(Path("example")).summary
    assert len(summary) == 5 and (summary["odds_ratio_is"] == "the crude one").all()
    mortality = summary.set_index("outcome").loc["mortality"]
    assert mortality["interval_is"] == "profile likelihood of the crude model"


def test_agreeing_numbers_are_reported_as_agreeing() -> None:
    row = _verdict()
    assert row["odds_ratio_is"] == "the crude one" and row["p_is"] == "agrees"
    assert row["interval_is"] == "Wald or profile, which agree here"


def test_a_changed_odds_ratio_interval_and_p_are_each_found() -> None:
    assert _verdict(odds_ratio="1.63")["odds_ratio_is"] == "not the crude one"
    assert _verdict(odds_ratio="0.62")["odds_ratio_is"] == "the crude one of the reversed contrast"
    assert _verdict(ci_high="1.90")["interval_is"].startswith("neither")
    assert _verdict(p_value="0.04")["p_is"].startswith("does not agree")


def test_wald_and_profile_intervals_are_distinguished_if_they_differ() -> None:
    sparse = {"n_low": "200", "n_high": "200", "events_low": "3", "events_high": "12", "odds_ratio": "4.19"}
    assert _verdict(**sparse, ci_low="1.16", ci_high="15.09")["interval_is"] == "Wald of the crude model"
    assert _verdict(**sparse, ci_low="1.29", ci_high="18.66")["interval_is"].startswith(("profile", "neither"))


def test_a_table_without_counts_is_refused() -> None:
    with pytest.raises(DataError, match="no column n_low"):
        audit(pd.DataFrame([{"outcome": "falls", "odds_ratio": "1.1"}]))


def test_the_command_prints_and_writes_its_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "example", "--out", str(tmp_path / "findings.csv")]) == 0
    assert "5 of 5 printed odds ratios are the crude ones" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "findings.csv")) == 5
