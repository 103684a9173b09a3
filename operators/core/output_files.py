"""Results appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from operators.core.errors import OutputError

__all__ = ["replacing"]


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
