"""``sarcomap serve`` and ``python -m app.serve``: the service's command line."""

from __future__ import annotations

import dataclasses
import logging
import signal
import sys
import threading
import typing
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from app.serve.settings import Settings
from app.serve.settings_file import read_settings
from app.serve.settings_reference import explanations, reference
from operators.core.command_line import EXIT_CODES, new_app
from operators.core.errors import SarcoMapError, UsageError
from operators.core.options import OptionError
from operators.core.options.declaration import TogetherWith
from operators.core.quiet_dicom import quiet_dicom

__all__ = ["check_run_arguments", "command", "serve_app", "settings_from"]

_HELP = """\
Process studies as they arrive, by DICOM or in a folder.

The service has a DICOM listener and a watched folder. It queues studies on disk, processes them one by one and sends \
the results to DICOMweb servers, storage SCPs or folders."""
_EPILOGUE = f"""\
Settings file (YAML). Every key is shown with its default or an example. Only
spool is required:
{{reference}}

A login file has 'token: ...', or 'user: ...' and 'password: ...'. Without a
login file, the login is read from the environment: SARCOMAP_DICOMWEB_TOKEN, or
SARCOMAP_DICOMWEB_USER and SARCOMAP_DICOMWEB_PASSWORD.

To retry a failed study, stop the service, move the study's folder from failed/
to queued/, and start the service again. To send only its results again, move it
to sending/ instead. SIGTERM and Ctrl-C stop the service in an orderly way.
After kill -9, the next start continues where it stopped.

{EXIT_CODES}

Examples:
  sarcomap serve --spool /var/lib/sarcomap --port 11112
  sarcomap serve --config serve.yaml"""

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

_log = logging.getLogger("sarcomap.serve")


@dataclasses.dataclass(frozen=True)
class _Flag:
    """A setting that is also an option of the command line."""

    key: str
    name: str
    field: tuple[str, Any, Any]


def _flags(kind: type = Settings, where: str = "") -> Iterator[_Flag]:
    """Every setting whose declaration holds a `Parameter`; None if it is not given."""
    types, said = typing.get_type_hints(kind, include_extras=True), explanations(kind)
    for item in dataclasses.fields(kind):
        hint = types[item.name]
        if dataclasses.is_dataclass(hint):
            yield from _flags(typing.cast(type, hint), f"{item.name}.")
        for note in typing.get_args(hint)[1:]:
            if isinstance(note, Parameter):
                default = item.default
                shown = "" if default in (None, dataclasses.MISSING) else f" Default: {_plain(default)}."
                help_text = Parameter(help=said[item.name] + shown, show_default=False)
                optional = Annotated[typing.get_args(hint)[0] | None, note, help_text]  # type: ignore[valid-type]
                name = f"{where}{item.name}".replace(".", "_")
                yield _Flag(f"{where}{item.name}", str(next(iter(note.name or ()))), (name, optional, None))


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


_FLAGS = tuple(_flags())
_Given = dataclasses.make_dataclass("_Given", [flag.field for flag in _FLAGS], frozen=True)
_Given.__module__ = __name__  # Python 3.11 says "types", and cyclopts takes it for a built-in type


def serve_app(name: str) -> App:
    """The command, under the name that it is started with."""
    app = new_app(name, _HELP, _EPILOGUE.format(reference=reference()))
    app.default(_serve)
    return app


def settings_from(arguments: Sequence[str]) -> Settings:
    """Settings of the service that was started with these arguments.

    Raises
    ------
    UsageError
        If they cannot be used.
    """
    try:
        _, bound, _ = command.parse_args([argument for argument in arguments if argument])
    except CycloptsError as error:
        raise UsageError("arguments", " ".join(str(error).split()), "those of sarcomap serve", "See --help.") from None
    return _settings(bound.arguments.get("config"), bound.arguments.get("given", _Given()))


def _serve(
    *,
    config: Annotated[
        Path | None,
        Parameter(name=("-c", "--config"), metavar="FILE", help="Settings file. Other options override it."),
    ] = None,
    given: Annotated[_Given, TogetherWith] = _Given(),  # type: ignore[valid-type]  # noqa: B008 (frozen)
    log_level: Annotated[
        LogLevel, Parameter(name=("-l", "--log-level"), converter=lambda _, tokens: tokens[0].value.upper())
    ] = "INFO",
) -> None:
    logging.basicConfig(level=log_level, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr, force=True)
    warnings.filterwarnings("ignore")
    quiet_dicom()  # what it says quotes values
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # it logs what it receives and sends
    logging.getLogger("numba").setLevel(logging.WARNING)  # at DEBUG it prints every step of its compiler
    stop = threading.Event()

    def told_to_stop(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told_to_stop)
    settings = _settings(config, given)
    check_run_arguments(settings.run.arguments)

    from app.serve.security_warnings import cautions  # so that help and a wrong setting do not wait for the rest
    from app.serve.service import Service

    service = Service(settings)
    for caution in cautions(settings):
        _log.warning(caution)
    dicom, http = settings.dicom, settings.http
    _log.info(
        "ready: DICOM %s, HTTP %s",
        f"{dicom.ae_title} on {dicom.host}:{dicom.port}" if dicom.port else "off",
        f"on {http.host}:{http.port}" if http.port else "off",
    )
    stop.wait()
    service.stop()


def check_run_arguments(arguments: Sequence[str]) -> None:
    """Parse them as ``python -m app`` will, so that a wrong one is refused now and not at the first study.

    Raises
    ------
    UsageError
        Names ``run.arguments`` and repeats the message of that command line.
    """
    from app.__main__ import command as study_command

    try:
        study_command.parse_args([*arguments, "--input", "study.zip", "--output", "out"])
    except (CycloptsError, SarcoMapError) as error:
        said, _, hint = " ".join(str(error).split()).partition(". ")
        raise UsageError(
            "run.arguments", said.rstrip("."), "options of sarcomap run", hint or "See sarcomap run --help."
        ) from None


def _settings(config: Path | None, given: Any) -> Settings:
    values = {flag.key: getattr(given, flag.field[0]) for flag in _FLAGS}
    try:
        return read_settings(config, values)
    except OptionError as error:  # a key of the file, or the flag that gave the value
        names = {flag.key: flag.name for flag in _FLAGS if values[flag.key] is not None}
        raise UsageError(names.get(error.field, error.field), error.found, error.expected, error.remedy) from None


command = serve_app("serve")
