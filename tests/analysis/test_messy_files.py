"""Files that are damaged or unusual give one clear error, or the right table."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest

from analysis.errors import DataError
from analysis.exclusions import read_exclusions
from analysis.fields import columns_that_matter, read_fields
from analysis.tables import read_identifiers, read_table
from tests.analysis.small_tables import checked, images, people


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


_MANY = 1500  # more rows than are looked at to find the delimiter


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_a_table_that_was_cut_off_in_its_last_row_is_refused(ending: str, tmp_path: Path) -> None:
    text = people(_MANY).to_csv(index=False)
    content = text[: text.rstrip("\n").rfind(",")].encode()
    file = tmp_path / f"p.{ending}"
    file.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    with pytest.raises(DataError, match=rf"data row {_MANY}, the last one, has 14 values, .* was probably cut off"):
        read_table(file)


def test_a_short_row_far_down_is_refused_and_a_quoted_text_with_line_breaks_is_not(tmp_path: Path) -> None:
    table = people(_MANY).assign(note="plain")
    table.loc[1200, "note"] = 'two\nlines, "quoted"'
    table.to_csv(tmp_path / "p.csv", index=False)
    assert len(read_table(tmp_path / "p.csv")) == _MANY
    lines = table.drop(columns="note").to_csv(index=False).splitlines()
    lines[1300] = lines[1300].rpartition(",")[0]
    (tmp_path / "q.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match="data row 1300 has 14 values, the header 15 names"):
        read_table(tmp_path / "q.csv")


def test_delimiters_at_the_end_of_many_rows_shift_nothing(tmp_path: Path) -> None:
    header, *rows = people(_MANY).to_csv(index=False).splitlines()
    (tmp_path / "p.csv").write_text("\n".join([header, *(f"{row}," for row in rows)]))
    assert read_table(tmp_path / "p.csv")["age"].tolist() == people(_MANY)["age"].tolist()


@pytest.mark.parametrize("number", [40, _MANY])
@pytest.mark.parametrize("first", ["", "sep=;\n", '"sep=;"\n'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_tables_of_spreadsheets_are_read(number: int, first: str, encoding: str, tmp_path: Path) -> None:
    (tmp_path / "P.CSV").write_text(first + people(number).to_csv(index=False, sep=";"), encoding)
    pd.testing.assert_frame_equal(read_table(tmp_path / "P.CSV"), people(number), check_dtype=False)


def test_lists_of_people_may_be_utf_16(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("eid\n1000\n1001\n", "utf-16")
    assert read_identifiers(tmp_path / "w.txt") >= {"1000", "1001"}
    (tmp_path / "x.txt").write_text("1000\n1001\n", "utf-16")
    assert read_exclusions(tmp_path / "x.txt").participants == {"1000", "1001"}


def test_a_folder_is_no_table_and_said_so(tmp_path: Path) -> None:
    (tmp_path / "p.parquet").mkdir()
    with pytest.raises(DataError, match="a folder; expected one file with a table"):
        read_table(tmp_path / "p.parquet")


def test_names_of_columns_may_be_in_upper_case_if_only_one_is(tmp_path: Path) -> None:
    table = people().drop(columns="bmi")
    upper = table.rename(columns=str.upper)
    upper.to_csv(tmp_path / "p.csv", index=False)
    read = read_table(tmp_path / "p.csv", wanted=lambda header: columns_that_matter(header, read_fields(), ("age",)))
    pd.testing.assert_frame_equal(checked(read).table, checked(table).table)
    with pytest.raises(DataError, match="no column for age"):
        checked(table.rename(columns={"age": "Age"}).assign(AGE=60))
