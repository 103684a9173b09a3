"""Fetch a study from a DICOMweb server instead of a zip or folder, and send its results back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from operators.core.errors import OutputError
from operators.core.output_folder import beside

if TYPE_CHECKING:  # the DICOMweb client is imported only when a server is given, so that --help is quick
    from app.dicomweb import Access

__all__ = ["dicom_results", "fetched", "send_back"]


@contextmanager
def fetched(access: Access, study_uid: str, output: Path, quiet: bool) -> Iterator[Path]:
    """Fetch the study into a hidden folder in ``output`` and remove it afterwards; after a kill, the next run does."""
    from app.dicomweb import fetch_study

    with beside(output) as hidden:
        folder = hidden / "study"
        folder.mkdir()
        bar = tqdm(desc="Fetching", unit=" images", leave=False, disable=True if quiet else None)

        def show(done: int, expected: int) -> None:
            bar.total = expected
            bar.update(done - bar.n)

        with bar:
            objects = fetch_study(access, study_uid, folder, show)
        if not quiet:
            print(f"Fetched {objects} images", file=sys.stderr)
        yield folder


def send_back(access: Access, output: Path, quiet: bool) -> None:
    """Store a study's DICOM results on the server.

    Parameters
    ----------
    access : Access
    output : Path
        Output folder of the run.
    quiet : bool

    Raises
    ------
    OutputError
        If not all results were stored, or there are none. They stay in ``output``.
    """
    from app.dicomweb import store_files

    files = dicom_results(output)
    if not files:
        raise OutputError(str(output), "no DICOM results", "the results of the run", "Run it again.")
    try:
        stored = store_files(access, files)
    except OutputError as error:
        kept = f"{error.remedy} The results are in {output}."
        raise OutputError(error.where, error.found, error.expected, kept) from error
    if not quiet:
        print(f"Sent {stored} objects to the server", file=sys.stderr)


def dicom_results(folder: Path) -> list[Path]:
    """Derived series, segmentation, SR and PDF, in this order: an object comes before those that refer to it.

    Only the run's own paths are searched, because folders beside them may hold other runs' results.
    """
    last = [folder / name for name in ("segmentation.dcm", "report.sr.dcm", "report.pdf.dcm")]
    return [*sorted((folder / "derived").glob("*/*.dcm")), *(path for path in last if path.is_file())]
