"""Reading and writing tables: CSV, TSV and Parquet, with whole files or none."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pandas as pd

from analysis.errors import DataError, OutputError, UsageError

__all__ = ["read_table", "sha256_of", "write_table", "write_text"]

_REMEDY = "Save it as CSV (UTF-8), TSV or Parquet."


def read_table(path: Path, text_columns: tuple[str, ...] = ("eid", "f.eid", "n_eid", "participant_id")) -> pd.DataFrame:
    """A table as it stands in the file; nothing is decoded or checked yet.

    Parameters
    ----------
    path : Path
        ``.csv``, ``.tsv``, ``.txt`` (tab or comma, with or without ``.gz``), or ``.parquet``.
    text_columns : tuple of str
        Read as text, so that an identifier keeps its leading zeros.

    Raises
    ------
    DataError
        When the file is empty, damaged, or not a table.
    """
    where = path.name
    if not path.is_file():
        raise DataError(where, "no such file", "a table", "Check the path.")
    if path.stat().st_size == 0:
        raise DataError(where, "an empty file", "a table with a header", "Export it again.")
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        elif path.name.removesuffix(".gz").endswith((".csv", ".tsv", ".txt", ".tab")):
            table = _read_delimited(path, text_columns)
        else:
            raise DataError(where, f"a file ending in {path.suffix or 'nothing'}", "a table", _REMEDY)
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
            # pandas would rename the second one to name.1 without a word
            raise DataError(path.name, f"column {name} stands in the header twice", "each once", "Remove one of them.")
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
    """Write ``path`` (.csv, .tsv or .parquet) whole or not at all; numbers keep 10 significant digits in text."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        elif path.suffix in (".csv", ".tsv"):
            separator = "," if path.suffix == ".csv" else "\t"
            table.to_csv(temporary, sep=separator, index=False, float_format="%.10g", lineterminator="\n")
        else:
            raise UsageError(path.name, f"ending {path.suffix or 'nothing'}", ".csv, .tsv or .parquet", "Rename it.")
        os.replace(temporary, path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def write_text(text: str, path: Path) -> None:
    """Write a text file whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, "utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _unwritable(path: Path, error: OSError) -> OutputError:
    reason = error.strerror or type(error).__name__
    return OutputError(
        path.name, f"cannot be written ({reason})", "a writable folder with room", "Choose another --out."
    )
