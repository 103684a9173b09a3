"""Check input and output files early, and write files whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analysis.errors import DataError, OutputError, UsageError

__all__ = ["TABLE_ENDINGS", "check_output", "check_table", "replacing"]

#: Allowed endings of a written table.
TABLE_ENDINGS = (".csv", ".tsv", ".parquet")
_READABLE = (".csv", ".tsv", ".txt", ".tab")


def check_table(path: Path) -> None:
    """Refuse a file that cannot be a table, without reading it.

    Raises
    ------
    DataError
        If there is no file, it is empty, or its name has another ending.
    """
    if path.is_dir():
        raise DataError(path.name, "a folder", "one file with a table", "Give the file; join its parts if it has some.")
    if not path.is_file():
        raise DataError(path.name, "no such file", "a table", "Check the path.")
    if path.stat().st_size == 0:
        raise DataError(path.name, "an empty file", "a table with a header", "Export it again.")
    if path.suffix.lower() != ".parquet" and not path.name.lower().removesuffix(".gz").endswith(_READABLE):
        raise DataError(
            path.name,
            f"ending {path.suffix or 'nothing'}",
            "a table",
            "Save it as CSV (UTF-8), TSV or Parquet.",
        )


def check_output(path: Path, *, table: bool = False) -> None:
    """Refuse a folder that cannot be created or written, without creating it.

    Parameters
    ----------
    path : Path
        A folder, or with ``table`` a file in one.
    table : bool

    Raises
    ------
    OutputError
        If there is a file instead of a folder (or the reverse), or writing is not permitted.
    UsageError
        If a table's name does not end in one of `TABLE_ENDINGS`.
    """
    if table and path.suffix not in TABLE_ENDINGS:
        raise UsageError(path.name, f"ending {path.suffix or 'nothing'}", ".csv, .tsv or .parquet", "Rename it.")
    if table and path.is_dir():
        raise _unwritable(path, "it is a folder")
    folder = path.absolute().parent if table else path.absolute()
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    if not nearest.is_dir():
        raise _unwritable(path, f"{nearest.name} is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise _unwritable(path, "permission denied")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``. If the block succeeds, rename it to ``path``; else remove it.

    Parameters
    ----------
    path : Path
        Its folder is created if missing.

    Raises
    ------
    OutputError
        If the folder or the file cannot be written.
    """
    # Not the process number: in containers that share a folder, all processes may have the same one.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise _unwritable(path, error.strerror or type(error).__name__) from None
    finally:
        if temporary.parent.is_dir():
            temporary.unlink(missing_ok=True)


def _unwritable(path: Path, reason: str) -> OutputError:
    return OutputError(
        path.name, f"cannot be written ({reason})", "a writable folder with room", "Choose another --out."
    )
