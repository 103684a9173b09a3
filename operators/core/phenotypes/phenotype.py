"""One entry of the registry of phenotypes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from operators.core.anatomy import LABELS
from operators.core.errors import InternalError
from operators.core.phenotypes.measured_body import MeasuredBody, Side
from operators.core.phenotypes.units import Unit
from operators.core.rounding import decimals_of, decimals_of_error

__all__ = ["Card", "Phenotype", "Side", "SrConcept"]

_NAMES = frozenset(s.name for s in LABELS)


@dataclass(frozen=True)
class Card:
    """What the page shows for a phenotype besides its title, value and unit.

    Attributes
    ----------
    note : str
        A line below the value; ``{key}`` stands for another phenotype's value.
    place : int
        Cards are sorted by place, then in the order of the registry.
    """

    note: str = ""
    place: int = 50


@dataclass(frozen=True)
class SrConcept:
    """How the DICOM SR names a phenotype. The codes are our own, because no public scheme has codes for phenotypes.

    Attributes
    ----------
    meaning : str
    code : str
        The phenotype's key by default. The phenotype of one side has the key
        of both sides together.
    site : tuple of str, or None
        Scheme, value and meaning of the finding site. Its side is the phenotype's.
    """

    meaning: str
    code: str = ""
    site: tuple[str, str, str] | None = None


@dataclass(frozen=True)
class Phenotype:
    """One phenotype: everything that the report, its schema and the tables need to know.

    Attributes
    ----------
    key : str
        Name in ``report.json`` and of the table column. Its meaning never changes.
    title : str
        A few words, for people.
    description : str
        One sentence, for the schema.
    unit : Unit
    compute : callable
        Takes a `MeasuredBody` and returns the value, or None if it cannot be
        computed. The measurements are single numbers for a study and arrays
        for a synthetic cohort.
    needs : tuple of str
        Structures whose absence explains a missing value.
    since : str
        The first version of the report's schema that has it.
    sides : tuple of {"left", "right"}
        Sides on which ``needs`` must be measured; empty for both sides taken together.
    needs_height : bool
        Whether a missing standing height explains a missing value.
    decimals : int
        Number of decimals on the page and in the SR, unless the unit says that
        it depends on the value.
    card : Card or None
        None if the page has no card for it.
    otherwise : str
        Why the value is missing where no structure, side or height is.
    sr : SrConcept or None
        None if the DICOM SR leaves it out.
    quantity : {"volume", "fat"}
        What it is a measure of: the size of structures, or fat. A flag names the
        kinds that it casts doubt on.
    replaced_by : str or None
        The key to use instead. A phenotype that is replaced is deprecated: it
        is still computed and reported, but has no card.

    Raises
    ------
    InternalError
        When the key is not snake_case, or a structure is not in the label table.
    """

    key: str
    title: str
    description: str
    unit: Unit
    compute: Callable[[MeasuredBody], Any]
    needs: tuple[str, ...]
    since: str
    sides: tuple[Side, ...] = ()
    needs_height: bool = False
    decimals: int = 1
    otherwise: str = "It cannot be computed from what was measured."
    card: Card | None = None
    sr: SrConcept | None = None
    quantity: Literal["volume", "fat"] = "volume"
    replaced_by: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", self.key):
            raise InternalError("phenotype registry", f"key {self.key!r}", "snake_case")
        if unknown := sorted(set(self.needs) - _NAMES):
            raise InternalError(f"phenotype {self.key}", f"structure {unknown[0]!r}", "names of the label table")
        if not re.fullmatch(r"\d+\.\d+\.\d+", self.since):
            raise InternalError(f"phenotype {self.key}", f"since {self.since!r}", "a version of the report's schema")

    def decimals_of(self, value: float, error: float | None = None) -> int:
        """Decimals to which ``value`` is known; negative for tens and hundreds.

        Parameters
        ----------
        value : float
            In the unit that is shown.
        error : float or None
            Its standard error in that unit, if it is known.
        """
        if self.unit.relative:
            return decimals_of(value, error)
        return self.decimals if error is None else min(self.decimals, decimals_of_error(error))

    @property
    def deprecated(self) -> bool:
        """Whether another phenotype replaces it."""
        return self.replaced_by is not None
