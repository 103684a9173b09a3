"""Settings of the service. Each setting is declared once, here.

The field gives type and default, its entry in the docstring is the
explanation, and a `Parameter` marks settings that are also options of the
command line. The checks of YAML files, the command line and the reference in
the help text derive from these declarations.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from operators.core.options import OptionError
from operators.dicom_loader.source import DEFAULT_LIMITS

if TYPE_CHECKING:
    from app.dicomweb import Access

__all__ = ["EXAMPLE", "Destination", "DicomSettings", "HttpSettings", "RunSettings", "SendSettings", "Settings"]

EXAMPLE = "example"
"""Key of a field's metadata: the example that the reference shows if there is no default."""

_GIBIBYTE = 1024**3


def _like(example: Any) -> dict[str, Any]:
    return {EXAMPLE: example}


@dataclass(frozen=True)
class DicomSettings:
    """The DICOM listener (C-STORE and C-ECHO).

    Attributes
    ----------
    host : str
        Address that the DICOM listener listens on.
    port : int
        Port of the DICOM listener. 0: no listener.
    ae_title : str
        AE title of the DICOM listener. Associations that call another AE title are rejected.
    allowed_ae_titles : tuple of str
        AE titles that may send. Required unless the host is this machine only.
    maximum_associations : int
        Maximum number of associations at a time. Further ones are rejected.
    tls_certificate : Path or None
        PEM file. With tls_key, the listener accepts DICOM TLS only.
    tls_key : Path or None
        PEM file.
    tls_ca : Path or None
        PEM file of certificate authorities. Senders must present a certificate signed by one of them.
    """

    host: Annotated[str, Parameter(name="--host", metavar="ADDRESS")] = "127.0.0.1"
    port: Annotated[int, Parameter(name="--port", metavar="N")] = 11112
    ae_title: Annotated[str, Parameter(name="--ae-title", metavar="TITLE")] = "SARCOMAP"
    allowed_ae_titles: tuple[str, ...] = field(default=(), metadata=_like(["SCANNER1"]))
    maximum_associations: int = 10
    tls_certificate: Path | None = field(default=None, metadata=_like("service.pem"))
    tls_key: Path | None = field(default=None, metadata=_like("service.key"))
    tls_ca: Path | None = field(default=None, metadata=_like("scanners.pem"))

    def __post_init__(self) -> None:
        _check_ae_title("dicom.ae_title", self.ae_title)
        for title in self.allowed_ae_titles:
            _check_ae_title("dicom.allowed_ae_titles", title)
        _check_port("dicom.port", self.port)
        if self.port and not self.allowed_ae_titles and not _is_here(self.host):
            raise OptionError(
                "dicom.allowed_ae_titles",
                f"empty, although {self.host} can be reached from other machines",
                "the AE titles that may send",
                "List them, or listen on 127.0.0.1.",
            )
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise OptionError("dicom.tls_certificate", "without tls_key, or vice versa", "both", "Give both files.")


