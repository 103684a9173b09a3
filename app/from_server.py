"""``python -m app --dicomweb``: a study from a server in place of a zip or a folder."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from app.interrupt import also_remove
from operators.errors import OutputError, UsageError

if TYPE_CHECKING:  # what speaks with a server is imported when one is named: --help should not wait for it
    from app.dicomweb import Access

__all__ = ["access_from", "add_dicomweb_arguments", "dicom_results", "fetched", "send_back"]


def add_dicomweb_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a command line the options of a DICOMweb server; `access_from` reads them back."""
    group = parser.add_argument_group("a study from a DICOMweb server, in place of --input")
    group.add_argument("--dicomweb", metavar="URL", help="root of the service, such as https://pacs.example/dicom-web")
    group.add_argument("--study-uid", metavar="UID", help="Study Instance UID; its Dixon MR series are fetched")
    group.add_argument(
        "--stow", action="store_true", help="send segmentation, SR and derived series back to the server"
    )
    group.add_argument(
        "--dicomweb-auth",
        type=Path,
        metavar="FILE",
        help="login: 'token: ...', or 'user: ...' and 'password: ...' (default: SARCOMAP_DICOMWEB_TOKEN, or "
        "SARCOMAP_DICOMWEB_USER and SARCOMAP_DICOMWEB_PASSWORD)",
    )
    group.add_argument(
        "--dicomweb-ca",
        type=Path,
        metavar="FILE",
        help="PEM certificates to verify the server's with (default: system's)",
    )


def access_from(arguments: argparse.Namespace) -> Access | None:
    """The server that a command line names; None when it names none.

    Raises
    ------
    UsageError
        When the options do not go together, or one cannot be used.
    """
    if arguments.dicomweb is None:
        for option in ("study_uid", "stow", "dicomweb_auth", "dicomweb_ca"):
            if getattr(arguments, option):
                name = "--" + option.replace("_", "-")
                raise UsageError("command line", f"{name} without --dicomweb", "both", "See --help.")
        return None
    if not arguments.study_uid:
        raise UsageError("command line", "--dicomweb without --study-uid", "both", "Say which study.")
    # A container always sets the variable; an --input that somebody typed is a contradiction.
    if arguments.input is not None and str(arguments.input) != os.environ.get("HOLOSCAN_INPUT_PATH"):
        raise UsageError("command line", "--input and --dicomweb", "one of them", "Leave one out.")
    from app.dicomweb import Access, read_login

    return Access(arguments.dicomweb, read_login(arguments.dicomweb_auth), arguments.dicomweb_ca)


@contextmanager
def fetched(access: Access, study_uid: str, quiet: bool) -> Iterator[Path]:
    """A temporary folder with the study, removed afterwards, also when the process is told to end."""
    from app.dicomweb import fetch_study

    folder = Path(tempfile.mkdtemp(prefix="sarcomap-study-"))
    with also_remove(folder):
        try:
            bar = tqdm(desc="Fetching", unit=" images", leave=False, disable=True if quiet else None)

            def show(done: int, expected: int) -> None:
                bar.total = expected
                bar.update(done - bar.n)

            with bar:
                objects = fetch_study(access, study_uid, folder, show)
            if not quiet:
                print(f"Fetched {objects} images", file=sys.stderr)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def send_back(access: Access, output: Path, since: float, quiet: bool) -> None:
    """Store a study's DICOM results on the server.

    Parameters
    ----------
    access : Access
    output : Path
        Of the run.
    since : float
        Seconds since the epoch at which the run began: an older file there is another run's.
    quiet : bool

    Raises
    ------
    OutputError
        When they did not all arrive; they stay in ``output``.
    """
    from app.dicomweb import store_files

    files = [file for file in dicom_results(output) if file.stat().st_mtime >= since]
    try:
        stored = store_files(access, files)
    except OutputError as error:
        kept = f"{error.remedy} The results are in {output}."
        raise OutputError(error.where, error.found, error.expected, kept) from error
    if not quiet:
        print(f"Sent {stored} objects to the server", file=sys.stderr)


def dicom_results(folder: Path) -> list[Path]:
    """Derived series, segmentation and SR: what is referred to comes before what refers to it."""
    last = ("segmentation.dcm", "report.sr.dcm")
    files = [
        path for path in folder.rglob("*.dcm") if not any(p.startswith(".") for p in path.relative_to(folder).parts)
    ]
    return sorted(files, key=lambda path: (last.index(path.name) if path.name in last else -1, path))
