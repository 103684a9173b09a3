"""The label table itself: the paper's muscles and bones in its order, then adipose tissue."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

__all__ = [
    "ADIPOSE_INDEX",
    "ADIPOSE_TISSUE",
    "BACKGROUND_INDEX",
    "CHANNEL_COUNT",
    "HAMSTRINGS",
    "LABELS",
    "MUSCLES",
    "QUADRICEPS",
    "STRUCTURES",
    "THIGH_COMPARTMENTS",
    "THIGH_MUSCLES",
    "Compartment",
    "Structure",
    "Tissue",
    "by_index",
    "by_name",
    "compartment_members",
]

BACKGROUND_INDEX = 0


class Compartment(StrEnum):
    """The paper's groups (section 4)."""

    ANTERIOR = "anterior"
    GLUTEAL = "gluteal"
    MEDIAL = "medial"
    POSTERIOR = "posterior"
    CORE = "core"
    BONE = "bone"


class Tissue(StrEnum):
    """What a structure is made of. TMV sums muscles only; adipose tissue is labelled but not measured."""

    MUSCLE = "muscle"
    BONE = "bone"
    ADIPOSE = "adipose"


@dataclass(frozen=True)
class Structure:
    """One row of the label table. Both sides of the body share one channel.

    Attributes
    ----------
    index : int
        Channel and label value, from 1.
    name : str
        In snake_case; the key in reports and tables.
    display_name : str
    compartment : Compartment or None
        None for adipose tissue, which belongs to no compartment.
    tissue : Tissue
    code, scheme, meaning : str
        Anatomic concept: SNOMED CT (``SCT``), or the private scheme
        ``99SARCOMAP`` where no verified SNOMED CT code was found.
    code_source : str
        Source in which the code can be checked.
    paired : bool
        Whether left and right are reported separately.
    colour_rgb : tuple of int
        Display colour, 0 to 255.
    """

    index: int
    name: str
    display_name: str
    compartment: Compartment | None
    tissue: Tissue
    code: str
    scheme: str
    meaning: str
    code_source: str
    paired: bool
    colour_rgb: tuple[int, int, int]

    @property
    def measured(self) -> bool:
        """Whether the report gives its volume: muscles and bones."""
        return self.tissue is not Tissue.ADIPOSE


def _read_table() -> tuple[Structure, ...]:
    text = resources.files(__package__).joinpath("structures.csv").read_text(encoding="utf-8")
    return tuple(
        Structure(
            index=int(row["index"]),
            name=row["name"],
            display_name=row["display_name"],
            compartment=Compartment(row["compartment"]) if row["compartment"] else None,
            tissue=Tissue(row["tissue"]),
            code=row["code"],
            scheme=row["scheme"],
            meaning=row["meaning"],
            code_source=row["code_source"],
            paired=row["paired"] == "yes",
            colour_rgb=(int(row["red"]), int(row["green"]), int(row["blue"])),
        )
        for row in csv.DictReader(text.splitlines())
    )


#: Every row of the table.
LABELS = _read_table()
#: The rows that are measured: muscles and bones. They come first, numbered from 1 (method, section 4).
STRUCTURES = tuple(s for s in LABELS if s.measured)
(ADIPOSE_TISSUE,) = (s for s in LABELS if s.tissue is Tissue.ADIPOSE)
ADIPOSE_INDEX = ADIPOSE_TISSUE.index
CHANNEL_COUNT = 1 + len(LABELS)  # background first (method, section 8.1)

MUSCLES = tuple(s.name for s in LABELS if s.tissue is Tissue.MUSCLE)
HAMSTRINGS = ("semimembranosus", "semitendinosus", "biceps_femoris")
QUADRICEPS = ("rectus_femoris", "vastus_lateralis", "vastus_medialis", "vastus_intermedius")
# These correspond to the leg region of DEXA. Its upper border is the femoral neck, and the gluteal and core
# compartments lie above it.
THIGH_COMPARTMENTS = (Compartment.ANTERIOR, Compartment.MEDIAL, Compartment.POSTERIOR)
THIGH_MUSCLES = tuple(s.name for s in LABELS if s.compartment in THIGH_COMPARTMENTS)

_BY_INDEX = {s.index: s for s in LABELS}
_BY_NAME = {s.name: s for s in LABELS}


def by_index(index: int) -> Structure:
    """The row of a label value. Raises ``KeyError`` for background and unknown values."""
    return _BY_INDEX[index]


def by_name(name: str) -> Structure:
    """The row of a snake_case name. Raises ``KeyError`` for an unknown name."""
    return _BY_NAME[name]


def compartment_members(compartment: Compartment) -> tuple[str, ...]:
    """Names of the structures of a compartment, in the order of the table."""
    return tuple(s.name for s in LABELS if s.compartment is compartment)
