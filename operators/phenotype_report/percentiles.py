"""Percentiles of phenotypes for sex, age and height, from a table of reference values (docs/report.md).

The table is a CSV with the columns ``phenotype, sex, age, L, M, S, source,
synthetic``. L, M and S are those of Cole and Green's LMS method (1992): the
power that makes values normal, their median and their coefficient of variation.
Rows that also have ``height_cm`` and ``height_exponent`` are for people of a
known height: M is multiplied by (height / height_cm)^height_exponent.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from operators.core.errors import InputError
from operators.core.phenotypes import PHENOTYPES

__all__ = ["ReferenceRow", "percentile", "percentiles_of", "read_reference"]

_SEXES = {"M": "men", "F": "women"}
_COLUMNS = ("phenotype", "sex", "age", "L", "M", "S", "source", "synthetic")
_REMEDY = "Make it with `sarcomap analysis run`, or see docs/report.md for the format."


@dataclass(frozen=True)
class ReferenceRow:
    """Reference values of one phenotype, for one sex and year of age.

    Attributes
    ----------
    phenotype : str
    sex : {"M", "F"}
    age : int
        In years.
    power, median, spread : float
        L, M and S.
    source : str
    synthetic : bool
    height_cm : float or None
        Height at which M holds; None in rows for people of any height.
    height_exponent : float
        Power of height to which M is proportional.
    """

    phenotype: str
    sex: str
    age: int
    power: float
    median: float
    spread: float
    source: str
    synthetic: bool
    height_cm: float | None = None
    height_exponent: float = 0.0

    def median_at(self, height_m: float | None) -> float:
        """M, at a height if the row is for people of a known height."""
        if self.height_cm is None or height_m is None:
            return self.median
        return self.median * float((100.0 * height_m / self.height_cm) ** self.height_exponent)


def read_reference(path: Path, synthetic_images: bool) -> tuple[ReferenceRow, ...]:
    """Read a table of reference values.

    Parameters
    ----------
    path : Path
    synthetic_images : bool
        Whether the study's images are synthetic. Otherwise a synthetic
        reference is refused.

    Raises
    ------
    InputError
        When the file is not such a table, or is made from synthetic people
        and the images are real.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if absent := sorted(set(_COLUMNS) - set(reader.fieldnames or ())):
                raise InputError(path.name, f"no column {absent[0]}", f"the columns {', '.join(_COLUMNS)}", _REMEDY)
            rows = tuple(made for row in reader for made in _rows(row))
    except (OSError, UnicodeDecodeError, ValueError, TypeError) as error:
        raise InputError(
            path.name, f"not readable ({type(error).__name__})", "a table of reference values", _REMEDY
        ) from error
    if not rows:
        raise InputError(path.name, "no rows", "a table of reference values", _REMEDY)
    if any(row.synthetic for row in rows) and not synthetic_images:
        raise InputError(
            path.name,
            "a reference made from synthetic people",
            "one made from real people, because the images are real",
            "Give another file, or leave out --reference.",
        )
    return rows


def percentiles_of(
    values: Mapping[str, float | None],
    sex: str,
    age: str,
    rows: Sequence[ReferenceRow],
    height_m: float | None = None,
) -> tuple[dict[str, int], str]:
    """The percentile of each phenotype that the reference has for a sex and age, and for a height if it is known.

    Parameters
    ----------
    values : mapping of str to float or None
        Phenotypes by key.
    sex, age : str
        PatientSex and PatientAge (such as ``061Y``) of the study; may be empty.
    rows : sequence of ReferenceRow
    height_m : float, optional
        Without it, or without rows for it, the percentile is that of people of any height.

    Returns
    -------
    percentiles : dict of str to int
        1 to 99.
    source : str
        The reference in words, or why there is no percentile.
    """
    if sex not in ("M", "F") or not (age[-1:] == "Y" and age[:-1].isdigit()):
        return {}, "not given, because the study gives no sex or no age in years"
    years = int(age[:-1])
    # A table may also hold numbers that are measured in another way; they have other names.
    chosen = [row for row in rows if row.sex == sex and row.age == years and row.phenotype in PHENOTYPES]
    if not chosen:
        return {}, f"not given, because the reference has no {_SEXES[sex]} of {years} years"
    found = {}
    with_height = {row.phenotype for row in chosen if row.height_cm is not None} if height_m else set()
    chosen = [row for row in chosen if (row.height_cm is not None) == (row.phenotype in with_height)]
    for row in chosen:
        value = values.get(row.phenotype)
        if value is not None and value > 0:
            found[row.phenotype] = percentile(value, row.power, row.median_at(height_m), row.spread)
    sources = ", ".join(dict.fromkeys(row.source for row in chosen))
    made = " (synthetic people)" if any(row.synthetic for row in chosen) else ""
    by = ", for sex, age and height" if with_height else ""
    return found, f"{sources}{made}{by}"


def percentile(value: float, power: float, median: float, spread: float) -> int:
    """The percentile of a value, 1 to 99.

    Examples
    --------
    >>> percentile(8000.0, 1.0, 8000.0, 0.1), percentile(9281.0, 1.0, 8000.0, 0.125)
    (50, 90)
    """
    ratio = value / median
    z = math.log(ratio) / spread if abs(power) < 1e-9 else (ratio**power - 1) / (power * spread)
    return min(99, max(1, round(100 * 0.5 * (1 + math.erf(z / math.sqrt(2))))))


def _rows(row: Mapping[str, str]) -> Iterator[ReferenceRow]:
    """One row for each year of age: the file may give a range, such as ``50-84``."""
    first, _, last = row["age"].strip().partition("-")
    for age in range(round(float(first)), round(float(last or first)) + 1):
        yield _row(row, age)


def _row(row: Mapping[str, str], age: int) -> ReferenceRow:
    made = ReferenceRow(
        row["phenotype"],
        row["sex"],
        age,
        float(row["L"]),
        float(row["M"]),
        float(row["S"]),
        row["source"],
        row["synthetic"].strip().lower() in ("1", "true", "yes"),
        *_height(row),
    )
    if not (made.median > 0 and made.spread > 0):
        raise ValueError("M and S must be positive")
    return made


def _height(row: Mapping[str, str]) -> tuple[float | None, float]:
    """Height and exponent; empty in rows for people of any height, and in tables without these columns."""
    height, exponent = ((row.get(name) or "").strip() for name in ("height_cm", "height_exponent"))
    if not height:
        return None, 0.0
    if not 50 < float(height) < 250:
        raise ValueError("height_cm must be in centimetres")
    return float(height), float(exponent)
