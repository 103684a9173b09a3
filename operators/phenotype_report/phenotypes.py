"""From a label map to muscle volumes and phenotypes (PAPER section 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from operators.anatomy import (
    HAMSTRINGS,
    MUSCLES,
    QUADRICEPS,
    STRUCTURES,
    THIGH_COMPARTMENTS,
    Compartment,
    Structure,
    by_name,
)
from operators.errors import GeometryError
from operators.phenotype_report.sides import MidSurface, Tally, find_mid_surface, tally
from operators.volume import Fused, QualityFlag, Volume

__all__ = [
    "Measurements",
    "Phenotypes",
    "StructureMeasure",
    "left_right_asymmetry",
    "measure",
    "posterior_anterior_ratio",
    "total_volume",
    "total_volume_index",
    "withheld_reason",
]

# DEXA's leg region starts at the femoral neck, so the gluteal and core
# compartments lie outside it: the thigh is its counterpart on these images.
_THIGH = tuple(s.name for s in STRUCTURES if s.compartment in THIGH_COMPARTMENTS)


@dataclass(frozen=True)
class StructureMeasure:
    """What was measured of one structure; None where it is absent or withheld.

    Attributes
    ----------
    structure : Structure
    volume_cm3, left_cm3, right_cm3 : float or None
        None, never 0, when no voxel bears the label (on that side).
    fat_fraction_mean : float or None
        Mean over its voxels, 0 to 1.
    cut_by_field_of_view : bool
        It reaches the first or last slice, so that its volume is a lower bound.
    """

    structure: Structure
    volume_cm3: float | None = None
    left_cm3: float | None = None
    right_cm3: float | None = None
    fat_fraction_mean: float | None = None
    cut_by_field_of_view: bool = False


@dataclass(frozen=True)
class Phenotypes:
    """The phenotypes of one study; None where one cannot be given.

    Attributes
    ----------
    tmv_cm3, tmv_left_cm3, tmv_right_cm3 : float or None
        Total muscle volume: the 25 muscles (PAPER section 8.4).
    tvi_cm3_per_cm2 : float or None
        TMV over squared height (PAPER section 8.2).
    pa_ratio, pa_ratio_left, pa_ratio_right : float or None
        Hamstrings over quadriceps (PAPER section 8.3).
    lr_asymmetry : float or None
        abs(left - right) / larger of the thigh muscle volume (anterior,
        medial and posterior compartments), the counterpart on MRI of the
        paper's DEXA leg lean mass.
    thigh_left_cm3, thigh_right_cm3 : float or None
        What ``lr_asymmetry`` compares.
    quadriceps_cm3, hamstrings_cm3 : float or None
    anterior_cm3 ... bone_cm3 : float or None
        The compartments of PAPER section 4.
    muscle_fat_fraction : float or None
        Mean over all voxels labelled muscle, 0 to 1.
    """

    tmv_cm3: float | None = None
    tmv_left_cm3: float | None = None
    tmv_right_cm3: float | None = None
    tvi_cm3_per_cm2: float | None = None
    pa_ratio: float | None = None
    pa_ratio_left: float | None = None
    pa_ratio_right: float | None = None
    lr_asymmetry: float | None = None
    thigh_left_cm3: float | None = None
    thigh_right_cm3: float | None = None
    quadriceps_cm3: float | None = None
    hamstrings_cm3: float | None = None
    anterior_cm3: float | None = None
    gluteal_cm3: float | None = None
    medial_cm3: float | None = None
    posterior_cm3: float | None = None
    core_cm3: float | None = None
    bone_cm3: float | None = None
    muscle_fat_fraction: float | None = None


@dataclass(frozen=True)
class Measurements:
    """All that the report says about the body.

    Attributes
    ----------
    structures : tuple of StructureMeasure
        The 27 structures in the order of the label table.
    phenotypes : Phenotypes
    not_given : mapping of str to str
        Why each phenotype that is None is None.
    flags : tuple of QualityFlag
        What was noticed while measuring; the study's and the fusion's own
        flags are not repeated.
    withheld : str or None
        Why nothing at all is given, when so.
    mid_surface : MidSurface or None
        Where left ends and right begins.
    """

    structures: tuple[StructureMeasure, ...]
    phenotypes: Phenotypes
    not_given: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[QualityFlag, ...] = ()
    withheld: str | None = None
    mid_surface: MidSurface | None = None


def total_volume(volumes_cm3: Mapping[str, float], names: Iterable[str]) -> float | None:
    """Sum over structures; None when one of them is absent."""
    parts = [volumes_cm3.get(name) for name in names]
    return None if any(part is None for part in parts) else float(sum(part for part in parts if part is not None))


def posterior_anterior_ratio(volumes_cm3: Mapping[str, float]) -> float | None:
    """Hamstring over quadriceps volume (PAPER section 6); None when a muscle of either group is absent.

    Examples
    --------
    >>> volumes = {"semimembranosus": 200.0, "semitendinosus": 150.0, "biceps_femoris": 250.0}
    >>> volumes |= {"rectus_femoris": 200.0, "vastus_lateralis": 500.0}
    >>> volumes |= {"vastus_medialis": 300.0, "vastus_intermedius": 500.0}
    >>> posterior_anterior_ratio(volumes)
    0.4
    """
    posterior, anterior = total_volume(volumes_cm3, HAMSTRINGS), total_volume(volumes_cm3, QUADRICEPS)
    return posterior / anterior if posterior is not None and anterior else None


def total_volume_index(tmv_cm3: float | None, height_m: float | None) -> float | None:
    """TVI: total muscle volume over squared height, cm3/cm2 (PAPER section 8.2).

    Examples
    --------
    >>> round(total_volume_index(9321.7, 1.692), 3)
    0.326
    """
    return tmv_cm3 / (100 * height_m) ** 2 if tmv_cm3 is not None and height_m else None


def left_right_asymmetry(left: float | None, right: float | None) -> float | None:
    """|left - right| / larger, as a fraction (PAPER sections 6 and 8.12)."""
    if left is None or right is None or max(left, right) <= 0:
        return None
    return abs(left - right) / max(left, right)


def withheld_reason(flags: Iterable[QualityFlag]) -> str | None:
    """Why phenotypes must not be given: the messages of the flags of severity ``error``; None when there are none."""
    messages = dict.fromkeys(flag.message for flag in flags if flag.severity == "error")
    return " ".join(messages) or None


def measure(
    labels: Volume, fused: Fused, height_m: float | None = None, flags: Sequence[QualityFlag] = ()
) -> Measurements:
    """Measure a label map on the fused grid.

    Parameters
    ----------
    labels : Volume, uint8
        Values of the label table, on ``fused.grid``.
    fused : Fused
        Gives the fat fraction, and flags that can withhold everything.
    height_m : float or None
        Standing height; without it TVI is None.
    flags : sequence of QualityFlag
        Further flags of the study, which can withhold everything too.

    Raises
    ------
    GeometryError
        When the label map is not on the fused grid.
    """
    if not labels.grid.same_as(fused.grid):
        raise GeometryError(
            "label map", "a grid of its own", "the grid of the fused volumes", "Report this as a defect."
        )
    withheld = withheld_reason((*flags, *fused.flags))
    if withheld is not None:
        reasons = {f.name: withheld for f in fields(Phenotypes)}
        return Measurements(tuple(StructureMeasure(s) for s in STRUCTURES), Phenotypes(), reasons, (), withheld)
    surface = find_mid_surface(labels)
    counts = tally(labels, fused.fat_fraction, surface)
    structures = _structures(labels, counts)
    phenotypes, not_given = _phenotypes(structures, counts, height_m)
    return Measurements(structures, phenotypes, not_given, _flags(structures, counts), None, surface)


def _structures(labels: Volume, counts: Tally) -> tuple[StructureMeasure, ...]:
    cm3 = labels.grid.voxel_volume_mm3 / 1000.0
    edges = set(np.unique(labels.voxels[[0, -1]]).tolist())
    measured = []
    for structure in STRUCTURES:
        left, right = (int(n) for n in counts.voxels[structure.index])
        if left + right == 0:
            measured.append(StructureMeasure(structure))
            continue
        sided = counts.sided and structure.paired
        measured.append(
            StructureMeasure(
                structure,
                volume_cm3=(left + right) * cm3,
                left_cm3=left * cm3 if sided and left else None,
                right_cm3=right * cm3 if sided and right else None,
                fat_fraction_mean=float(counts.fat_fraction_sum[structure.index].sum()) / (left + right),
                cut_by_field_of_view=structure.index in edges,
            )
        )
    return tuple(measured)


def _phenotypes(
    structures: tuple[StructureMeasure, ...], counts: Tally, height_m: float | None
) -> tuple[Phenotypes, dict[str, str]]:
    both = {m.structure.name: m.volume_cm3 for m in structures if m.volume_cm3 is not None}
    left = {m.structure.name: m.left_cm3 for m in structures if m.left_cm3 is not None}
    right = {m.structure.name: m.right_cm3 for m in structures if m.right_cm3 is not None}
    tmv = total_volume(both, MUSCLES)
    thigh_left, thigh_right = total_volume(left, _THIGH), total_volume(right, _THIGH)
    by_compartment = {f"{c.value}_cm3": total_volume(both, _members(c)) for c in Compartment}
    phenotypes = Phenotypes(
        tmv_cm3=tmv,
        tmv_left_cm3=total_volume(left, MUSCLES),
        tmv_right_cm3=total_volume(right, MUSCLES),
        tvi_cm3_per_cm2=total_volume_index(tmv, height_m),
        pa_ratio=posterior_anterior_ratio(both),
        pa_ratio_left=posterior_anterior_ratio(left),
        pa_ratio_right=posterior_anterior_ratio(right),
        lr_asymmetry=left_right_asymmetry(thigh_left, thigh_right),
        thigh_left_cm3=thigh_left,
        thigh_right_cm3=thigh_right,
        quadriceps_cm3=total_volume(both, QUADRICEPS),
        hamstrings_cm3=total_volume(both, HAMSTRINGS),
        muscle_fat_fraction=_muscle_fat_fraction(counts),
        **by_compartment,
    )
    return phenotypes, _reasons(phenotypes, both, left, right, counts.sided, height_m)


def _members(compartment: Compartment) -> tuple[str, ...]:
    return tuple(s.name for s in STRUCTURES if s.compartment is compartment)


def _muscle_fat_fraction(counts: Tally) -> float | None:
    muscles = [by_name(name).index for name in MUSCLES]
    voxels = int(counts.voxels[muscles].sum())
    return float(counts.fat_fraction_sum[muscles].sum()) / voxels if voxels else None


def _reasons(
    phenotypes: Phenotypes,
    both: Mapping[str, float],
    left: Mapping[str, float],
    right: Mapping[str, float],
    sided: bool,
    height_m: float | None,
) -> dict[str, str]:
    pair = (*HAMSTRINGS, *QUADRICEPS)
    needs: dict[str, tuple[Mapping[str, float], tuple[str, ...], str]] = {
        "tmv_cm3": (both, MUSCLES, ""),
        "tmv_left_cm3": (left, MUSCLES, " on the left"),
        "tmv_right_cm3": (right, MUSCLES, " on the right"),
        "tvi_cm3_per_cm2": (both, MUSCLES, ""),
        "pa_ratio": (both, pair, ""),
        "pa_ratio_left": (left, pair, " on the left"),
        "pa_ratio_right": (right, pair, " on the right"),
        "thigh_left_cm3": (left, _THIGH, " on the left"),
        "thigh_right_cm3": (right, _THIGH, " on the right"),
        "quadriceps_cm3": (both, QUADRICEPS, ""),
        "hamstrings_cm3": (both, HAMSTRINGS, ""),
        "muscle_fat_fraction": (both, MUSCLES, ""),
        **{f"{c.value}_cm3": (both, _members(c), "") for c in Compartment},
    }
    reasons = {}
    for name, (volumes, members, where) in needs.items():
        if getattr(phenotypes, name) is not None:
            continue
        absent = [by_name(member).display_name for member in members if member not in volumes]
        if where and not sided:
            reasons[name] = "Left and right could not be told apart."
        elif absent:
            reasons[name] = f"Not in the label map{where}: {', '.join(absent)}."
        else:
            reasons[name] = "The study gives no standing height."
    if phenotypes.lr_asymmetry is None:
        reasons["lr_asymmetry"] = reasons.get("thigh_left_cm3") or reasons["thigh_right_cm3"]
    return reasons


def _flags(structures: tuple[StructureMeasure, ...], counts: Tally) -> tuple[QualityFlag, ...]:
    flags = []
    absent = [m.structure.display_name for m in structures if m.volume_cm3 is None]
    if absent:
        flags.append(
            QualityFlag(
                "absent-structures",
                "warning",
                f"Not in the label map: {', '.join(absent)}. Phenotypes that need them are not given.",
            )
        )
    if not counts.sided:
        flags.append(
            QualityFlag(
                "sides-undetermined",
                "warning",
                "Left and right could not be told apart, for no bone or muscle is labelled on two sides.",
            )
        )
        return tuple(flags)
    one_sided = [
        f"{m.structure.display_name} ({'left' if m.right_cm3 is None else 'right'} only)"
        for m in structures
        if m.structure.paired and m.volume_cm3 is not None and (m.left_cm3 is None or m.right_cm3 is None)
    ]
    if one_sided:
        flags.append(
            QualityFlag("one-sided-structures", "warning", f"Labelled on one side of the body: {', '.join(one_sided)}.")
        )
    return tuple(flags)
