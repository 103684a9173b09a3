"""Read and write tables (CSV, TSV and Parquet). Files are written whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import re
import warnings
import zlib
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from pathlib import Path

import pandas as pd

from analysis.column_names import comparable, plain_name
from analysis.errors import DataError, UsageError
from analysis.files import TABLE_ENDINGS, check_table, replacing
from analysis.text_files import check_lengths, encoding_of, stated_separator, text_of, unclosed_quote

__all__ = ["read_identifiers", "read_table", "sha256_of", "write_table", "write_text"]

# Lines that decide on delimiter and decimal comma, and whose values are counted.
_LINES_SNIFFED = 1000
_DECIMAL_COMMA, _DECIMAL_POINT = re.compile(r"^\s*-?\d+,\d+\s*$"), re.compile(r"^\s*-?\d+\.\d+\s*$")
# As pandas has them, and as Stata and SAS write a missing value.
_MISSING = [
    "", ".", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "n/a", "nan", "null",
]  # fmt: skip
_REMEDY = "Save it as CSV (UTF-8), TSV or Parquet."


def read_table(
    path: Path,
    text_columns: tuple[str, ...] = ("eid", "f.eid", "n_eid", "participant_id"),
    wanted: Callable[[Sequence[str]], Collection[str]] | None = None,
) -> pd.DataFrame:
    """Read a table as it is in the file, without decoding or checking.

    Parameters
    ----------
    path : Path
        ``.csv``, ``.tsv``, ``.txt`` (tab, comma or semicolon, UTF-8 or UTF-16, with or
        without ``.gz``), or ``.parquet``. With semicolons, numbers may have decimal commas.
    text_columns : tuple of str
        Columns to read as text, so that an identifier keeps its leading zeros.
        The prefix ``participant.``, case, and spaces or underscores do not matter.
    wanted : callable, optional
        Chooses columns from the header. The others of a wide table are not kept in memory; ``attrs["header"]`` has
        all names.

    Raises
    ------
    DataError
        If the file is empty, damaged, or not a table.
    """
    where = path.name
    check_table(path)
    as_text = {comparable(name) for name in text_columns}
    try:
        parquet = path.suffix.lower() == ".parquet"
        read = _read_parquet(path, wanted) if parquet else _read_delimited(path, as_text, wanted)
    except pd.errors.EmptyDataError:
        raise DataError(where, "an empty file", "a table with a header", "Export it again.") from None
    except (pd.errors.ParserError, UnicodeDecodeError, ValueError, OSError, EOFError, zlib.error) as error:
        raise DataError(where, f"not readable ({str(error).strip()})", "a table", _REMEDY) from None
    table, header = read
    table.columns = [str(name).strip() for name in table.columns]
    if wanted is not None:
        # Only where columns were left out: pandas copies these names for every column taken from the table.
        table.attrs["header"] = header
    for name in table.columns:
        if comparable(plain_name(name)) in as_text:
            table[name] = table[name].astype("string").str.strip().str.removesuffix(".0")
    if table.empty:
        raise DataError(where, "a header and no rows", "at least one participant", "Export it again.")
    return table


_Chooser = Callable[[Sequence[str]], Collection[str]]


def _read_parquet(path: Path, wanted: _Chooser | None) -> tuple[pd.DataFrame, list[str]]:
    from pyarrow.parquet import read_schema

    header = [str(name) for name in read_schema(path).names]
    chosen = None if wanted is None else [name for name in header if name in set(wanted(header))]
    table = pd.read_parquet(path, columns=chosen)
    if any(table.index.names):  # pandas keeps an index such as eid beside the columns
        table = table.reset_index()
    return table, header if chosen is not None else [str(name) for name in table.columns]


def _read_delimited(path: Path, as_text: set[str], wanted: _Chooser | None) -> tuple[pd.DataFrame, list[str]]:
    encoding = encoding_of(path)
    with pd.io.common.get_handle(path, "r", compression="infer", encoding=encoding) as opened:
        first = list(islice(opened.handle, _LINES_SNIFFED))
    whole = len(first) < _LINES_SNIFFED
    stated = stated_separator(first[0]) if first else None
    if stated:
        del first[0]
    header = first[0] if first else ""
    separator = stated or (max("\t;,", key=header.count) if any(mark in header for mark in "\t;,") else ",")
    try:
        rows = [row for row in csv.reader(first, delimiter=separator, skipinitialspace=True) if row]
    except csv.Error as error:  # a quote that nobody closed: the rest of the file is one value
        raise unclosed_quote(path, error) from None
    if not whole:
        rows.pop()  # a quoted text may go on in the next line
    if not rows:
        raise pd.errors.EmptyDataError
    names = [name.strip() for name in rows[0]]
    if len(names) == 1 and len(re.split(r"[| ]+", names[0])) > 2:
        raise DataError(path.name, "one column, whose name has several words", "commas, semicolons or tabs between "
                        "columns", "Export it again as CSV.")  # fmt: skip
    for name in names:
        if name and names.count(name) > 1:
            # pandas would silently rename the second one to name.1
            raise DataError(path.name, f"column {name} is in the header twice", "each name once", "Remove one of them.")
    blank = _check_counts(names, rows[1:], path.name)
    if not whole:
        check_lengths(path, encoding, separator, len(rows[1]) if blank else len(names), skip=1 if stated else 0)
    # With cells beyond the header, pandas counts columns in another way; such tables are read whole.
    chosen = None if wanted is None or blank or not all(names) else set(wanted(names))
    with warnings.catch_warnings():
        # A row that is longer than the header loses values; a trailing delimiter on every row loses none.
        warnings.simplefilter("ignore" if blank else "error", pd.errors.ParserWarning)
        try:
            table = pd.read_csv(
                path,
                sep=separator,
                skiprows=1 if stated else 0,
                encoding=encoding,
                dtype={name: "string" for name in names if comparable(plain_name(name)) in as_text},
                skipinitialspace=True,
                low_memory=False,
                compression="infer",
                index_col=False,
                usecols=None if chosen is None else lambda name: name.strip() in chosen,
                keep_default_na=False,  # pandas would take "None" for missing, which may be a level of a factor
                na_values=_MISSING,
                decimal="," if _decimal_commas(rows[1:], separator) else ".",
            )
        except pd.errors.ParserWarning:
            raise DataError(
                path.name, "a row with more values than the header has names", "one value per column",
                "Put texts that contain the delimiter in quotes.",
            ) from None  # fmt: skip
    unnamed = [] if all(names) else [name for name, given in zip(table.columns, names, strict=False) if not given]
    return table.drop(columns=[name for name in unnamed if table[name].isna().all()]), [name for name in names if name]


def _check_counts(names: list[str], rows: list[list[str]], where: str) -> bool:
    """Compare rows with the header. True if every row ends with delimiters that the header does not have.

    pandas would take the first column for an index then, and shift all others.
    """
    if rows and len(rows[0]) > len(names) and all(len(row) == len(rows[0]) for row in rows):
        if not any(cell.strip() for row in rows for cell in row[len(names) :]):
            return True
        if len(rows[0]) == len(names) + 1 and [row[0] for row in rows] == [str(i) for i in range(1, len(rows) + 1)]:
            raise DataError(where, "numbers of the rows before the first column, without a name", "a name for every "
                            "column", "In R, write the table with row.names = FALSE.")  # fmt: skip
    for number, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise DataError(
                where,
                f"data row {number} has {len(row)} values, the header {len(names)} names",
                "as many values as names",
                "Export it again, with texts that contain the delimiter in quotes.",
            )
    return False


def _decimal_commas(rows: list[list[str]], separator: str) -> bool:
    if separator == ",":
        return False
    cells = [cell for row in rows for cell in row]
    return any(_DECIMAL_COMMA.match(cell) for cell in cells) and not any(_DECIMAL_POINT.match(cell) for cell in cells)


def read_identifiers(path: Path | None) -> frozenset[str]:
    """Identifiers in a text file, one a line (first column), with or without a header; none for no file."""
    if path is None:
        return frozenset()
    try:
        lines = text_of(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(path.name, f"not readable ({error})", "identifiers, one a line", "Check the path.") from None
    words = [re.split(r"[,;\t ]", line.strip().strip('"'))[0].strip('"') for line in lines]
    if any(words) and not any(word.removesuffix(".0").lstrip("-").isdigit() for word in words):
        raise UsageError(path.name, "no identifier in it", "identifiers, one a line", "Check the file.")
    # R and pandas write the identifiers of a column with missing values as 1000123.0.
    return frozenset(word.removesuffix(".0") for word in words if word)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write ``path`` (.csv, .tsv or .parquet) whole or not at all. In text, numbers keep 10 significant digits."""
    if path.suffix not in TABLE_ENDINGS:
        raise UsageError(path.name, f"ending {path.suffix or 'nothing'}", ".csv, .tsv or .parquet", "Rename it.")
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            separator = "," if path.suffix == ".csv" else "\t"
            table.to_csv(temporary, sep=separator, index=False, float_format="%.10g", lineterminator="\n")


def write_text(text: str, path: Path) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in chunks."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
