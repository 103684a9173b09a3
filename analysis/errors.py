"""Errors of the analysis.

They have the same four parts as in `operators.core.errors` (where, found, expected,
remedy) and the same exit codes. They are defined again because the analysis is
also used on other people's tables, without the imaging code.
"""

from __future__ import annotations

from typing import Any

__all__ = ["AnalysisError", "DataError", "OptionError", "OutputError", "UsageError"]


class AnalysisError(Exception):
    """Base of all errors that the analysis raises on purpose.

    Parameters
    ----------
    where : str
        File and column; never a participant's identifier.
    found, expected : str
        What was found, and what was expected.
    remedy : str
        What the user can do, as a sentence.

    Examples
    --------
    >>> str(DataError("participants.csv, column height_cm", "1.76", "centimetres", "Multiply by 100."))
    'participants.csv, column height_cm: 1.76; expected centimetres. Multiply by 100.'
    """

    exit_code = 1

    def __init__(self, where: str, found: str, expected: str, remedy: str) -> None:
        super().__init__(f"{where}: {found}; expected {expected}. {remedy}")
        self.where = where
        self.found = found
        self.expected = expected
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception would call the class with one text, which takes four: errors must cross processes whole.
        return _restored, (type(self), self.args, self.__dict__)


class UsageError(AnalysisError):
    """The command line, a configuration file or a field map is not usable."""

    exit_code = 2


class OptionError(UsageError):
    """An option has a value that cannot be used.

    Parameters
    ----------
    field : str
        Name of the field of `analysis.Options`. A command line shows its flag instead.
    found, expected, remedy : str
        As for `AnalysisError`.
    """

    def __init__(self, field: str, found: str, expected: str, remedy: str) -> None:
        super().__init__(field, found, expected, remedy)
        self.field = field


class DataError(AnalysisError):
    """A table cannot be analysed as it is."""

    exit_code = 3


class OutputError(AnalysisError):
    """A result could not be written."""

    exit_code = 5


def _restored(kind: type[AnalysisError], args: tuple[Any, ...], state: dict[str, Any]) -> AnalysisError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error
