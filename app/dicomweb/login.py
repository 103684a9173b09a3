"""Login for a DICOMweb server, from a file or the environment. It appears in no message."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from operators.core.errors import UsageError

__all__ = ["Login", "read_login"]

_KEYS = ("token", "user", "password", "plain_http")
_VARIABLES = {key: f"SARCOMAP_DICOMWEB_{key.upper()}" for key in _KEYS}
_SHAPE = "'token: ...', or 'user: ...' and 'password: ...', one a line"


@dataclass(frozen=True)
class Login:
    """A bearer token, or a user with a password, or neither.

    Attributes
    ----------
    token, user, password : str
        Empty if not given. ``repr`` leaves them out.
    plain_http : bool
        Also send them to other machines without TLS.
    """

    token: str = field(default="", repr=False)
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    plain_http: bool = False

    def __post_init__(self) -> None:
        if self.token and (self.user or self.password):
            raise UsageError("DICOMweb login", "a token and a user", "one of them", "Remove one.")
        if bool(self.user) != bool(self.password):
            raise UsageError("DICOMweb login", "a user or a password alone", "both", f"Give {_SHAPE}.")
        if any(character in self.token for character in "\r\n\0 \t"):
            raise UsageError("DICOMweb login", "the token contains white space", "one word", "Check how it was copied.")

    @property
    def empty(self) -> bool:
        """Whether no login is given."""
        return not (self.token or self.user)


def read_login(file: Path | None = None, environment: Mapping[str, str] | None = None) -> Login:
    """Read the login from a file or, without one, from the environment.

    Parameters
    ----------
    file : Path, optional
        YAML with ``token``, or ``user`` and ``password``; ``plain_http: true``
        allows sending them without TLS.
    environment : mapping, optional
        Default: the process's own. ``SARCOMAP_DICOMWEB_TOKEN``, or
        ``SARCOMAP_DICOMWEB_USER`` and ``SARCOMAP_DICOMWEB_PASSWORD``;
        ``SARCOMAP_DICOMWEB_PLAIN_HTTP=1``.

    Raises
    ------
    UsageError
        If the file cannot be read or has other keys. The message never quotes the file.
    """
    if file is not None:
        return _login(_file_content(file), file.name)
    given = os.environ if environment is None else environment
    return _login({key: given[name] for key, name in _VARIABLES.items() if given.get(name)}, "environment")


def _file_content(file: Path) -> Mapping[str, Any]:
    try:
        mode = file.stat().st_mode
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"login file {file.name}", f"cannot be read ({error.strerror})", "a readable file", "Check the path."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError):
        # The parser's message quotes the line, and the secret with it.
        raise UsageError(f"login file {file.name}", "not YAML", _SHAPE, "Correct the file.") from None
    if not isinstance(content, Mapping) or not set(content) <= set(_KEYS):
        raise UsageError(f"login file {file.name}", "other keys or another shape", _SHAPE, "Correct the file.")
    if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
        print(f"warning: other users can read the login file {file.name}; restrict it with chmod 600", file=sys.stderr)
    return content


def _login(content: Mapping[str, Any], where: str) -> Login:
    values = {key: str(content[key] if content.get(key) is not None else "").strip() for key in _KEYS}
    plain = values.pop("plain_http").lower()
    if plain not in ("", "0", "1", "false", "true"):
        raise UsageError(f"DICOMweb login ({where})", "plain_http is not true or false", "one of them", "Correct it.")
    return Login(**values, plain_http=plain in ("1", "true"))
