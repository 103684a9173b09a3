"""The registry: one entry for each phenotype, in the order of ``report.json``.

To add a phenotype, add an entry here and set ``since`` to the first version of
the report's schema that has it. Then run
``python -m operators.core.report_schema`` to regenerate the schema.
"""

from __future__ import annotations

from operators.core.anatomy import (
    HAMSTRINGS,
    MUSCLES,
    QUADRICEPS,
    THIGH_MUSCLES,
    Compartment,
    compartment_members,
)
from operators.core.phenotypes.fat_phenotypes import FAT_PHENOTYPES
from operators.core.phenotypes.formulas import left_right_asymmetry, ratio, total_volume_index
from operators.core.phenotypes.measured_body import MeasuredBody, Side
from operators.core.phenotypes.phenotype import Card, Phenotype, SrConcept
from operators.core.phenotypes.units import CUBIC_CM, CUBIC_CM_PER_SQUARE_CM, FRACTION, RATIO, SQUARE_CM

__all__ = ["PHENOTYPES"]

_THIGH_GROUPS = (*HAMSTRINGS, *QUADRICEPS)
_SKELETAL_MUSCLE = ("SCT", "127954009", "Skeletal muscle")
_MUSCLE_OF_LOWER_LIMB = ("SCT", "102292000", "Muscle of lower limb")
_TMV_MEANING = "Total muscle volume"
_PA_MEANING = "Hamstrings to quadriceps volume ratio"


def _tmv_of_side(side: Side) -> Phenotype:
    return Phenotype(
        key=f"tmv_{side}_cm3",
        title=f"Total muscle volume, {side}",
        description=f"Total muscle volume on the patient's {side}.",
        unit=CUBIC_CM,
        compute=lambda body: body.volume_cm3(MUSCLES, side),
        needs=MUSCLES,
        sides=(side,),
        since="1.0.0",
        decimals=0,
        sr=SrConcept(_TMV_MEANING, code="tmv_cm3", site=_SKELETAL_MUSCLE),
    )


def _pa_ratio(body: MeasuredBody, side: Side | None = None) -> float | None:
    """Hamstrings over quadriceps (method, section 8.3)."""
    value: float | None = ratio(body.volume_cm3(HAMSTRINGS, side), body.volume_cm3(QUADRICEPS, side))
    return value


def _pa_ratio_of_side(side: Side) -> Phenotype:
    return Phenotype(
        key=f"pa_ratio_{side}",
        title=f"Posterior to anterior ratio, {side}",
        description=f"Hamstrings over quadriceps on the {side}.",
        unit=RATIO,
        compute=lambda body: _pa_ratio(body, side),
        needs=_THIGH_GROUPS,
        sides=(side,),
        since="1.0.0",
        decimals=3,
        sr=SrConcept(_PA_MEANING, code="pa_ratio", site=_MUSCLE_OF_LOWER_LIMB),
    )


def _thigh_of_side(side: Side) -> Phenotype:
    return Phenotype(
        key=f"thigh_{side}_cm3",
        title=f"Thigh muscle volume, {side}",
        description=f"Anterior, medial and posterior compartments on the {side}.",
        unit=CUBIC_CM,
        compute=lambda body: body.volume_cm3(THIGH_MUSCLES, side),
        needs=THIGH_MUSCLES,
        sides=(side,),
        since="1.0.0",
        decimals=0,
    )


def _mid_thigh(side: Side | None) -> Phenotype:
    """Area of the thigh muscles at half the length of the femur."""

    def compute(body: MeasuredBody) -> float | None:
        sides: tuple[Side, ...] = (side,) if side else ("left", "right")
        areas = [body.mid_thigh_cm2.get(one) for one in sides]
        # The area of one muscle less would pass as a smaller thigh.
        if body.volume_cm3(THIGH_MUSCLES, side) is None or any(area is None for area in areas):
            return None
        return sum(area for area in areas if area is not None) / len(areas)

    name = f"mid_thigh_{side}_cm2" if side else "mid_thigh_cm2"
    return Phenotype(
        key=name,
        title=f"Mid-thigh muscle area{f', {side}' if side else ''}",
        description="Cross-sectional area of the thigh muscles at half the length of the femur"
        + (f" on the {side}." if side else ", mean of both sides."),
        unit=SQUARE_CM,
        compute=compute,
        needs=(*THIGH_MUSCLES, "femur"),
        sides=(side,) if side else (),
        since="1.2.0",
        otherwise="The femur is not seen and labelled from end to end, so its middle is not known.",
        card=None if side else Card("left {mid_thigh_left_cm2} · right {mid_thigh_right_cm2}; mean of both"),
        sr=SrConcept(
            "Mid-thigh muscle cross-sectional area", code="mid_thigh_cm2", site=_MUSCLE_OF_LOWER_LIMB if side else None
        ),
    )


