"""A connection to a DICOMweb server, with its failures as our own errors."""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.errors import InvalidDicomError
from requests.auth import AuthBase, HTTPBasicAuth

from app.dicomweb.login import Login
from operators.core.errors import InputError, OutputError, UsageError

__all__ = [
    "Access",
    "IncompleteAnswerError",
    "Retry",
    "open_client",
    "open_session",
    "status_of",
    "translated",
    "with_retry",
]

Result = TypeVar("Result")

#: Lists and metadata are read into memory. Those of a study of 20,000 objects take a quarter of this.
_MAX_LIST_BYTES = 128 * 1024 * 1024
#: Statuses that may go away by themselves: the server is busy or restarting (RFC 9110 section 15).
_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Retry:
    """How often a request is tried, and how long to wait after a failure.

    Attributes
    ----------
    attempts : int
    first_wait_s : float
        Doubles with every failure.
    """

    attempts: int = 4
    first_wait_s: float = 1.0


@dataclass(frozen=True)
class Access:
    """Where a DICOMweb server is and how to connect to it.

    Attributes
    ----------
    url : str
        Root of the service, such as ``https://pacs.example/dicom-web``.
    login : Login
    ca_bundle : Path or None
        PEM certificates to verify the server's certificate with. None uses
        those of the system. The certificate is always verified.
    connect_s, read_s : float
        Time limits for making a connection and for a pause in an answer.
    retry : Retry

    Raises
    ------
    UsageError
        If the scheme is not http(s), if the URL holds a login, or if a login
        would be sent to another machine without TLS.
    """

    url: str
    login: Login = field(default_factory=Login)
    ca_bundle: Path | None = None
    connect_s: float = 10.0
    read_s: float = 120.0
    retry: Retry = field(default_factory=Retry)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            host, has_login, _ = parts.hostname, parts.username is not None or parts.password is not None, parts.port
        except ValueError:
            host, has_login, parts = None, "@" in self.url, urlsplit("")
        if has_login:
            raise UsageError(
                "DICOMweb URL",
                "the URL contains a user or password",
                "a URL without a login",
                "Put the login into a file (--dicomweb-auth) or the environment; URLs end up in logs.",
            )
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
            raise UsageError(
                "DICOMweb URL",
                "not the address of a service",
                "http(s)://HOST[:PORT]/PATH",
                "Give the root of the service, such as https://pacs.example/dicom-web.",
            )
        if parts.scheme == "http" and not self.login.empty and not (self.login.plain_http or _is_here(host)):
            raise UsageError(
                "DICOMweb URL",
                "the login would be sent over http, where others can read it",
                "https",
                "Use https, or set plain_http: true in the login file if nobody else can read the network.",
            )
        if self.ca_bundle is not None and not self.ca_bundle.is_file():
            raise UsageError(
                "CA bundle", f"no file {self.ca_bundle.name}", "a file of PEM certificates", "Check the path."
            )

    @property
    def name(self) -> str:
        """Name of the server in messages."""
        return f"DICOMweb server {self.url}"

    @property
    def caution(self) -> str:
        """A warning if images would be sent over a network without encryption; else empty."""
        parts = urlsplit(self.url)
        if parts.scheme == "https" or _is_here(parts.hostname or ""):
            return ""
        return f"{self.url} is not https: others on the network can read images and patients' names"

    @property
    def timeout(self) -> tuple[float, float]:
        """The ``verify`` argument of `requests`."""
        return self.connect_s, self.read_s


