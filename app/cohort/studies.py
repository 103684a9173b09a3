"""The studies of a cohort: found in folders, by patterns, in a manifest or at a URL."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.cohort.folders import files_below, is_document, studies_below
from app.cohort.records import InputIdentity, Said
from operators.core.errors import InputError

__all__ = ["StudyInput", "find_studies", "identity_of", "is_url", "named_study"]

# UK Biobank's name of a bulk file: participant, field, instance (the visit) and array index.
_UK_BIOBANK_NAME = re.compile(r"(?P<eid>\d+)_20201_(?P<instance>\d+)_\d+(\.zip)?", re.IGNORECASE)
_MANIFESTS = (".csv", ".tsv", ".parquet")
_LISTS = (".txt", ".tab", ".xls", ".xlsx", ".ods", ".bulk", ".list", ".lst", ".json")
_NO_CONTENT = "no file"


@dataclass(frozen=True, slots=True)
class StudyInput:
    """One study to process.

    Attributes
    ----------
    study : str
        Its key in the ledger.
    path : str
        Path or URL of a zip or a folder.
    eid, visit : str or None
        None where neither the file's name nor a manifest gives them.
    identity : InputIdentity or None
        None if there is no such file.
    problem : Said or None
        Why it cannot be processed.
    folder : str or None
        Name of its results' folder. None if it is only known when the study was read.
    """

    study: str
    path: str
    eid: str | None
    visit: str | None
    identity: InputIdentity | None
    problem: Said | None = None
    folder: str | None = None


def find_studies(inputs: Sequence[str], leave_out: Path | None = None) -> list[StudyInput]:
    """Every study of the inputs, sorted by key, each once.

    An input is a zip, a folder (see `app.cohort.folders.studies_below`), a
    pattern, a manifest (``.csv``, ``.tsv`` or ``.parquet``) or a URL of fsspec.

    Parameters
    ----------
    inputs : sequence of str
    leave_out : Path, optional
        The cohort's own folder, which may be among the inputs: its results are no studies.

    Raises
    ------
    InputError
        If an input does not exist, or there is no study.
    """
    found: dict[str, StudyInput] = {}
    for given in inputs:
        for one in _studies_of(given, leave_out.absolute() if leave_out is not None else None):
            found.setdefault(one.path, one)  # one that was named by two of the inputs
    if not found:
        raise InputError(", ".join(inputs), "no study", "zips or folders of DICOM", "Check the path.")
    if all(one.identity is None for one in found.values()):
        raise InputError(
            ", ".join(inputs),
            f"none of the {len(found)} files exists",
            "files that can be read",
            "Check the paths, and whether the share is mounted.",
        )
    by_key: dict[str, list[StudyInput]] = {}
    for one in found.values():
        by_key.setdefault(one.study, []).append(one)
    return [_one_of(by_key[key]) for key in sorted(by_key)]


def _one_of(same: Sequence[StudyInput]) -> StudyInput:
    """The study; refused if several inputs are one participant's visit, because nobody knows which is right."""
    if len(same) == 1:  # nearly all; resolving the links of 100,000 paths takes seconds
        return same[0]
    first = min(same, key=lambda one: one.path)
    # A link to a file is no second input.
    if len({one.path if is_url(one.path) else os.path.realpath(one.path) for one in same}) == 1:
        return first
    names = ", ".join(sorted(Path(one.path).name for one in same)[:3])
    return replace(
        first,
        problem=Said(
            names, f"{len(same)} inputs for one eid and visit", "one", "Give a manifest that lists the right one."
        ),
    )


def is_url(text: str) -> bool:
    """Whether this is a URL for fsspec."""
    return "://" in text


def _studies_of(given: str, leave_out: Path | None) -> Iterator[StudyInput]:
    if is_url(given):
        from app.cohort.remote import remote_studies

        yield from remote_studies(given)
    elif Path(given).suffix.lower() in _MANIFESTS and not Path(given).is_dir():
        from app.cohort.manifest import read_manifest

        yield from read_manifest(Path(given))
    elif glob.has_magic(given) and not os.path.exists(given):
        paths = sorted(path for path in glob.glob(given, recursive=True) if not is_document(os.path.basename(path)))
        if not paths:
            raise InputError(given, "no file has such a name", "a pattern of zips or folders", "Check the pattern.")
        for path in paths:
            yield from _local(Path(path), leave_out)
    else:
        yield from _local(Path(given), leave_out)


def _local(path: Path, leave_out: Path | None) -> Iterator[StudyInput]:
    if not os.path.exists(path):  # also of a name that no file can have
        raise InputError(str(path), "no such file or folder", "a zip, a folder or a manifest", "Check the path.")
    if path.suffix.lower() in _LISTS and path.is_file():
        raise InputError(
            path.name,
            f"a {path.suffix} file",
            "zips, folders of DICOM, or a manifest: a table with a column path",
            "Leave it out, or save it as .csv (UTF-8) if it is a manifest.",
        )
    for one in studies_below(path.absolute(), leave_out) if path.is_dir() else (path.absolute(),):
        yield named_study(str(one), identity_of(one))


def named_study(
    path: str,
    identity: InputIdentity | None,
    eid: str | None = None,
    visit: str | None = None,
    key: str | None = None,
) -> StudyInput:
    """The study of an input, with the eid and visit that are given, or else those of UK Biobank's file name."""
    named = _UK_BIOBANK_NAME.fullmatch(path.rstrip("/").rsplit("/", 1)[-1])
    if named is not None and (eid is not None or key is None):
        eid, visit = eid or named["eid"], visit or named["instance"]
    folder = key or ("_".join(part for part in (eid, visit) if part) or None)
    # A file's own name may be a person's.
    study = folder or f"input-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}"
    problem = None
    if identity is None:
        problem = Said(Path(path).name, "no such file", "a zip or a folder of DICOM", "Fetch it, or leave it out.")
    elif identity.mark == _NO_CONTENT:
        problem = Said(Path(path).name, "a pipe or a device", "a zip or a folder of DICOM", "Leave it out.")
    return StudyInput(study, path, eid, visit, identity, problem, folder)


def identity_of(path: Path) -> InputIdentity | None:
    """What is known of a local input without reading it; None if it does not exist."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return _identity_of_folder(path)
        if not stat.S_ISREG(status.st_mode):  # reading one might never end
            return InputIdentity(str(path), 0, _NO_CONTENT)
        return InputIdentity(str(path), status.st_size, str(status.st_mtime_ns))
    except (OSError, ValueError):  # ValueError: a name with a NUL
        return None


def _identity_of_folder(path: Path) -> InputIdentity:
    total, digest = 0, hashlib.sha256()
    for file in sorted(files_below(path)):
        status = os.stat(file)
        total += status.st_size
        digest.update(os.fsencode(f"{os.path.relpath(file, path)}\0{status.st_size}\0{status.st_mtime_ns}\n"))
    return InputIdentity(str(path), total, digest.hexdigest()[:32])
