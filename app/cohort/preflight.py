"""What must be right before the first study of a cohort is begun."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from app.cohort.ledger import Ledger, LedgerWriter, latest, writer_name
from app.cohort.options import CohortOptions
from app.cohort.progress import counted_studies
from app.cohort.publish import REPLACED
from app.cohort.records import Attempt
from app.cohort.studies import StudyInput
from app.cohort.worker import work_folder
from operators.core.errors import OutputError, UsageError
from operators.core.options import RunOptions
from operators.core.output_files import check_writable

__all__ = ["check_folder", "check_options", "check_same_cohort", "known_attempts", "sweep"]

_OURS = {"ledger", "studies", "run.json", ".work"}
_OLD_S = 86400.0


def check_options(options: RunOptions, fuse_only: bool) -> RunOptions:
    """The options with absolute paths, because workers may have other working folders.

    Raises
    ------
    UsageError
        If they fit one study only.
    """
    chosen = options.deidentification
    if chosen.pseudonym:
        raise UsageError("--pseudonym", "one pseudonym for many studies", "a study each", "Leave it out.")
    if chosen.deidentify and fuse_only:
        raise UsageError("--deidentify", "together with --fuse-only", "one of the two", "Leave one out.")
    if chosen.deidentify_key is not None:
        chosen = replace(chosen, deidentify_key=chosen.deidentify_key.absolute())
    labels = replace(options.labels, segmentation=tuple(file.absolute() for file in options.labels.segmentation))
    if options.report.previous is not None:
        raise UsageError("--previous", "one earlier report for many studies", "a study each", "Leave it out.")
    page = options.report
    if page.viewer == "auto":  # the pages of a cohort stay small
        page = replace(page, viewer="no")
    if page.reference is not None:
        page = replace(page, reference=page.reference.absolute())
    return replace(options, deidentification=chosen, labels=labels, report=page)


def check_folder(out: Path) -> None:
    """Raise `OutputError` unless the folder is a cohort's, or new or empty, and can be written."""
    check_writable(out)
    if out.is_dir():
        names = {entry.name for entry in os.scandir(out)}
        if names and not names & _OURS:
            raise OutputError(
                str(out), "a folder with something else in it", "a cohort's folder, or a new one", "Choose another -o."
            )


def check_same_cohort(
    out: Path, studies: Sequence[StudyInput], known: Mapping[str, Attempt], options: CohortOptions
) -> None:
    """Raise `UsageError` if the folder holds studies, and none of these."""
    if known and not options.extend and not any(study.study in known for study in studies):
        raise UsageError(
            str(out),
            f"another cohort: it has {len(known)} studies, none of which is among the {len(studies)} given",
            "a folder of these studies, or a new one",
            "Choose another -o, or add these studies with --extend.",
        )


def known_attempts(ledger: Ledger) -> tuple[dict[str, Attempt], list[str]]:
    """The last attempt at each study, and what there is to say about the ledger.

    Done studies that the ledger lacks are added to it.
    """
    attempts, damaged = ledger.attempts()
    remarks = []
    if damaged:
        remarks.append(f"lines of the ledger that were cut off when a process was killed, and are left out: {damaged}")
    missing = ledger.unrecorded(attempts)
    if missing:
        writer = LedgerWriter(ledger.out, writer_name())
        for one in missing:
            writer.append(one)
        writer.close()
        remarks.append(f"{counted_studies(len(missing))} done but not in the ledger; added to it")
    return latest([*attempts, *missing]), remarks


def sweep(out: Path) -> None:
    """Remove unfinished files of processes that were killed: of this machine, and those of others that are a day old.

    A machine of a cluster may never come back, and a container has a name of its own each time.
    """
    try:
        entries = list(os.scandir(work_folder(out)))
    except FileNotFoundError:
        return
    here = writer_name().rsplit(".", 2)[0]
    for entry in entries:
        host, _, rest = entry.name.rpartition(".")[0].rpartition(".")
        ended = host == here and rest.isdecimal() and not Path("/proc", rest).exists()
        if ended or entry.name.startswith(REPLACED) or time.time() - _changed(Path(entry.path)) > _OLD_S:
            shutil.rmtree(entry.path, ignore_errors=True)


def _changed(folder: Path) -> float:
    """When something in a folder was last changed, in seconds since the epoch; now if it cannot be told."""
    try:
        return max(os.stat(place).st_mtime for place, _, _ in os.walk(folder))
    except (OSError, ValueError):
        return time.time()
