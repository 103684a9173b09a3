"""Numbers as the page shows them: rounded by their uncertainty, with the typography of a printed table."""

from __future__ import annotations

from operators.core.phenotypes import PHENOTYPES, Phenotype
from operators.core.rounding import decimals_of

__all__ = ["NONE", "fixed", "ordinal", "percent", "plain", "shown", "volume"]

NONE = "\N{EM DASH}"
_TYPOGRAPHY = str.maketrans({",": "\N{NARROW NO-BREAK SPACE}", "-": "\N{MINUS SIGN}"})


def fixed(value: float | None, decimals: int = 1) -> str:
    """A number with so many decimals, or rounded to tens if ``decimals`` is -1; an em dash if there is none."""
    if value is None:
        return NONE
    # Adding 0 makes 0 of a negative zero.
    return f"{round(value, decimals) + 0.0:,.{max(0, decimals)}f}".translate(_TYPOGRAPHY)


def percent(value: float | None, decimals: int = 1) -> str:
    """A fraction as a percentage; an em dash if there is none."""
    return NONE if value is None else f"{100 * value:.{decimals}f}%".translate(_TYPOGRAPHY)


def volume(value: float | None, error: float | None = None) -> str:
    """A volume, with the digits that are known; an em dash if there is none."""
    return NONE if value is None else fixed(value, decimals_of(value, error))


def shown(phenotype: Phenotype | str, value: float | None, error: float | None = None) -> str:
    """The value of a phenotype, without its unit.

    Parameters
    ----------
    phenotype : Phenotype or str
        Itself, or its key.
    value, error : float or None
        The value, and its standard error if that is known.
    """
    known = PHENOTYPES[phenotype] if isinstance(phenotype, str) else phenotype
    if value is None:
        return NONE
    factor = known.unit.factor if known.unit.percent else 1.0
    decimals = known.decimals_of(factor * value, None if error is None else factor * error)
    return percent(value, max(0, decimals)) if known.unit.percent else fixed(value, decimals)


def ordinal(number: int) -> str:
    """A number as one of a series.

    Examples
    --------
    >>> ordinal(1), ordinal(12), ordinal(23), ordinal(90)
    ('1st', '12th', '23rd', '90th')
    """
    last = 0 if number % 100 in (11, 12, 13) else number % 10
    return str(number) + {1: "st", 2: "nd", 3: "rd"}.get(last, "th")


def plain(value: float | None, factor: float = 1.0, error: float | None = None) -> str:
    """A rounded number for sorting and for a CSV; empty if there is none."""
    if value is None:
        return ""
    scaled = factor * value
    return f"{round(scaled, 1 if factor == 100.0 else decimals_of(scaled, error)):g}"
