"""The one exception hierarchy of SarcoMAP.

Every error that a user can cause or encounter is a `SarcoMapError`. Its four
arguments say where it happened, what was found, what was expected and what the
user can do, so that no message leaves one of them out.
"""

from __future__ import annotations

from typing import Any

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
    "printable",
]


def printable(text: str) -> str:
    """A text with what cannot be shown as escapes: names of files may hold line ends, colours and foreign bytes.

    Examples
    --------
    >>> printable("a\\x1b[31m\\n.zip")
    'a\\\\x1b[31m\\\\n.zip'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


class SarcoMapError(Exception):
    """Base class of all errors that SarcoMAP raises on purpose.

    Parameters
    ----------
    where : str
        File, series, station or column; never a patient's name or identifier.
    found : str
        What was found there.
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
        where, found = printable(where), printable(found)
        super().__init__(f"{where}: {found}; expected {expected}. {remedy}")
        self.where = where
        self.found = found
        self.expected = expected
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception would call the class with one text, which takes four: errors must cross processes whole.
        return _restored, (type(self), self.args, self.__dict__)


class UsageError(SarcoMapError):
    """The command line or an option cannot be used."""

    exit_code = 2


class InputError(SarcoMapError):
    """The input study cannot be used."""

    exit_code = 3


class ArchiveError(InputError):
    """A zip archive is damaged, unsafe or too large."""


class DicomError(InputError):
    """A DICOM object is damaged, or does not belong in a Dixon study."""


class GeometryError(InputError):
    """Positions, spacings or orientations do not describe a volume."""


class SegmentationError(SarcoMapError):
    """The network could not be loaded or could not label the volume."""

    exit_code = 4


class OutputError(SarcoMapError):
    """A result could not be written."""

    exit_code = 5


class InternalError(SarcoMapError):
    """SarcoMAP broke one of its own rules; the input and the user are not to blame.

    Parameters
    ----------
    where, found, expected : str
        As for `SarcoMapError`; the remedy is always to report the defect.
    """

    exit_code = 1

    def __init__(self, where: str, found: str, expected: str) -> None:
        super().__init__(where, found, expected, "This is a defect of SarcoMAP: please report it.")


def _restored(kind: type[SarcoMapError], args: tuple[Any, ...], state: dict[str, Any]) -> SarcoMapError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error
