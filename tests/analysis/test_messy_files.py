"""Files that are damaged or unusual give one clear error, or the right table."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest

from analysis.errors import DataError
from analysis.tables import read_table
from tests.analysis.small_tables import images, people


def test_a_cut_gzip_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    whole = gzip.compress(people(300).to_csv(index=False).encode())
    (tmp_path / "p.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"p\.csv\.gz: not readable \(Compressed file ended"):
        read_table(tmp_path / "p.csv.gz")


def test_an_unclosed_quotation_mark_in_a_wide_table_is_an_error_with_its_name(tmp_path: Path) -> None:
    text = people(400).assign(note="x" * 400).to_csv(index=False)
    (tmp_path / "p.csv").write_text(text.replace(",x", ',"x', 1))
    with pytest.raises(DataError, match=r"p\.csv: .*probably a quotation mark without its second one"):
        read_table(tmp_path / "p.csv")


def test_an_index_of_pandas_in_parquet_is_a_column(tmp_path: Path) -> None:
    images().set_index("eid").to_parquet(tmp_path / "m.parquet")
    pd.testing.assert_series_equal(read_table(tmp_path / "m.parquet")["eid"], images()["eid"], check_dtype=False)
    people().set_index("eid").to_parquet(tmp_path / "p.parquet")
    some = read_table(tmp_path / "p.parquet", wanted=lambda header: {"eid", "sex"})
    assert sorted(some.columns) == ["eid", "sex"] and some["eid"][0] == "1000"
