"""Phenotypes of fat: in the core of muscle, in whole labels, and around the muscles of the thigh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from operators.core.anatomy import MUSCLES, THIGH_MUSCLES
from operators.core.phenotypes.measured_body import MeasuredBody, Side
from operators.core.phenotypes.muscle_fat import MuscleFat
from operators.core.phenotypes.phenotype import Card, Phenotype, SrConcept
from operators.core.phenotypes.units import CUBIC_CM, FRACTION, Unit

__all__ = ["FAT_PHENOTYPES"]

_SINCE = "1.2.0"
_NOT_PDFF = "Dixon signal fat fraction (T1-weighted magnitude images, not PDFF)"
_MUSCLE_OF_LOWER_LIMB = ("SCT", "102292000", "Muscle of lower limb")
_THIGH_AND_BONES = (*THIGH_MUSCLES, "femur", "iliac_bone")


@dataclass(frozen=True)
class _ThighFat:
    """A measure of the thigh muscles' fat, for both sides and each of them."""

    key: str
    title: str
    description: str
    unit: Unit
    measure: Callable[[MuscleFat], float | None]
    card: Card | None = None
    sr: str = ""

    def phenotypes(self) -> tuple[Phenotype, ...]:
        return self._phenotype(None), self._phenotype("left"), self._phenotype("right")

    def _phenotype(self, side: Side | None) -> Phenotype:
        stem, unit = (self.key[:-4], "_cm3") if self.key.endswith("_cm3") else (self.key, "")

        def compute(body: MeasuredBody) -> float | None:
            # A figure of the thigh is that of all of its muscles, so that it can be compared.
            if not body.fat or body.volume_cm3(THIGH_MUSCLES, side) is None:
                return None
            return self.measure(body.muscle_fat(THIGH_MUSCLES, side))

        return Phenotype(
            key=f"{stem}_{side}{unit}" if side else self.key,
            title=f"{self.title}, {side}" if side else self.title,
            description=f"{self.description}{f' On the {side}.' if side else ''}",
            unit=self.unit,
            compute=compute,
            needs=THIGH_MUSCLES,
            sides=(side,) if side else (),
            since=_SINCE,
            quantity="fat",
            decimals=0 if self.unit is CUBIC_CM else 1,
            card=None if side else self.card,
            sr=SrConcept(self.sr, code=self.key, site=_MUSCLE_OF_LOWER_LIMB if side else None) if self.sr else None,
        )


def _adipose(kind: str, title: str, description: str, side: Side | None) -> Phenotype:
    key = f"thigh_{kind}_adipose"

    def compute(body: MeasuredBody) -> float | None:
        # Without all muscles and bones, the fascia would not be where it is.
        return None if body.volume_cm3(_THIGH_AND_BONES, side) is None else body.adipose(kind, side)

    return Phenotype(
        key=f"{key}_{side}_cm3" if side else f"{key}_cm3",
        title=f"{title}, {side}" if side else title,
        description=f"{description}{f' On the {side}.' if side else ''}",
        unit=CUBIC_CM,
        compute=compute,
        needs=_THIGH_AND_BONES,
        sides=(side,) if side else (),
        since=_SINCE,
        quantity="fat",
        decimals=0,
    )


_THIGH = (
    _ThighFat(
        key="thigh_dixon_fat_core",
        title="Fat in thigh muscle (core)",
        description=f"Mean {_NOT_PDFF} over the cores of the thigh muscles, corrected for noise.",
        unit=FRACTION,
        measure=lambda fat: fat.core_fraction,
        card=Card(
            "left {thigh_dixon_fat_core_left} · right {thigh_dixon_fat_core_right}; Dixon signal fraction, not PDFF"
        ),
        sr="Dixon signal fat fraction of thigh muscle, core",
    ),
    _ThighFat(
        key="thigh_dixon_fat_whole",
        title="Fat in thigh muscle (whole labels)",
        description=f"Mean {_NOT_PDFF} over all voxels of the thigh muscles, corrected for noise.",
        unit=FRACTION,
        measure=lambda fat: fat.whole_fraction,
    ),
    _ThighFat(
        key="thigh_dixon_fat_infiltration",
        title="Thigh muscle fat infiltration",
        description=f"Mean {_NOT_PDFF} over the voxels of the thigh muscles that are below 50% fat, "
        "corrected for noise.",
        unit=FRACTION,
        measure=lambda fat: fat.infiltration,
        sr="Dixon fat fraction, thigh muscle below 50% fat",
    ),
    _ThighFat(
        key="thigh_fat_free_muscle_cm3",
        title="Fat-free thigh muscle",
        description="Volume of the voxels of the thigh muscles that are below 50% fat.",
        unit=CUBIC_CM,
        measure=lambda fat: fat.fat_free_cm3,
        sr="Fat-free volume of thigh muscle",
    ),
)

_ADIPOSE_TISSUES = (
    (
        "subcutaneous",
        "Subcutaneous fat of the thigh",
        "Volume of the voxels of at least 50% fat between skin and fascia, from above the knee to the hip bones.",
    ),
    (
        "intermuscular",
        "Intermuscular fat of the thigh",
        "Volume of the voxels of at least 50% fat inside the fascia and outside bone, from above the knee to the hip "
        "bones; a lower bound where no muscle outlines the fascia.",
    ),
)

_SIDES: tuple[Side | None, ...] = (None, "left", "right")

FAT_PHENOTYPES = (
    Phenotype(
        key="muscle_dixon_fat_core",
        title="Fat in muscle (core)",
        description=f"Mean {_NOT_PDFF} over the cores of all labelled muscles, corrected for noise.",
        unit=FRACTION,
        compute=lambda body: body.muscle_fat(MUSCLES).core_fraction,
        needs=MUSCLES,
        since=_SINCE,
        quantity="fat",
        card=Card("all labelled muscle; Dixon signal fraction, not PDFF"),
        sr=SrConcept("Dixon signal fat fraction of muscle, core"),
    ),
    *(phenotype for measure in _THIGH for phenotype in measure.phenotypes()),
    *(_adipose(*tissue, side) for tissue in _ADIPOSE_TISSUES for side in _SIDES),
)
"""In the order of ``report.json``."""
