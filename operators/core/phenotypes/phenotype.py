"""What the registry says of one phenotype."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from operators.core.anatomy import LABELS
from operators.core.errors import InternalError
from operators.core.phenotypes.measured_body import MeasuredBody, Side
from operators.core.phenotypes.units import Unit

__all__ = ["Card", "Phenotype", "Side", "SrConcept"]

_NAMES = frozenset(s.name for s in LABELS)


@dataclass(frozen=True)
class Card:
    """How the page shows a phenotype beside its title, value and unit.

    Attributes
    ----------
    note : str
        A line below the value; ``{key}`` stands for another phenotype's value.
    place : int
        Cards are shown by place, then in the order of the registry.
    """

    note: str = ""
    place: int = 50


@dataclass(frozen=True)
class SrConcept:
    """How the DICOM SR names a phenotype. No public scheme has codes for them, so the codes are our own.

    Attributes
    ----------
    meaning : str
    code : str
        The phenotype's key by default; that of the whole for one side of it.
    site : tuple of str, or None
        Scheme, value and meaning of the finding site. The side is that of the phenotype.
    """

    meaning: str
    code: str = ""
    site: tuple[str, str, str] | None = None


@dataclass(frozen=True)
class Phenotype:
    """One phenotype: everything that the report, its schema and the tables have to know.

    Attributes
    ----------
    key : str
        Name in ``report.json`` and of the column; it keeps its meaning for ever.
    title : str
        A few words, for people.
    description : str
        One sentence, for the schema.
    unit : Unit
    compute : callable
        Takes a `MeasuredBody`; None where it cannot be given. It is called
        with single numbers for a study and with arrays for a synthetic cohort.
    needs : tuple of str
        Structures whose absence explains a missing value.
    since : str
        Version of the report's schema that has it first.
    sides : tuple of {"left", "right"}
        Sides on which ``needs`` must be measured; empty for both sides taken together.
    needs_height : bool
        Whether a missing standing height explains a missing value.
    decimals : int
        Shown on the page.
    card : Card or None
        None for what the page has no card for.
    sr : SrConcept or None
        None for what the DICOM SR leaves out.
    replaced_by : str or None
        The key to use instead. A phenotype with one is deprecated: still
        computed and reported, but without a card.

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
    card: Card | None = None
    sr: SrConcept | None = None
    replaced_by: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", self.key):
            raise InternalError("phenotype registry", f"key {self.key!r}", "snake_case")
        if unknown := sorted(set(self.needs) - _NAMES):
            raise InternalError(f"phenotype {self.key}", f"structure {unknown[0]!r}", "names of the label table")
        if not re.fullmatch(r"\d+\.\d+\.\d+", self.since):
            raise InternalError(f"phenotype {self.key}", f"since {self.since!r}", "a version of the report's schema")

    @property
    def deprecated(self) -> bool:
        """Whether another phenotype replaces it."""
        return self.replaced_by is not None
