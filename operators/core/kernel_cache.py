"""A folder where numba can keep compiled kernels.

numba keeps them beside the module, or else in the user's cache folder. Where it can write to neither, as under a
read-only installation of a user without a home, it raises an error when a kernel is *defined*.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from operators.core.user_cache import user_cache

__all__ = ["CACHE_VARIABLE", "ensure_kernel_cache"]

CACHE_VARIABLE = "NUMBA_CACHE_DIR"


def ensure_kernel_cache(package: Path) -> None:
    """Set `CACHE_VARIABLE` to a temporary folder if numba could not keep kernels of a package anywhere.

    It is called before numba is imported. The processes that this one starts use the same folder, and it is removed
    when this one ends.

    Parameters
    ----------
    package : Path
        Folder of the package's modules.
    """
    given = os.environ.get(CACHE_VARIABLE)
    users = user_cache()
    beside = package / "__pycache__"
    if _writable(beside if os.path.exists(beside) else package) or (given and _made(Path(given))):
        return
    if users is not None and _made(users / "numba"):
        return
    with suppress(OSError):  # without a temporary folder nothing works anyway, and numba says what it lacks
        folder = tempfile.mkdtemp(prefix="sarcomap-kernels-")
        atexit.register(_remove, Path(folder), os.getpid())
        os.environ[CACHE_VARIABLE] = folder


def _made(folder: Path) -> bool:
    """Whether a folder is there, or could be made, and files can be written into it."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return _writable(folder)


def _writable(folder: Path) -> bool:
    # Path.is_dir raises an error below a folder that this user may not enter, such as another user's home.
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def _remove(folder: Path, maker: int) -> None:
    if os.getpid() == maker:  # not in a process that was forked from it
        shutil.rmtree(folder, ignore_errors=True)
