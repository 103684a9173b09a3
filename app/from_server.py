"""``python -m app --dicomweb``: a study from a server in place of a zip or a folder."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from operators.core.errors import OutputError, UsageError
from operators.core.output_folder import beside

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

    access = Access(arguments.dicomweb, read_login(arguments.dicomweb_auth), arguments.dicomweb_ca)
    if access.caution:
        print(f"warning: {access.caution}", file=sys.stderr)
    return access


@contextmanager
def fetched(access: Access, study_uid: str, output: Path, quiet: bool) -> Iterator[Path]:
    """A hidden folder in ``output`` with the study, removed afterwards: after a kill, by the next run."""
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
        Of the run.
    quiet : bool

    Raises
    ------
    OutputError
        When they did not all arrive, or there are none; they stay in ``output``.
    """
    from app.dicomweb import store_files

    files = dicom_results(output)
    if not files:
        raise OutputError(str(output), "no DICOM results", "those of the run, to be sent", "Run it again.")
    try:
        stored = store_files(access, files)
    except OutputError as error:
        kept = f"{error.remedy} The results are in {output}."
        raise OutputError(error.where, error.found, error.expected, kept) from error
    if not quiet:
        print(f"Sent {stored} objects to the server", file=sys.stderr)


def dicom_results(folder: Path) -> list[Path]:
    """Derived series, segmentation and SR: what is referred to comes before what refers to it.

    By their places, which a run leaves to no other's files; folders beside them may hold other runs' results.
    """
    last = [folder / name for name in ("segmentation.dcm", "report.sr.dcm")]
    return [*sorted((folder / "derived").glob("*/*.dcm")), *(path for path in last if path.is_file())]
