"""Values of options and printed tables that cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.errors import DataError, OptionError
from analysis.options import Options
from analysis.published_table import audit

_PRINTED = {"outcome": "falls", "n_low": 100, "n_high": 100, "events_low": 10, "events_high": 20,
            "odds_ratio": "2.25", "ci_low": "1.00", "ci_high": "5.10", "p_value": "0.05"}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n_high": "inf"}, "whole numbers"),
        ({"events_low": "10.5"}, "whole numbers"),
        ({"ci_low": "5.10", "ci_high": "1.00"}, "ends are exchanged"),
        ({"ci_low": "-0.1"}, "below 0"),
        ({"odds_ratio": "-2.25"}, "below 0"),
        ({"p_value": "1.7"}, "p value of 1.7"),
    ],
)
def test_a_printed_table_with_impossible_numbers_is_refused(change: dict[str, str], says: str) -> None:
    assert len(audit(pd.DataFrame([_PRINTED])).summary) == 1
    with pytest.raises(DataError, match=f"row 1: .*{says}"):
        audit(pd.DataFrame([_PRINTED | change]))


def test_an_end_that_was_rounded_to_zero_is_read() -> None:
    (row,) = audit(pd.DataFrame([_PRINTED | {"odds_ratio": "0.00", "ci_low": "0.00"}])).summary.to_dict("records")
    assert "log standard error is not known" in row["interval_is"]


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(OptionError, match="seed: -5"):
        Options(Path("p"), Path("q"), Path("o"), seed=-5)


@pytest.mark.parametrize(("shares", "says"), [(["a=0.1", "a=0.2"], "an outcome twice"), (["=0.1"], "without a name")])
def test_shares_need_names_of_their_own(shares: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["power", "--people", "1000", *[word for share in shares for word in ("--share", share)]]) == 2
    assert says in capsys.readouterr().err


def test_an_outcome_that_is_too_rare_to_find_anything_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["power", "--people", "1000", "--share", "a=0.00001"]) == 0
    said = capsys.readouterr().out
    assert "odds ratio none up to 148" in said and "nan" not in said
