"""Inputs at a URL, by fsspec: object stores, web servers and what else has a driver for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.cohort.records import InputIdentity
from app.cohort.studies import StudyInput, named_study
from operators.core.errors import InputError, UsageError

__all__ = ["fetch", "remote_identity", "remote_studies"]


def remote_studies(url: str) -> Iterator[StudyInput]:
    """The zips at a URL: one, those of a pattern, or all below a folder."""
    system, path = _opened(url)
    try:
        if any(letter in path for letter in "*?["):
            found = system.glob(path, detail=True)
        elif system.isfile(path):
            found = {path: system.info(path)}
        else:
            found = system.find(path, detail=True)
    except Exception as error:  # each driver has its own errors
        raise _unreachable(url, error) from error
    for name, about in sorted(found.items()):
        if str(name).lower().endswith(".zip"):
            address = str(system.unstrip_protocol(name))
            yield named_study(address, _identity(address, about))


def remote_identity(url: str) -> InputIdentity | None:
    """What is known of one zip at a URL without reading it; None if it does not exist."""
    system, path = _opened(url)
    try:
        return _identity(url, system.info(path))
    except FileNotFoundError:
        return None
    except Exception as error:
        raise _unreachable(url, error) from error


def fetch(url: str, folder: Path) -> Path:
    """Copy a zip into a folder, under its own name."""
    system, path = _opened(url)
    target = folder / path.rstrip("/").rsplit("/", 1)[-1]
    folder.mkdir(parents=True, exist_ok=True)
    system.get_file(path, str(target))
    return target


def _opened(url: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise UsageError(
            _without_login(url), "a URL without the package fsspec", "fsspec", "Install the extra cohort."
        ) from None
    try:
        system, path = url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise UsageError(
            _without_login(url), f"no driver for it ({error})", "a URL that fsspec can read", "Install its driver."
        ) from error
    return system, path


def _identity(url: str, about: dict[str, Any]) -> InputIdentity:
    names = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "updated", "created")
    mark = next((str(about[name]) for name in names if about.get(name)), "")
    return InputIdentity(url, int(about.get("size") or 0), mark)


def _unreachable(url: str, error: Exception) -> InputError:
    return InputError(
        _without_login(url), f"cannot be listed ({type(error).__name__})", "a URL that can be read", "Check it."
    )


def _without_login(url: str) -> str:
    kind, _, rest = url.partition("://")
    return f"{kind}://{rest.rsplit('@', 1)[-1]}"
