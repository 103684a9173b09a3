"""From a label map to muscle volumes and phenotypes (method, section 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from operators.core.anatomy import (
    HAMSTRINGS,
    MUSCLES,
    QUADRICEPS,
    STRUCTURES,
    THIGH_COMPARTMENTS,
    Compartment,
    by_name,
)
from operators.core.errors import GeometryError
from operators.core.label_map import LabelMap
from operators.core.volume import Fused, QualityFlag, Volume
from operators.phenotype_report.formulas import (
    left_right_asymmetry,
    posterior_anterior_ratio,
    total_volume,
    total_volume_index,
)
from operators.phenotype_report.measurements import Measurements, Phenotypes, StructureMeasure
from operators.phenotype_report.sides import MidSurface, Tally, find_mid_surface, tally

__all__ = ["measure", "withheld_reason"]

# DEXA's leg region starts at the femoral neck, so the gluteal and core
# compartments lie outside it: the thigh is its counterpart on these images.
_THIGH = tuple(s.name for s in STRUCTURES if s.compartment in THIGH_COMPARTMENTS)


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
        Values of the label table, on ``fused.grid``; what a `LabelMap` says
        besides (confidence, groups, flags) is used too.
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
    known = labels if isinstance(labels, LabelMap) else LabelMap(labels.voxels, labels.grid)
    surface = find_mid_surface(_with_stand_ins(known))
    counts = tally(labels, fused.fat_fraction, surface)
    structures = _structures(known, counts)
    groups = _measure_groups(known, fused, surface)
    phenotypes, not_given = _phenotypes(structures, groups, counts, height_m, known.cut)
    flags = (*known.flags, *_flags(structures, groups, counts))
    return Measurements(structures, phenotypes, not_given, flags, None, surface, known.engine)


@dataclass(frozen=True)
class _Group:
    """Structures that are labelled only together: voxels and summed fat fraction on the left and the right."""

    members: tuple[str, ...]
    voxels: NDArray[np.int64]
    fat_fraction_sum: NDArray[np.float64]
    cm3: float

    def volume(self, side: int | None) -> float | None:
        found = float((self.voxels.sum() if side is None else self.voxels[side]) * self.cm3)
        return found or None


def _measure_groups(labels: LabelMap, fused: Fused, surface: MidSurface | None) -> dict[str, _Group]:
    if labels.group_voxels is None:
        return {}
    counts = tally(labels.group_voxels, fused.fat_fraction, surface)
    cm3 = labels.grid.voxel_volume_mm3 / 1000.0
    return {
        name: _Group(members, counts.voxels[number], counts.fat_fraction_sum[number], cm3)
        for number, (name, members) in enumerate(labels.groups.items(), start=1)
        if counts.voxels[number].any()
    }


def _with_stand_ins(labels: LabelMap) -> Volume:
    """Labels in which each group bears the label of its first member, for finding the middle of the body."""
    if labels.group_voxels is None:
        return labels
    table = np.array([0, *(by_name(members[0]).index for members in labels.groups.values())], dtype=np.uint8)
    voxels = np.asarray(labels.voxels, dtype=np.uint8)
    return Volume(np.where(voxels > 0, voxels, table[labels.group_voxels.voxels]).astype(np.uint8), labels.grid)


def _structures(labels: LabelMap, counts: Tally) -> tuple[StructureMeasure, ...]:
    cm3 = labels.grid.voxel_volume_mm3 / 1000.0
    confidence = _confidence_sums(labels)
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
                cut_by_field_of_view=structure.index in edges or structure.name in labels.cut,
                confidence_mean=None if confidence is None else float(confidence[structure.index]) / (left + right),
            )
        )
    return tuple(measured)


def _confidence_sums(labels: LabelMap) -> NDArray[np.float64] | None:
    if labels.confidence is None:
        return None
    voxels = np.asarray(labels.voxels, dtype=np.uint8)
    weights = labels.confidence.voxels.ravel()
    return np.bincount(voxels.ravel(), weights, minlength=len(STRUCTURES) + 1).astype(np.float64)


def _phenotypes(
    structures: tuple[StructureMeasure, ...],
    merged: Mapping[str, _Group],
    counts: Tally,
    height_m: float | None,
    cut: frozenset[str],
) -> tuple[Phenotypes, dict[str, str]]:
    whole = [m for m in structures if m.structure.name not in cut]
    merged = {name: group for name, group in merged.items() if cut.isdisjoint(group.members)}
    both = {m.structure.name: m.volume_cm3 for m in whole if m.volume_cm3 is not None}
    left = {m.structure.name: m.left_cm3 for m in whole if m.left_cm3 is not None}
    right = {m.structure.name: m.right_cm3 for m in whole if m.right_cm3 is not None}
    groups = {name: group.members for name, group in merged.items()}
    for volumes, side in ((both, None), (left, 0), (right, 1)):
        if side is None or counts.sided:
            volumes |= {name: v for name, group in merged.items() if (v := group.volume(side)) is not None}
    tmv = total_volume(both, MUSCLES, groups)
    thigh_left, thigh_right = total_volume(left, _THIGH, groups), total_volume(right, _THIGH, groups)
    by_compartment = {f"{c.value}_cm3": total_volume(both, _members(c), groups) for c in Compartment}
    phenotypes = Phenotypes(
        tmv_cm3=tmv,
        tmv_left_cm3=total_volume(left, MUSCLES, groups),
        tmv_right_cm3=total_volume(right, MUSCLES, groups),
        tvi_cm3_per_cm2=total_volume_index(tmv, height_m),
        pa_ratio=posterior_anterior_ratio(both, groups),
        pa_ratio_left=posterior_anterior_ratio(left, groups),
        pa_ratio_right=posterior_anterior_ratio(right, groups),
        lr_asymmetry=left_right_asymmetry(thigh_left, thigh_right),
        thigh_left_cm3=thigh_left,
        thigh_right_cm3=thigh_right,
        quadriceps_cm3=total_volume(both, QUADRICEPS, groups),
        hamstrings_cm3=total_volume(both, HAMSTRINGS, groups),
        muscle_fat_fraction=_muscle_fat_fraction(counts, merged),
        **by_compartment,
    )
    for volumes in (both, left, right):  # what a group holds is not missing
        volumes |= {member: 0.0 for name, members in groups.items() if name in volumes for member in members}
    return phenotypes, _reasons(phenotypes, both, left, right, counts.sided, height_m, cut)


def _members(compartment: Compartment) -> tuple[str, ...]:
    return tuple(s.name for s in STRUCTURES if s.compartment is compartment)


def _muscle_fat_fraction(counts: Tally, groups: Mapping[str, _Group]) -> float | None:
    muscles = [by_name(name).index for name in MUSCLES]
    merged = [group for group in groups.values() if set(group.members) <= set(MUSCLES)]
    voxels = int(counts.voxels[muscles].sum()) + sum(int(group.voxels.sum()) for group in merged)
    fat = float(counts.fat_fraction_sum[muscles].sum()) + sum(float(group.fat_fraction_sum.sum()) for group in merged)
    return fat / voxels if voxels else None


def _reasons(
    phenotypes: Phenotypes,
    both: Mapping[str, float],
    left: Mapping[str, float],
    right: Mapping[str, float],
    sided: bool,
    height_m: float | None,
    cut: frozenset[str],
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
        absent = [by_name(member).display_name for member in members if member not in volumes and member not in cut]
        parts = [by_name(member).display_name for member in members if member in cut]
        if where and not sided:
            reasons[name] = "Left and right could not be told apart."
        elif parts:
            reasons[name] = f"Only a part is in the label map: {', '.join(parts)}."
        elif absent:
            reasons[name] = f"Not in the label map{where}: {', '.join(absent)}."
        else:
            reasons[name] = "The study gives no standing height."
    if phenotypes.lr_asymmetry is None:
        reasons["lr_asymmetry"] = reasons.get("thigh_left_cm3") or reasons["thigh_right_cm3"]
    return reasons


def _flags(
    structures: tuple[StructureMeasure, ...], groups: Mapping[str, _Group], counts: Tally
) -> tuple[QualityFlag, ...]:
    flags = []
    together = {member for group in groups.values() for member in group.members}
    absent = [m.structure.display_name for m in structures if m.volume_cm3 is None and m.structure.name not in together]
    for name, group in groups.items():
        members = ", ".join(by_name(member).display_name for member in group.members)
        flags.append(QualityFlag("merged-structures", "info", f"Labelled only together, as {name}: {members}."))
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
