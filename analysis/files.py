"""Files that are read and written: refused early, and written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analysis.errors import DataError, OutputError, UsageError

__all__ = ["TABLE_ENDINGS", "check_output", "check_table", "replacing"]

#: What a table that is written can end in.
TABLE_ENDINGS = (".csv", ".tsv", ".parquet")
_READABLE = (".csv", ".tsv", ".txt", ".tab")


def check_table(path: Path) -> None:
    """Refuse what cannot be a table, without reading it.

    Raises
    ------
    DataError
        When there is no file, it is empty, or its name ends in something else.
    """
    if not path.is_file():
        raise DataError(path.name, "no such file", "a table", "Check the path.")
    if path.stat().st_size == 0:
        raise DataError(path.name, "an empty file", "a table with a header", "Export it again.")
    if path.suffix != ".parquet" and not path.name.removesuffix(".gz").endswith(_READABLE):
        raise DataError(
            path.name,
            f"a file ending in {path.suffix or 'nothing'}",
            "a table",
            "Save it as CSV (UTF-8), TSV or Parquet.",
        )


def check_output(path: Path, *, table: bool = False) -> None:
    """Refuse a folder that could not be made or written to, without making it.

    Parameters
    ----------
    path : Path
        A folder, or with ``table`` a file in one.
    table : bool

    Raises
    ------
    OutputError
        When a file stands where a folder must be (or the reverse), or writing is not permitted.
    UsageError
        For a table whose name ends in something else than `TABLE_ENDINGS`.
    """
    if table and path.suffix not in TABLE_ENDINGS:
        raise UsageError(path.name, f"ending {path.suffix or 'nothing'}", ".csv, .tsv or .parquet", "Rename it.")
    if table and path.is_dir():
        raise _unwritable(path, "it is a folder")
    folder = path.absolute().parent if table else path.absolute()
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    if not nearest.is_dir():
        raise _unwritable(path, f"{nearest.name} is no folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise _unwritable(path, "permission denied")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; rename it to ``path`` when the block ends well, else remove it.

    Parameters
    ----------
    path : Path
        Its folder is made when missing.

    Raises
    ------
    OutputError
        When the folder or the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
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
