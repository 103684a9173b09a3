"""Inputs at a URL, by fsspec: object stores, web servers and what else has a driver for it."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from app.cohort.records import InputIdentity
from app.cohort.studies import StudyInput, named_study
from operators.core.errors import InputError, UsageError

__all__ = ["fetch", "remote_identities", "remote_identity", "remote_studies"]

# Servers that are busy refuse some requests. These are the seconds before a download is tried again.
_PAUSES_S = (1.0, 5.0, 20.0)
_AT_A_TIME = 16
_OURS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_GONE = {404, 410}


def remote_studies(url: str) -> Iterator[StudyInput]:
    """The zips at a URL: one, those of a pattern, or all below a folder."""
    system, path = _opened(url)
    try:
        if any(letter in path for letter in "*?["):
            found = system.glob(path, detail=True)
        elif not url.endswith("/") and system.isfile(path):
            found = {path: system.info(path)}
        else:
            found = system.find(path, detail=True)
    except Exception as error:  # each driver has its own errors
        raise _unreachable(url, error) from error
    listed = [
        _identity(str(system.unstrip_protocol(name)), about)
        for name, about in sorted(found.items())
        if str(name).lower().endswith(".zip")
    ]
    # The pages of a web server list names only.
    asked = remote_identities([one.path for one in listed if not (one.size and one.mark)])
    for one in listed:
        yield named_study(one.path, asked.get(one.path, one))


def remote_identities(urls: Sequence[str]) -> dict[str, InputIdentity | None]:
    """`remote_identity` of many, some at a time: asking for 40,000 one by one takes an hour."""
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        return dict(zip(urls, pool.map(remote_identity, urls), strict=True))


def remote_identity(url: str) -> InputIdentity | None:
    """What is known of one zip at a URL without reading it; None if it does not exist."""
    system, path = _opened(url)
    try:
        system.invalidate_cache()
        return _identity(url, system.info(path))
    except FileNotFoundError as error:
        # The driver for http raises this also when no server answers.
        if error.__cause__ is not None and getattr(error.__cause__, "status", None) not in _GONE:
            raise _unreachable(url, error.__cause__) from error
        return None
    except Exception as error:
        raise _unreachable(url, error) from error


def fetch(url: str, folder: Path) -> Path:
    """Copy a zip into a folder, under its own name.

    Raises
    ------
    InputError
        If it cannot be read, also after some time.
    OSError
        If the folder has no space left.
    """
    system, path = _opened(url)
    target = folder / path.partition("?")[0].rstrip("/").rsplit("/", 1)[-1]
    folder.mkdir(parents=True, exist_ok=True)
    failed: Exception | None = None
    for pause_s in (0.0, *_PAUSES_S):
        time.sleep(pause_s)
        try:
            system.get_file(path, str(target))
            return target
        except FileNotFoundError as error:
            failed = error
            break
        except Exception as error:  # each driver has its own errors
            if isinstance(error, OSError) and error.errno in _OURS:
                raise
            failed = error
    raise InputError(
        target.name,
        f"the download failed ({type(failed).__name__})",
        "a file that can be read at its URL",
        "Check the login, then run with --retry refused.",
    ) from failed


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
    digests = ("ETag", "etag", "md5Hash", "Content-MD5", "Digest")
    times = ("LastModified", "Last-Modified", "last_modified", "mtime", "updated", "created")
    mark = next((str(about[name]) for name in (*digests, *times) if about.get(name)), "")
    return InputIdentity(url, int(about.get("size") or 0), mark)


def _unreachable(url: str, error: BaseException) -> InputError:
    return InputError(
        _without_login(url), f"cannot be listed ({type(error).__name__})", "a URL that can be read", "Check it."
    )


def _without_login(url: str) -> str:
    kind, _, rest = url.partition("://")
    return f"{kind}://{rest.partition('?')[0].rsplit('@', 1)[-1]}"
