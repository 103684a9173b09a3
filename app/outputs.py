"""A run's output folder: results appear there together, when all are there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from operators.errors import OutputError

__all__ = ["OUTPUT_FILES", "missing", "staged"]

OUTPUT_FILES = (
    "fused/in.nrrd",
    "fused/opp.nrrd",
    "fused/water.nrrd",
    "fused/fat.nrrd",
    "fused/fat_fraction.nrrd",
    "segmentation.seg.nrrd",
    "segmentation.dcm",
    "report.sr.dcm",
    "report.html",
    "report.json",
)


@contextmanager
def staged(output: Path) -> Iterator[Path]:
    """A hidden folder inside ``output`` to write into; its contents move up when the block ends well.

    Files of an earlier run are replaced one by one, never mixed with half of a
    new one; after a failure ``output`` is as it was before.

    Raises
    ------
    OutputError
        When ``output`` cannot be made or written to.
    """
    existed = output.is_dir()
    try:
        output.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".sarcomap-", dir=output))
    except OSError as error:
        raise OutputError(
            str(output),
            error.strerror or type(error).__name__,
            "a folder that can be written",
            "Choose another folder with -o, or change its permissions.",
        ) from error
    done = False
    try:
        yield staging
        _move_up(staging, output)
        done = True
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if not done and not existed:
            with suppress(OSError):  # somebody else wrote there meanwhile
                output.rmdir()


def missing(folder: Path, names: tuple[str, ...]) -> list[str]:
    """Which of ``names`` are not there, or are empty."""
    return [name for name in names if not (folder / name).is_file() or (folder / name).stat().st_size == 0]


def _move_up(staging: Path, output: Path) -> None:
    try:
        # The report goes last: whoever watches the folder takes it for the end of the run.
        files = sorted(
            (path for path in staging.rglob("*") if path.is_file()), key=lambda path: path.name == "report.json"
        )
        for path in files:
            target = output / path.relative_to(staging)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    except OSError as error:
        raise OutputError(
            str(output), error.strerror or type(error).__name__, "files that can be replaced", "Choose another folder."
        ) from error
