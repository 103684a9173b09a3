"""What the service is told: a YAML file, checked key by key."""

from __future__ import annotations

import dataclasses
import ipaddress
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from app.dicomweb.access import Access
from app.dicomweb.login import read_login
from operators.core.errors import UsageError
from operators.dicom_loader.source import DEFAULT_LIMITS

__all__ = ["Destination", "DicomSettings", "HttpSettings", "RunSettings", "SendSettings", "Settings", "read_settings"]

_GIBIBYTE = 1024**3


@dataclass(frozen=True)
class DicomSettings:
    """The listener (C-STORE and C-ECHO).

    Attributes
    ----------
    host : str
        Address to listen on; the default is this machine only.
    port : int
        0 switches the listener off.
    ae_title : str
        Ours: associations that call another are rejected.
    allowed_ae_titles : tuple of str
        Who may send. Must name somebody when ``host`` is not this machine.
    maximum_associations : int
    tls_certificate, tls_key, tls_ca : Path or None
        PEM files. With ``tls_ca`` senders must show a certificate that follows from it.
    """

    host: str = "127.0.0.1"
    port: int = 11112
    ae_title: str = "SARCOMAP"
    allowed_ae_titles: tuple[str, ...] = ()
    maximum_associations: int = 10
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None

    def __post_init__(self) -> None:
        for title in (self.ae_title, *self.allowed_ae_titles):
            _check_ae_title(title)
        _check_port("dicom.port", self.port)
        if self.port and not self.allowed_ae_titles and not _is_here(self.host):
            raise UsageError(
                "dicom.allowed_ae_titles",
                f"nobody, while {self.host} can be reached from other machines",
                "the AE titles of those who may send",
                "Name them, or listen on 127.0.0.1.",
            )
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise UsageError("dicom.tls_certificate", "without tls_key, or the reverse", "both", "Give both files.")


@dataclass(frozen=True)
class HttpSettings:
    """Health and metrics; port 0 switches them off."""

    host: str = "127.0.0.1"
    port: int = 8043

    def __post_init__(self) -> None:
        _check_port("http.port", self.port)


@dataclass(frozen=True)
class RunSettings:
    """How studies are processed.

    Attributes
    ----------
    arguments : tuple of str
        For ``python -m app``, without input and output.
    workers : int
        Studies at a time.
    timeout_s : float
    attempts : int
        Runs of one study that may be cut off (by a crash, not by bad input) before it is given up.
    """

    arguments: tuple[str, ...] = ()
    workers: int = 1
    timeout_s: float = 3600.0
    attempts: int = 3

    def __post_init__(self) -> None:
        forbidden = {"-i", "--input", "-o", "--output", "--dicomweb", "--study-uid", "--stow"}
        if found := forbidden.intersection(argument.split("=")[0] for argument in self.arguments):
            raise UsageError(
                "run.arguments", ", ".join(sorted(found)), "options of the processing alone", "Leave it out."
            )
        if self.workers < 1 or self.attempts < 1 or self.timeout_s <= 0:
            raise UsageError("run", "a number below 1", "at least one worker, attempt and second", "Correct it.")


@dataclass(frozen=True)
class Destination:
    """Where results go: exactly one of ``dicomweb``, ``dimse`` and ``folder``.

    Attributes
    ----------
    name : str
        For logs and metrics.
    dicomweb : str
        URL of a DICOMweb service; ``auth`` is a login file, ``ca`` a bundle of certificates.
    dimse : str
        ``HOST:PORT`` of a storage SCP, called as ``ae_title``; we call ourselves
        ``calling_ae_title``, or when that is empty as the listener does.
    folder : Path or None
        Every result of a study, in a folder of its own.
    """

    name: str
    dicomweb: str = ""
    auth: Path | None = None
    ca: Path | None = None
    dimse: str = ""
    ae_title: str = "ANY-SCP"
    calling_ae_title: str = ""
    folder: Path | None = None

    def __post_init__(self) -> None:
        if sum(map(bool, (self.dicomweb, self.dimse, self.folder))) != 1:
            raise UsageError(
                f"destination {self.name}", "none or several addresses", "one of dicomweb, dimse, folder", "Give one."
            )
        _check_ae_title(self.ae_title)
        if self.calling_ae_title:
            _check_ae_title(self.calling_ae_title)
        if self.dimse:
            host, _, port = self.dimse.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise UsageError(f"destination {self.name}", "not HOST:PORT", "such as 127.0.0.1:4242", "Correct it.")

    def access(self) -> Access:
        """The DICOMweb server, with the login as it stands in file or environment now."""
        return Access(self.dicomweb, read_login(self.auth), self.ca)


@dataclass(frozen=True)
class SendSettings:
    """Waits between tries double from ``first_wait_s`` to ``longest_wait_s``; after ``attempts`` it is given up."""

    first_wait_s: float = 10.0
    longest_wait_s: float = 3600.0
    attempts: int = 48

    def __post_init__(self) -> None:
        if not 0 < self.first_wait_s <= self.longest_wait_s or self.attempts < 1:
            raise UsageError(
                "send", "waits or attempts that cannot be", "0 < first_wait_s <= longest_wait_s", "Correct it."
            )