@dataclass(frozen=True)
class HttpSettings:
    """HTTP server of /health and /metrics.

    Attributes
    ----------
    host : str
        Address to listen on.
    port : int
        HTTP port of /health and /metrics. 0: no HTTP server.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Parameter(name="--http-port", metavar="N")] = 8043

    def __post_init__(self) -> None:
        _check_port("http.port", self.port)


@dataclass(frozen=True)
class RunSettings:
    """How studies are processed.

    Attributes
    ----------
    arguments : tuple of str
        Any options of sarcomap run except those for input and output.
    workers : int
        Number of studies processed at a time.
    timeout_s : float
        Time limit in seconds. A run that takes longer is ended.
    attempts : int
        Number of runs of one study that may crash or time out before the study fails. Bad input is not retried.
    """

    arguments: tuple[str, ...] = field(default=(), metadata=_like(["--stations", "all"]))
    workers: int = 1
    timeout_s: float = 3600.0
    attempts: int = 3

    def __post_init__(self) -> None:
        forbidden = {"-i", "--input", "-o", "--output", "--dicomweb", "--study-uid", "--stow"}
        if found := forbidden.intersection(argument.split("=")[0] for argument in self.arguments):
            raise OptionError("run.arguments", ", ".join(sorted(found)), "options for processing only", "Remove it.")
        if self.workers < 1 or self.attempts < 1 or self.timeout_s <= 0:
            raise OptionError("run", "a number below 1", "at least 1 worker, 1 attempt and 1 second", "Correct it.")


@dataclass(frozen=True)
class Destination:
    """Where results go: exactly one of dicomweb, dimse and folder.

    Attributes
    ----------
    name : str
        Name in logs and metrics.
    dicomweb : str
        URL of a DICOMweb service.
    auth : Path or None
        Login file for the service.
    ca : Path or None
        PEM certificates to verify the service with.
    dimse : str
        HOST:PORT of a storage SCP (DICOM C-STORE).
    ae_title : str
        AE title of the storage SCP.
    calling_ae_title : str
        Our own AE title when sending. Default: the listener's AE title.
    folder : Path or None
        Folder that receives all results of each study, in a subfolder per study.
    """

    name: str
    dicomweb: str = field(default="", metadata=_like("https://pacs.example/dicom-web"))
    auth: Path | None = field(default=None, metadata=_like("login.yaml"))
    ca: Path | None = field(default=None, metadata=_like("ca.pem"))
    dimse: str = field(default="", metadata=_like("127.0.0.1:4242"))
    ae_title: str = "ANY-SCP"
    calling_ae_title: str = field(default="", metadata=_like("SARCOMAP"))
    folder: Path | None = field(default=None, metadata=_like("/data/results"))

    def __post_init__(self) -> None:
        if sum(map(bool, (self.dicomweb, self.dimse, self.folder))) != 1:
            raise OptionError(
                f"destination {self.name}", "none or several", "exactly one of dicomweb, dimse, folder", "Give one."
            )
        for title in (self.ae_title, self.calling_ae_title or self.ae_title):
            _check_ae_title(f"destination {self.name}, AE title", title)
        if self.dimse:
            host, _, port = self.dimse.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise OptionError(f"destination {self.name}", "not HOST:PORT", "such as 127.0.0.1:4242", "Correct it.")

    def access(self) -> Access:
        """Connection data of the DICOMweb server, with the current login of the file or environment."""
        from app.dicomweb import Access, read_login  # here because help and most settings need no DICOMweb client

        return Access(self.dicomweb, read_login(self.auth), self.ca)


@dataclass(frozen=True)
class SendSettings:
    """How sending is retried after a failure.

    Attributes
    ----------
    first_wait_s : float
        Wait in seconds after a failure. It doubles with each further failure.
    longest_wait_s : float
        Longest wait in seconds between two tries.
    attempts : int
        Number of failures at one destination before the study fails. With these waits: 40 hours.
    """

    first_wait_s: float = 10.0
    longest_wait_s: float = 3600.0
    attempts: int = 48

    def __post_init__(self) -> None:
        if not 0 < self.first_wait_s <= self.longest_wait_s or self.attempts < 1:
            raise OptionError("send", "invalid waits or attempts", "0 < first_wait_s <= longest_wait_s", "Correct it.")


@dataclass(frozen=True)
class Settings:
    """All settings of the service.

    Attributes
    ----------
    spool : Path
        Folder of the queue. It holds patients' images: protect it accordingly.
    watch : Path or None
        Watched folder. Every zip or folder that is put into it is a study.
    quiet_s : float
        A study is queued when nothing of it has arrived for this many seconds.
    abandoned_s : float
        The same wait, if the sender was cut off and may reconnect.
    max_study_bytes : int
        Larger studies are refused.
    max_study_objects : int
        Studies with more objects are refused.
    min_free_bytes : int
        While the disk has less free space, nothing is accepted and no run begins.
    keep_days : float
        Finished and failed studies are removed after this many days.
    dicom : DicomSettings
    http : HttpSettings
    run : RunSettings
    send : SendSettings
    destinations : tuple of Destination
        Where results go. Each has a name, and one of dicomweb, dimse and folder.
    """

    spool: Annotated[Path, Parameter(name="--spool", metavar="DIR")] = field(metadata=_like("/var/lib/sarcomap"))
    watch: Annotated[Path | None, Parameter(name="--watch", metavar="DIR")] = field(
        default=None, metadata=_like("/data/inbox")
    )
    quiet_s: Annotated[float, Parameter(name="--quiet", metavar="SECONDS")] = 30.0
    abandoned_s: float = 900.0
    max_study_bytes: int = DEFAULT_LIMITS.max_total_bytes
    max_study_objects: int = DEFAULT_LIMITS.max_members
    min_free_bytes: int = 2 * _GIBIBYTE
    keep_days: float = 7.0
    dicom: DicomSettings = field(default_factory=DicomSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    run: RunSettings = field(default_factory=RunSettings)
    send: SendSettings = field(default_factory=SendSettings)
    destinations: tuple[Destination, ...] = ()

    def __post_init__(self) -> None:
        if self.quiet_s <= 0 or self.abandoned_s < self.quiet_s or self.keep_days < 0:
            raise OptionError(
                "quiet_s",
                f"{self.quiet_s:g}, with abandoned_s {self.abandoned_s:g} and keep_days {self.keep_days:g}",
                "0 < quiet_s <= abandoned_s, 0 <= keep_days",
                "Correct them.",
            )
        for name in ("max_study_bytes", "max_study_objects"):
            if getattr(self, name) < 1:
                raise OptionError(name, str(getattr(self, name)), "a number above 0", "Correct it.")
        # Runs have a working folder of their own.
        object.__setattr__(self, "spool", self.spool.absolute())
        _check_folders(self.spool, self.watch, self.destinations)
        names = [one.name for one in self.destinations]
        if len(set(names)) != len(names):
            raise OptionError("destinations", "two with the same name", "different names", "Rename one.")
        ours = self.dicom.ae_title
        object.__setattr__(
            self,
            "destinations",
            tuple(replace(one, calling_ae_title=one.calling_ae_title or ours) for one in self.destinations),
        )


def _check_folders(spool: Path, watch: Path | None, destinations: tuple[Destination, ...]) -> None:
    """Raise `OptionError` if the watched folder would take the queue or delivered results for new studies."""
    if watch is None:
        return
    ours = {"the spool": spool} | {f"destination {one.name}": one.folder for one in destinations if one.folder}
    for name, folder in ours.items():
        here, there = watch.resolve(), folder.resolve()
        if here == there or here in there.parents or (folder == spool and there in here.parents):
            raise OptionError(
                "watch",
                f"{watch}, and {name} is {folder}",
                "a folder of its own: what lies in it is moved into the queue",
                "Choose another.",
            )


def _check_ae_title(name: str, title: str) -> None:
    if not 0 < len(title.strip()) <= 16 or "\\" in title or not title.isascii() or not title.isprintable():
        raise OptionError(
            name, f"{title[:20]!r}", "1 to 16 ASCII characters without backslash (PS3.5 6.2)", "Correct it."
        )


def _check_port(name: str, port: int) -> None:
    if not 0 <= port < 65536:
        raise OptionError(name, str(port), "a port number", "Choose one from 1024 to 65535.")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
