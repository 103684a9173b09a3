"""The reference body: centre lines and outlines of a 170 cm adult, read from two tables.

``centre_lines.csv`` holds, for each part of a structure, ellipses along its
course from origin to insertion. ``envelope.csv`` holds the fascia of leg and
trunk and the thickness of the fat on it. Heights are in millimetres above the
knee joint; the hip joint is at 400 mm. Lateral is the distance from the
mid-plane. Posterior is positive, like y in LPS. The tables were made for this
project from general knowledge of sectional anatomy. They are schematic: every
structure has the right neighbours. Muscles around the hip were moved and resized
to the means of four label maps of people (docs/people.md); nothing else was measured.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, cached_property
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from operators.core import anatomy

__all__ = [
    "HIP_HEIGHT_MM",
    "MUSCLE_SHARE",
    "Envelope",
    "Kind",
    "Part",
    "envelopes",
    "parts",
]

HIP_HEIGHT_MM = 400.0


class Kind(IntEnum):
    """Behaviour of a part where parts meet, and its appearance."""

    BONE = 0
    MUSCLE = 1
    VISCERA = 2
    VESSEL = 3
    AIR = 4


# Relative volume of each muscle, both sides. The order of magnitude is that of the lower-limb
# volumes of Handsfield et al., J Biomech 2014 (24 healthy adults), rounded. That work lacks deep
# hip and trunk muscles; their volumes fill the space that the body leaves them. The shares of the
# muscles around the hip are near the means of four label maps of people (docs/people.md).
MUSCLE_SHARE: dict[str, float] = {
    "sartorius": 160,
    "rectus_femoris": 265,
    "vastus_lateralis": 780,
    "vastus_medialis": 420,
    "vastus_intermedius": 300,
    "gluteus_maximus": 808,
    "gluteus_medius": 424,
    "gluteus_minimus": 80,
    "piriformis": 28,
    "obturator_internus": 40,
    "obturator_externus": 55,
    "pectineus": 41,
    "tensor_fasciae_latae": 62,
    "adductor_magnus": 540,
    "adductor_longus": 150,
    "adductor_brevis": 105,
    "gracilis": 100,
    "quadratus_femoris": 34,
    "semimembranosus": 240,
    "semitendinosus": 185,
    "biceps_femoris": 305,
    "multifidus": 190,
    "iliopsoas": 430,
    "abdominal_oblique": 520,
    "rectus_abdominis": 220,
}


@dataclass(frozen=True)
class Part:
    """One course of one structure: an ellipse at each height.

    Attributes
    ----------
    structure : str
        A name of the label table, or ``other_muscle``, ``other_bone``, ``viscera``,
        ``vessel`` or ``lung``, which are in the images but not in the labels.
    label : int
        Label value, 0 for the unlabelled.
    kind : Kind
    heights_mm : ndarray, shape (n,)
    ellipses : ndarray, shape (n, 5)
        Centre (lateral, posterior) mm, half axes (lateral, sagittal) mm, rotation in radians.
    """

    structure: str
    label: int
    kind: Kind
    heights_mm: NDArray[np.float64]
    ellipses: NDArray[np.float64]

    def at(self, heights_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ellipses at given heights, shape (m, 5); NaN beyond the part's ends."""
        return np.asarray(self._curve(heights_mm))

    @cached_property
    def _curve(self) -> PchipInterpolator:
        return PchipInterpolator(self.heights_mm, self.ellipses, axis=0, extrapolate=False)


@dataclass(frozen=True)
class Envelope:
    """Outline of the fascia of one region, and the fat on it, by height.

    ``columns`` has shape (n, 8): centre (lateral, posterior), half axes
    (lateral, anterior, posterior), fat thickness (anterior, lateral, posterior), mm.
    """

    region: str
    heights_mm: NDArray[np.float64]
    columns: NDArray[np.float64]

    def at(self, heights_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Columns at given heights, shape (m, 8); NaN beyond the region's ends."""
        curve = PchipInterpolator(self.heights_mm, self.columns, axis=0, extrapolate=False)
        return np.asarray(curve(heights_mm))


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _kind(structure: str) -> Kind:
    if structure in ("femur", "iliac_bone", "other_bone"):
        return Kind.BONE
    kinds = {"viscera": Kind.VISCERA, "vessel": Kind.VESSEL, "lung": Kind.AIR}
    return kinds.get(structure, Kind.MUSCLE)


@cache
def parts() -> tuple[Part, ...]:
    """Every part of the reference body; the femur precedes the other bones, because it is in their socket."""
    labels = {s.name: s.index for s in anatomy.STRUCTURES}
    courses: dict[tuple[str, str], list[list[float]]] = {}
    for row in _rows("centre_lines.csv"):
        numbers = [float(value) for key, value in row.items() if key not in ("structure", "part")]
        courses.setdefault((row["structure"], row["part"]), []).append(numbers)
    result = []
    for (structure, _), course in courses.items():
        table = np.array(course)
        table[:, 5] = np.deg2rad(table[:, 5])
        result.append(Part(structure, labels.get(structure, 0), _kind(structure), table[:, 0], table[:, 1:]))
    return tuple(sorted(result, key=lambda part: (part.kind, part.structure != "femur")))


@cache
def envelopes() -> dict[str, Envelope]:
    """The outlines of ``leg`` and ``trunk``."""
    tables: dict[str, list[list[float]]] = {}
    for row in _rows("envelope.csv"):
        tables.setdefault(row["region"], []).append([float(v) for k, v in row.items() if k != "region"])
    return {region: Envelope(region, np.array(table)[:, 0], np.array(table)[:, 1:]) for region, table in tables.items()}
