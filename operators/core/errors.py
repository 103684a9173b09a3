"""The one exception hierarchy of SarcoMAP.

Every error that a user can cause or meet is a `SarcoMapError`. It is built
from four answers, so that no message can leave one out: where it happened,
what was found, what was expected, and what the user can do.
"""

from __future__ import annotations

__all__ = [
    "ArchiveError",
    "DicomError",
    "GeometryError",
    "InputError",
    "InternalError",
    "OutputError",
    "SarcoMapError",
    "SegmentationError",
    "UsageError",
]


class SarcoMapError(Exception):
    """Base of all errors that SarcoMAP raises on purpose.

    Parameters
    ----------
    where : str
        File, series, station or column; never a patient's name or identifier.
    found : str
        What was met there.
    expected : str
        What should have been there.
    remedy : str
        What the user can do, as a sentence.

    Examples
    --------
    >>> str(InputError("study.zip", "no DICOM file", "one Dixon study", "Check the path."))
    'study.zip: no DICOM file; expected one Dixon study. Check the path.'
    """

    exit_code = 1

    def __init__(self, where: str, found: str, expected: str, remedy: str) -> None:
        super().__init__(f"{where}: {found}; expected {expected}. {remedy}")
        self.where = where
        self.found = found
        self.expected = expected
        self.remedy = remedy


class UsageError(SarcoMapError):
    """The command line or an option is not usable."""

    exit_code = 2


class InputError(SarcoMapError):
    """The input study cannot be used."""

    exit_code = 3


class ArchiveError(InputError):
    """A zip archive is damaged, unsafe or too large."""


class DicomError(InputError):
    """A DICOM object is damaged, or is not what a Dixon study holds."""


class GeometryError(InputError):
    """Positions, spacings or orientations do not describe a volume."""


class SegmentationError(SarcoMapError):
    """The network could not be loaded or could not label the volume."""

    exit_code = 4


class OutputError(SarcoMapError):
    """A result could not be written."""

    exit_code = 5


class InternalError(SarcoMapError):
    """SarcoMAP broke a rule of its own: neither the input nor the user is to blame.

    Parameters
    ----------
    where, found, expected : str
        As for `SarcoMapError`; the remedy is always to report the defect.
    """

    exit_code = 1

    def __init__(self, where: str, found: str, expected: str) -> None:
        super().__init__(where, found, expected, "This is a defect of SarcoMAP: please report it.")
