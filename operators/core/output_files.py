"""Results appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from operators.core.errors import OutputError

__all__ = ["new_folder", "replacing", "require_new"]


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary name beside ``path``; rename it to ``path`` when the block ends well, else remove it.

    Parameters
    ----------
    path : Path or str
        Its folder is made when missing.

    Raises
    ------
    OutputError
        When the folder or the file cannot be written.

    Examples
    --------
    >>> with replacing("report.json") as temporary:  # doctest: +SKIP
    ...     temporary.write_text("{}")
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            str(path),
            error.strerror or type(error).__name__,
            "a place that can be written",
            "Check the folder's permissions and the free space, or choose another output folder.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True) if temporary.parent.is_dir() else None


@contextmanager
def new_folder(path: Path | str) -> Iterator[Path]:
    """Give a hidden folder beside ``path``; rename it to ``path`` when the block ends well, else remove it.

    Parameters
    ----------
    path : Path or str
        See `require_new`.

    Raises
    ------
    OutputError
        When something is there already, and when it cannot be written.
    """
    path = Path(path).resolve()
    require_new(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            str(path),
            error.strerror or type(error).__name__,
            "a folder that can be written",
            "Check the permissions and the free space, or choose another output folder.",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_new(path: Path | str) -> None:
    """Raise `OutputError` unless ``path`` can become a new folder: nothing is there, or an empty folder."""
    path = Path(path).resolve()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        kind = "a folder with something in it" if path.is_dir() else "a file"
        raise OutputError(str(path), kind, "a new folder", "Choose another output folder, or remove this one.")
    above = next(folder for folder in path.parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise OutputError(
            str(path), f"{above} cannot be written", "a folder that can be written", "Choose another output folder."
        )
