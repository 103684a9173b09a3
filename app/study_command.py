"""Shared parts of the command lines that process studies."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from app.dicomweb_options import DicomwebOptions
from operators.core.cuda_driver import driver_sees_device
from operators.core.model_card import check_bundle_folder
from operators.core.options import WITHOUT_KEY, OptionError, PersonOptions, RunOptions
from operators.core.options.declaration import Flag, TogetherWith, check_choices, section
from operators.core.quiet_dicom import quiet_dicom
from operators.nifti_loader import is_nifti

if TYPE_CHECKING:
    from app.dicomweb import Access

__all__ = [
    "GeneralOptions",
    "LogLevel",
    "StudyCommand",
    "dicomweb_access",
    "refuse_early",
    "set_up_logging",
    "with_study",
]

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

_GENERAL = Parameter(group=section("General", 0))


@dataclass(frozen=True)
class GeneralOptions:
    """Options of every command line that processes studies, besides those of its stages.

    Attributes
    ----------
    model : Path or None
        Folder of a MONAI bundle. Default: the shipped one, with demonstration weights.
    log_level : {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}
        DEBUG also shows tracebacks.
    quiet : bool
        Show no progress and no summary, errors only.
    """

    model: Annotated[
        Path | None,
        Parameter(name=("-m", "--model"), env_var="HOLOSCAN_MODEL_PATH", metavar="DIR"),
        _GENERAL,
    ] = None
    log_level: Annotated[
        LogLevel, Parameter(name=("-l", "--log-level"), converter=lambda _, tokens: tokens[0].value.upper()), _GENERAL
    ] = "WARNING"
    quiet: Annotated[bool, Flag, Parameter(name=("-q", "--quiet")), _GENERAL] = False

    def __post_init__(self) -> None:
        check_choices(self)  # the converter takes lower case, and anything else


@dataclass(frozen=True)
class StudyCommand(GeneralOptions):
    """Options of a command line that processes one study or a few.

    Attributes
    ----------
    dicomweb : DicomwebOptions
    person : PersonOptions
    """

    dicomweb: Annotated[DicomwebOptions, TogetherWith] = field(default_factory=DicomwebOptions)
    person: Annotated[PersonOptions, TogetherWith] = field(default_factory=PersonOptions)


def set_up_logging(level: LogLevel) -> None:
    """Send log messages to standard error, and silence other packages' remarks about themselves."""
    logging.basicConfig(level=level, format="%(levelname)s %(message)s", force=True)
    quiet_dicom()  # at every level: what they say quotes values
    logging.getLogger("numba").setLevel(logging.WARNING)  # at DEBUG it prints every step of its compiler
    if level != "DEBUG":
        warnings.filterwarnings("ignore")  # MONAI's, about itself; a user can do nothing about them


def refuse_early(options: RunOptions, command: GeneralOptions, source: Path | None = None) -> None:
    """Find problems at once that would otherwise end the run after slow imports and reading.

    Warns about de-identification without a key.

    Raises
    ------
    SarcoMapError
        If a device is not available, a folder is not a bundle, a key file cannot
        be read, or an input is neither a folder, a zip nor NIfTI.
    """
    if options.device == "cuda" and not driver_sees_device():
        raise OptionError("device", "no CUDA device is available", "a CUDA device", "Use auto or cpu.")
    if command.model is not None and not options.labels.replace_network:
        check_bundle_folder(command.model)
    if (chosen := options.deidentification.chosen()) is not None and not chosen.key:
        print(f"warning: {WITHOUT_KEY}", file=sys.stderr)
    if source is not None and is_nifti(source):
        from operators.nifti_loader.files import contrast_files

        contrast_files(source)
    elif source is not None:
        from operators.dicom_loader.source import DEFAULT_LIMITS, open_source

        with open_source(source, DEFAULT_LIMITS):
            pass


def with_study(options: RunOptions, command: StudyCommand) -> RunOptions:
    """The options of a run, which read the study that ``--study-uid`` names, of the person that is described."""
    reading = options.reading
    if command.dicomweb.study_uid is not None:
        reading = replace(reading, study_uid=command.dicomweb.study_uid)
    if command.person.given:
        reading = replace(reading, person=command.person)
    return replace(options, reading=reading)


def dicomweb_access(
    options: DicomwebOptions, warn: Callable[[str], None] = lambda text: print(text, file=sys.stderr)
) -> Access | None:
    """The DICOMweb server, or None if none was given. Warns if images would be sent without encryption."""
    if options.dicomweb is None:
        return None
    from app.dicomweb import Access, read_login

    access = Access(options.dicomweb, read_login(options.dicomweb_auth), options.dicomweb_ca)
    if access.caution:
        warn(f"warning: {access.caution}")
    return access
