"""Read and write tables (CSV, TSV and Parquet). Files are written whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd

from analysis.errors import DataError, UsageError
from analysis.files import TABLE_ENDINGS, check_table, replacing

__all__ = ["read_table", "sha256_of", "write_table", "write_text"]

_IDENTIFIERS = ("eid", "f.eid", "n_eid", "participant_id", "participant.eid")
_REMEDY = "Save it as CSV (UTF-8), TSV or Parquet."


def read_table(path: Path, text_columns: tuple[str, ...] = _IDENTIFIERS) -> pd.DataFrame:
    """Read a table as it is in the file, without decoding or checking.

    Parameters
    ----------
    path : Path
        ``.csv``, ``.tsv``, ``.txt`` (tab or comma, with or without ``.gz``), or ``.parquet``.
    text_columns : tuple of str
        Columns to read as text, so that an identifier keeps its leading zeros.

    Raises
    ------
    DataError
        If the file is empty, damaged, or not a table.
    """
    where = path.name
    check_table(path)
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else _read_delimited(path, text_columns)
    except pd.errors.EmptyDataError:
        raise DataError(where, "an empty file", "a table with a header", "Export it again.") from None
    except (pd.errors.ParserError, UnicodeDecodeError, ValueError, OSError) as error:
        raise DataError(where, f"not readable ({str(error).strip()})", "a table", _REMEDY) from None
    table.columns = [str(name).strip() for name in table.columns]
    for name in text_columns:
        if name in table.columns:
            table[name] = table[name].astype("string").str.strip().str.removesuffix(".0")
    if table.empty:
        raise DataError(where, "a header and no rows", "at least one participant", "Export it again.")
    return table


def _read_delimited(path: Path, text_columns: tuple[str, ...]) -> pd.DataFrame:
    with pd.io.common.get_handle(path, "r", compression="infer", encoding="utf-8-sig") as opened:
        header = opened.handle.readline()
    separator = (
        "\t" if header.count("\t") > header.count(",") else ";" if header.count(";") > header.count(",") else ","
    )
    names = [name.strip().strip('"') for name in header.rstrip("\r\n").split(separator)]
    for name in names:
        if names.count(name) > 1:
            # pandas would silently rename the second one to name.1
            raise DataError(path.name, f"column {name} is in the header twice", "each name once", "Remove one of them.")
    return pd.read_csv(
        path,
        sep=separator,
        encoding="utf-8-sig",
        dtype=dict.fromkeys(text_columns, "string"),
        skipinitialspace=True,
        low_memory=False,
        compression="infer",
    )


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
