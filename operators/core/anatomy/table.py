"""The label table itself: 27 structures in the paper's order, background and adipose tissue."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

__all__ = [
    "ADIPOSE_INDEX",
    "BACKGROUND_INDEX",
    "CHANNEL_COUNT",
    "HAMSTRINGS",
    "MUSCLES",
    "QUADRICEPS",
    "STRUCTURES",
    "THIGH_COMPARTMENTS",
    "Compartment",
    "Structure",
    "Tissue",
    "by_index",
    "by_name",
]

BACKGROUND_INDEX = 0
ADIPOSE_INDEX = 28
CHANNEL_COUNT = 29  # background, 27 structures, adipose tissue (method, section 8.1)


class Compartment(StrEnum):
    """The paper's groups (method, section 4)."""

    ANTERIOR = "anterior"
    GLUTEAL = "gluteal"
    MEDIAL = "medial"
    POSTERIOR = "posterior"
    CORE = "core"
    BONE = "bone"


class Tissue(StrEnum):
    """What a structure is made of; TMV sums the muscles only."""

    MUSCLE = "muscle"
    BONE = "bone"


@dataclass(frozen=True)
class Structure:
    """One segmented structure; both sides of the body share one channel.

    Attributes
    ----------
    index : int
        Channel and label value, 1 to 27.
    name : str
        snake_case; the key in reports and tables.
    display_name : str
    compartment : Compartment
    tissue : Tissue
    code, scheme, meaning : str
        Anatomic concept: SNOMED CT (``SCT``), or the private scheme
        ``99SARCOMAP`` where no verified SNOMED CT code was found.
    code_source : str
        Where the code can be checked.
    paired : bool
        Whether left and right are reported.
    colour_rgb : tuple of int
        Display colour, 0 to 255.
    """

    index: int
    name: str
    display_name: str
    compartment: Compartment
    tissue: Tissue
    code: str
    scheme: str
    meaning: str
    code_source: str
    paired: bool
    colour_rgb: tuple[int, int, int]


def _read_table() -> tuple[Structure, ...]:
    text = resources.files(__package__).joinpath("structures.csv").read_text(encoding="utf-8")
    return tuple(
        Structure(
            index=int(row["index"]),
            name=row["name"],
            display_name=row["display_name"],
            compartment=Compartment(row["compartment"]),
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


STRUCTURES = _read_table()
MUSCLES = tuple(s.name for s in STRUCTURES if s.tissue is Tissue.MUSCLE)
HAMSTRINGS = ("semimembranosus", "semitendinosus", "biceps_femoris")
QUADRICEPS = ("rectus_femoris", "vastus_lateralis", "vastus_medialis", "vastus_intermedius")
# The counterpart of DEXA's leg region; asymmetry is that of these.
THIGH_COMPARTMENTS = (Compartment.ANTERIOR, Compartment.MEDIAL, Compartment.POSTERIOR)

_BY_INDEX = {s.index: s for s in STRUCTURES}
_BY_NAME = {s.name: s for s in STRUCTURES}


def by_index(index: int) -> Structure:
    """The structure of a label value; ``KeyError`` for background, adipose tissue and unknown values."""
    return _BY_INDEX[index]


def by_name(name: str) -> Structure:
    """The structure of a snake_case name; ``KeyError`` when there is none."""
    return _BY_NAME[name]