def _compartment(compartment: Compartment) -> Phenotype:
    """A compartment of method, section 4; the page's table of structures shows all of them."""
    members = compartment_members(compartment)
    bone = compartment is Compartment.BONE
    return Phenotype(
        key=f"{compartment}_cm3",
        title="Bone" if bone else f"{compartment.capitalize()} compartment",
        description=f"Volume of the {compartment} compartment.",
        unit=CUBIC_CM,
        compute=lambda body: body.volume_cm3(members),
        needs=members,
        since="1.0.0",
        decimals=0,
        card=Card("iliac bones and femora in view", place=90) if bone else None,
    )


_ENTRIES = (
    Phenotype(
        key="tmv_cm3",
        title="Total muscle volume",
        description=f"Total muscle volume: the sum of the {len(MUSCLES)} muscles.",  # method, section 8.4
        unit=CUBIC_CM,
        compute=lambda body: body.volume_cm3(MUSCLES),
        needs=MUSCLES,
        since="1.0.0",
        decimals=0,
        card=Card("left {tmv_left_cm3} · right {tmv_right_cm3}"),
        sr=SrConcept(_TMV_MEANING),
    ),
    _tmv_of_side("left"),
    _tmv_of_side("right"),
    Phenotype(
        key="tvi_cm3_per_cm2",
        title="Volume index (TVI)",
        description="Total muscle volume over squared height.",  # method, section 8.2
        unit=CUBIC_CM_PER_SQUARE_CM,
        compute=lambda body: total_volume_index(body.volume_cm3(MUSCLES), body.height_m),
        needs=MUSCLES,
        needs_height=True,
        since="1.0.0",
        decimals=3,
        card=Card("total muscle volume over height²"),
        sr=SrConcept("Total muscle volume over squared height"),
    ),
    Phenotype(
        key="pa_ratio",
        title="Posterior to anterior ratio",
        description="Hamstrings over quadriceps.",
        unit=RATIO,
        compute=_pa_ratio,
        needs=_THIGH_GROUPS,
        since="1.0.0",
        decimals=3,
        card=Card("left {pa_ratio_left} · right {pa_ratio_right}"),
        sr=SrConcept(_PA_MEANING),
    ),
    _pa_ratio_of_side("left"),
    _pa_ratio_of_side("right"),
    Phenotype(
        key="lr_asymmetry",  # the counterpart on MRI of the paper's DEXA leg lean mass
        title="Left–right asymmetry",
        description="|left - right| / larger of the thigh muscle volume (anterior, medial and posterior compartments).",
        unit=FRACTION,
        compute=lambda body: left_right_asymmetry(
            body.volume_cm3(THIGH_MUSCLES, "left"), body.volume_cm3(THIGH_MUSCLES, "right")
        ),
        needs=THIGH_MUSCLES,
        sides=("left", "right"),
        since="1.0.0",
        card=Card("thigh: left {thigh_left_cm3} · right {thigh_right_cm3} cm³"),
        sr=SrConcept("Left-right asymmetry of thigh muscle volume"),
    ),
    _thigh_of_side("left"),
    _thigh_of_side("right"),
    _mid_thigh(None),
    _mid_thigh("left"),
    _mid_thigh("right"),
    Phenotype(
        key="quadriceps_cm3",
        title="Quadriceps",
        description="Rectus femoris and the three vasti.",
        unit=CUBIC_CM,
        compute=lambda body: body.volume_cm3(QUADRICEPS),
        needs=QUADRICEPS,
        since="1.0.0",
        decimals=0,
        card=Card("rectus femoris and the three vasti"),
        sr=SrConcept("Quadriceps volume"),
    ),
    Phenotype(
        key="hamstrings_cm3",
        title="Hamstrings",
        description="Semimembranosus, semitendinosus and biceps femoris.",
        unit=CUBIC_CM,
        compute=lambda body: body.volume_cm3(HAMSTRINGS),
        needs=HAMSTRINGS,
        since="1.0.0",
        decimals=0,
        card=Card("semimembranosus, semitendinosus, biceps"),
        sr=SrConcept("Hamstrings volume"),
    ),
    *(_compartment(compartment) for compartment in Compartment),
    Phenotype(
        key="muscle_fat_fraction",
        title="Muscle fat fraction",
        description="Mean Dixon signal fat fraction over all voxels labelled muscle, fat planes included, "
        "not corrected for noise.",
        unit=FRACTION,
        compute=lambda body: body.mean_fat_fraction(MUSCLES),
        needs=MUSCLES,
        since="1.0.0",
        sr=SrConcept("Mean fat fraction of muscle"),
        quantity="fat",
        replaced_by="muscle_dixon_fat_core",
    ),
    *FAT_PHENOTYPES,
)

#: Every phenotype by its key.
PHENOTYPES: dict[str, Phenotype] = {entry.key: entry for entry in _ENTRIES}