@dataclass(frozen=True)
class Settings:
    """Everything.

    Attributes
    ----------
    spool : Path
        The queue on disk, with its studies: as much of a patient as those are.
    watch : Path or None
        Folder in which zips and folders of studies appear.
    quiet_s : float
        A study is taken when nothing of it has come for so long.
    abandoned_s : float
        The same, when its sender was cut off before it ended the association: it may come back.
    max_study_bytes, max_study_objects : int
    min_free_bytes : int
        Nothing is accepted while the disk has less.
    keep_days : float
        Studies and results that are done or have failed are removed after that.
    """

    spool: Path
    watch: Path | None = None
    quiet_s: float = 30.0
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
            raise UsageError(
                "quiet_s, abandoned_s, keep_days",
                "times that cannot be",
                "0 < quiet_s <= abandoned_s, 0 <= keep_days",
                "Correct them.",
            )
        names = [one.name for one in self.destinations]
        if len(set(names)) != len(names):
            raise UsageError("destinations", "two of one name", "names that differ", "Rename one.")
        ours = self.dicom.ae_title
        object.__setattr__(
            self,
            "destinations",
            tuple(replace(one, calling_ae_title=one.calling_ae_title or ours) for one in self.destinations),
        )


def read_settings(file: Path | None, overrides: Mapping[str, Any]) -> Settings:
    """Settings of a YAML file, with what the command line says on top.

    Parameters
    ----------
    file : Path or None
    overrides : mapping
        ``spool``, ``watch``, ``quiet_s``, and ``dicom`` and ``http`` with their own keys; None is passed over.

    Raises
    ------
    UsageError
        Naming the key, for what is unknown or cannot be.
    """
    content: dict[str, Any] = {}
    if file is not None:
        try:
            loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(
                f"settings {file.name}", f"cannot be read ({error.strerror})", "a readable file", "Check the path."
            ) from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            line = f" (line {mark.line + 1})" if mark else ""
            raise UsageError(
                f"settings {file.name}", f"not YAML{line}", "a mapping of settings", "Correct it."
            ) from None
        if not isinstance(loaded or {}, Mapping):
            raise UsageError(f"settings {file.name}", "not a mapping", "keys with values", "Correct it.")
        content = dict(loaded or {})
    for key, value in overrides.items():
        if isinstance(value, Mapping):
            content[key] = {**(content.get(key) or {}), **{k: v for k, v in value.items() if v is not None}}
        elif value is not None:
            content[key] = value
    if not content.get("spool"):
        raise UsageError("spool", "not given", "a folder for the queue", "Set spool in the file, or give --spool.")
    settings: Settings = _build(Settings, content, "")
    return settings


def _build(kind: type, content: object, where: str) -> Any:
    """A settings class from what YAML holds; every value is converted by the field's type."""
    if not isinstance(content, Mapping):
        raise UsageError(where or "settings", "not a mapping", "keys with values", "Correct the settings file.")
    types = typing.get_type_hints(kind)
    known = [item.name for item in dataclasses.fields(kind)]
    values = {}
    for key, value in content.items():
        name = f"{where}{key}"
        if key not in known:
            raise UsageError(f"settings, {name}", "an unknown key", f"one of {', '.join(known)}", "Correct its name.")
        values[key] = _value(types[key], value, name)
    try:
        return kind(**values)
    except TypeError:
        raise UsageError(where or "settings", "a key is missing", f"all of {', '.join(known)}", "Add it.") from None


def _value(wanted: Any, value: object, name: str) -> Any:
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        return _build(wanted, value, f"{name}.")
    arguments = typing.get_args(wanted)
    if typing.get_origin(wanted) is tuple:
        if not isinstance(value, list | tuple):
            raise UsageError(f"settings, {name}", "not a list", "a list", "Write it as a YAML list.")
        return tuple(_value(arguments[0], item, f"{name}[{index}]") for index, item in enumerate(value))
    if type(None) in arguments:
        return None if value is None else _value(arguments[0], value, name)
    accepted = {float: (int, float), int: (int,), str: (str,), Path: (str, Path)}[wanted]
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise UsageError(
            f"settings, {name}", f"a {type(value).__name__}", f"a {wanted.__name__}", "Correct the settings file."
        )
    return wanted(value)


def _check_ae_title(title: str) -> None:
    if not 0 < len(title.strip()) <= 16 or "\\" in title or not title.isascii() or not title.isprintable():
        raise UsageError(
            "AE title", f"{title[:20]!r}", "1 to 16 ASCII characters without backslash (PS3.5 6.2)", "Correct it."
        )


def _check_port(name: str, port: int) -> None:
    if not 0 <= port < 65536:
        raise UsageError(name, str(port), "a port number", "Choose one from 1024 to 65535.")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