class _Bearer(AuthBase):
    """RFC 6750. Passed as authentication, not as a header, so that no ``.netrc`` overwrites it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def open_session(access: Access) -> requests.Session:
    """A session with our login and certificates; nothing is sent yet."""
    for name in ("dicomweb_client", "retrying", "urllib3"):  # they log UIDs, addresses and tracebacks
        logging.getLogger(name).setLevel(logging.CRITICAL)
    session = requests.Session()
    session.trust_env = False  # no .netrc and no proxies: only our settings say where a study goes
    session.verify = str(access.ca_bundle) if access.ca_bundle is not None else True
    session.hooks["response"].append(_bound)
    if access.login.token:
        session.auth = _Bearer(access.login.token)
    elif access.login.user:
        session.auth = HTTPBasicAuth(access.login.user.encode(), access.login.password.encode())
    return session


def open_client(access: Access, session: requests.Session) -> DICOMwebClient:
    """A client of the server."""
    client = DICOMwebClient(access.url.rstrip("/"), session=session, timeout=access.timeout)
    # Its own retry sends an empty body the second time (the generator of chunks is used up).
    client.set_http_retry_params(retry=False)
    return client


def _bound(response: requests.Response, *_: Any, **options: Any) -> None:
    """Raise as soon as an answer that is read into memory exceeds every list that we ask for."""
    if options.get("stream"):
        return  # objects are counted where they are written
    chunks = response.iter_content

    def counted(chunk_size: int | None = 1, *arguments: Any, **options: Any) -> Iterator[bytes]:
        size = 0
        for chunk in chunks(chunk_size, *arguments, **options):
            size += len(chunk)
            if size > _MAX_LIST_BYTES:
                raise _EndlessAnswerError
            yield chunk

    response.iter_content = counted  # type: ignore[method-assign, assignment]


def with_retry(retry: Retry, work: Callable[[], Result]) -> Result:
    """Call ``work``, and call it again after failures that may pass. The last failure is raised."""
    for attempt in range(1, retry.attempts + 1):
        try:
            return work()
        except (requests.RequestException, IncompleteAnswerError) as error:
            if attempt == retry.attempts or not _may_pass(error):
                raise
            time.sleep(retry.first_wait_s * 2 ** (attempt - 1))
    raise AssertionError("a retry has at least one attempt")


def status_of(error: requests.HTTPError) -> int:
    """HTTP status of an error; 0 if there was no answer."""
    return 0 if error.response is None else error.response.status_code


class IncompleteAnswerError(Exception):
    """An answer that ended normally but lacks something."""


class _EndlessAnswerError(Exception):
    """A list longer than any that we ask for."""


@contextmanager
def translated(access: Access, error_class: type[InputError] | type[OutputError]) -> Iterator[None]:
    """Raise failures of the network and of the server as ``error_class``, with a remedy."""

    def said(found: str, expected: str, remedy: str) -> InputError | OutputError:
        return error_class(access.name, found, expected, remedy)

    try:
        yield
    except _EndlessAnswerError as error:
        raise said(
            f"an answer of more than {_MAX_LIST_BYTES} bytes", "a list of a study's objects", "Check the address."
        ) from error
    except requests.exceptions.SSLError as error:
        raise said(
            "its certificate cannot be verified, or it does not support TLS",
            "TLS with a certificate of a known authority",
            "Give the authority's certificate with --dicomweb-ca, or correct the address.",
        ) from error
    except requests.exceptions.Timeout as error:
        raise said(
            "no answer in time",
            f"a connection within {access.connect_s:g} s and data every {access.read_s:g} s",
            "Check that the server is up and not overloaded, then try again.",
        ) from error
    except requests.HTTPError as error:
        raise said(*_refusal(status_of(error))) from error
    except requests.ConnectionError as error:
        raise said(
            "cannot be reached, or the connection broke",
            "a server that answers there",
            "Check the address and that the server is up, then try again.",
        ) from error
    except (IncompleteAnswerError, requests.RequestException) as error:
        broken = str(error) if isinstance(error, IncompleteAnswerError) else "the answer broke off"
        raise said(
            broken, "every object that it lists", "Try again. If it fails again, see the server's log."
        ) from error
    except OSError as error:
        raise OutputError(
            "data from the server",
            f"cannot be stored ({error.strerror})",
            "room in the output folder while the study is processed",
            "Free space, or choose another with -o.",
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, InvalidDicomError, EOFError) as error:
        raise said(
            f"an answer that is not DICOMweb ({type(error).__name__})",
            "DICOM objects and DICOM JSON",
            "Check that the address is the root of the DICOMweb service.",
        ) from error


def _refusal(status: int) -> tuple[str, str, str]:
    if status in (401, 403):
        return (
            f"access denied (HTTP {status})",
            "a login that the server accepts",
            "Give a token, or a user and password, with --dicomweb-auth FILE or SARCOMAP_DICOMWEB_TOKEN; "
            "or ask its administrator for access.",
        )
    if status == 404:
        return (
            "not found (HTTP 404)",
            "a DICOMweb service with this study",
            "Check the Study Instance UID and the address (give it without /studies).",
        )
    if status == 413:
        return "too large for it (HTTP 413)", "a server that takes objects of this size", "Raise the server's limit."
    return f"HTTP {status}", "HTTP 200", "See the server's log."


def _may_pass(error: Exception) -> bool:
    if isinstance(error, requests.exceptions.SSLError):
        return False
    if isinstance(error, requests.HTTPError):
        return status_of(error) in _PASSING_STATUS
    return True


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
