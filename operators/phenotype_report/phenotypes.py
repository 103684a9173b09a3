"""Muscle volumes and phenotypes from a label map (method, section 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from operators.core.anatomy import STRUCTURES, Tissue, by_name
from operators.core.confidence import confidence_by_label
from operators.core.errors import InternalError
from operators.core.label_map import LabelMap
from operators.core.phenotypes import PHENOTYPES, MeasuredBody, MuscleFat, evaluate, withheld_for_one_side
from operators.core.volume import Contrast, Fused, QualityFlag, Volume
from operators.phenotype_report.adipose import measure_adipose
from operators.phenotype_report.image_ends import cut_at_ends
from operators.phenotype_report.measurements import Measurements, Phenotypes, StructureMeasure
from operators.phenotype_report.merged_groups import Group, measure_groups, with_stand_ins
from operators.phenotype_report.mid_surface import LEFT, RIGHT, MidSurface, find_mid_surface
from operators.phenotype_report.muscle_fat import measure_fat_and_slices
from operators.phenotype_report.plausibility import (
    confidence_flags,
    noise_flags,
    side_edge_flags,
    size_flags,
    uneven_leg_flags,
)
from operators.phenotype_report.sides import Tally, tally
from operators.phenotype_report.signal_noise import noise_of
from operators.phenotype_report.stated_sides import stated_side_flags
from operators.phenotype_report.thigh_profiles import thigh_profiles
from operators.phenotype_report.touched import z_ranges_mm
from operators.station_fusion.lateral_edges import labels_at_edges

__all__ = ["measure", "withheld_reason"]


def withheld_reason(flags: Iterable[QualityFlag]) -> str | None:
    """Why phenotypes must be withheld: the messages of all flags of severity ``error``; None if there are none."""
    messages = dict.fromkeys(flag.message for flag in flags if flag.severity == "error")
    return " ".join(messages) or None


def measure(
    labels: Volume,
    fused: Fused,
    height_m: float | None = None,
    flags: Sequence[QualityFlag] = (),
    *,
    sex: str | None = None,
    no_height: str | None = None,
) -> Measurements:
    """Measure a label map on the fused grid.

    Parameters
    ----------
    labels : Volume, uint8
        Values of the label table, on ``fused.grid``. Confidence, groups and
        flags of a `LabelMap` are also used.
    fused : Fused
        Gives the fat fraction. An ``error`` among its flags withholds all values.
    height_m : float or None
        Standing height; without it TVI is None.
    flags : sequence of QualityFlag
        Further flags of the study. An ``error`` among them also withholds all values.
    sex : {"M", "F"} or None
        Only for judging whether the total muscle volume is plausible.
    no_height : str or None
        Why there is no height; by default, that the study gives none.

    Raises
    ------
    InternalError
        When the label map is not on the fused grid.
    """
    if not labels.grid.same_as(fused.grid):
        raise InternalError("label map", "a different grid", "the grid of the fused volumes")
    known = labels if isinstance(labels, LabelMap) else LabelMap(labels.voxels, labels.grid)
    known, cut_flags = cut_at_ends(known, fused)
    withheld = withheld_reason((*flags, *fused.flags, *known.flags))
    if withheld is not None:
        return _nothing(known, withheld)
    surface = find_mid_surface(with_stand_ins(known))
    counts = tally(labels, fused.fat_fraction, surface, known.sides)
    noise = noise_of(fused)
    fat, core = measure_fat_and_slices(known, fused, surface, noise)
    structures = _structures(known, counts, fat, fused)
    groups = measure_groups(known, fused, surface)
    body = _measured_body(structures, groups, counts, height_m, known.cut)
    no_fat = _no_fat(fused, flags)
    femora_cut = "femur" in known.cut
    profiles = (
        {} if femora_cut else thigh_profiles(known, surface, fused.label_slices, core if no_fat is None else None)
    )
    body = replace(
        body,
        no_height=no_height or body.no_height,
        fat=fat,
        adipose_cm3=_adipose_volumes(known, fused, surface),
        mid_thigh_cm2={side: profile.mid_thigh_cm2 for side, profile in profiles.items()},
    )
    values, not_given = evaluate(body) if no_fat is None else _evaluated_without_fat(body, no_fat)
    one_side = withheld_for_one_side(body, values)
    values, not_given = {**values, **dict.fromkeys(one_side)}, {**not_given, **one_side}
    if no_fat is not None:
        structures = tuple(replace(measured, fat_fraction_mean=None, fat=None) for measured in structures)
    flags = (
        *known.flags,
        *cut_flags,
        *_flags(structures, groups, counts),
        *stated_side_flags(known, surface),
        *confidence_flags(structures),
        *side_edge_flags(known, fused),
        *noise_flags(known, fused, noise),
        *size_flags(values["tmv_cm3"], height_m, sex),
        *uneven_leg_flags(known, surface),
    )
    return Measurements(
        structures,
        Phenotypes(values),
        not_given,
        flags,
        None,
        surface,
        noise,
        z_ranges_mm(known),
        known.engine,
        profiles,
    )


def _nothing(labels: LabelMap, withheld: str) -> Measurements:
    """Measurements without any value, because all are withheld."""
    reasons = dict.fromkeys(PHENOTYPES, withheld)
    none = tuple(StructureMeasure(s) for s in STRUCTURES)
    grave = tuple(flag for flag in labels.flags if flag.severity == "error")
    return Measurements(none, Phenotypes(), reasons, grave, withheld)


def _no_fat(fused: Fused, flags: Sequence[QualityFlag]) -> str | None:
    """Why no figure of fat can be given; None if it can."""
    if Contrast.FAT in fused.absent:
        return "The study has no fat images."
    mismatches = (flag.message for flag in (*flags, *fused.flags) if flag.code == "water-fat-mismatch")
    return next(mismatches, None)


def _evaluated_without_fat(body: MeasuredBody, reason: str) -> tuple[dict[str, float | None], dict[str, str]]:
    """The phenotypes that need no fat image, and why the others are None: ``reason`` for those that fat would give."""
    values, not_given = evaluate(body)
    without, _ = evaluate(replace(body, voxels={}, fat_fraction_sums={}, fat={}, adipose_cm3={}))
    lost = [key for key, value in values.items() if value is not None and without[key] is None]
    return without, {**not_given, **dict.fromkeys(lost, reason)}


def _adipose_volumes(labels: LabelMap, fused: Fused, surface: MidSurface | None) -> Mapping[str, tuple[float, float]]:
    found = measure_adipose(labels, fused, surface)
    if found is None:
        return {}
    return {"subcutaneous": found.subcutaneous_cm3, "intermuscular": found.intermuscular_cm3}


def _structures(
    labels: LabelMap,
    counts: Tally,
    fat: Mapping[str, tuple[MuscleFat, MuscleFat]],
    fused: Fused,
) -> tuple[StructureMeasure, ...]:
    cm3 = labels.grid.voxel_volume_mm3 / 1000.0
    confidence = labels.confidence_by_label
    if not confidence and labels.confidence is not None:
        sure = np.asarray(labels.confidence.voxels, dtype=np.float32)
        confidence = confidence_by_label(np.asarray(labels.voxels, dtype=np.uint8), sure)
    first, end = fused.label_slices or (0, len(labels.voxels))
    edges = set(np.unique(labels.voxels[[0, first, end - 1, -1]]).tolist())
    station_grids = [station.grid for station in fused.stations]
    edges |= labels_at_edges(np.asarray(labels.voxels, dtype=np.uint8), labels.grid, station_grids)
    measured = []
    for structure in STRUCTURES:
        left, right = (int(n) for n in counts.voxels[structure.index])
        if left + right == 0:
            measured.append(StructureMeasure(structure))
            continue
        sided = counts.sided and structure.paired
        mean, low = confidence.get(structure.index, (None, None))
        measured.append(
            StructureMeasure(
                structure,
                volume_cm3=(left + right) * cm3,
                left_cm3=left * cm3 if sided and left else None,
                right_cm3=right * cm3 if sided and right else None,
                fat_fraction_mean=float(counts.fat_fraction_sum[structure.index].sum()) / (left + right),
                fat=fat.get(structure.name) if structure.tissue is Tissue.MUSCLE else None,
                cut_by_field_of_view=structure.index in edges or structure.name in labels.cut,
                confidence_mean=mean,
                confidence_low=low,
            )
        )
    return tuple(measured)


def _measured_body(
    structures: tuple[StructureMeasure, ...],
    groups: Mapping[str, Group],
    counts: Tally,
    height_m: float | None,
    cut: frozenset[str],
) -> MeasuredBody:
    """The measurements for phenotypes: structures and groups that are completely labelled."""
    whole = [m for m in structures if m.structure.name not in cut]
    merged = {name: group for name, group in groups.items() if cut.isdisjoint(group.members)}
    both = {m.structure.name: m.volume_cm3 for m in whole if m.volume_cm3 is not None}
    left = {m.structure.name: m.left_cm3 for m in whole if m.left_cm3 is not None}
    right = {m.structure.name: m.right_cm3 for m in whole if m.right_cm3 is not None}
    for volumes, side in ((both, None), (left, LEFT), (right, RIGHT)):
        if side is None or counts.sided:
            volumes |= {name: v for name, group in merged.items() if (v := group.volume(side)) is not None}
    # A part of a structure is enough for a mean, so these include cut structures.
    voxels = {s.name: counts.voxels[s.index] for s in STRUCTURES}
    fat = {s.name: counts.fat_fraction_sum[s.index] for s in STRUCTURES}
    return MeasuredBody(
        both,
        left,
        right,
        groups={name: group.members for name, group in merged.items()},
        height_m=height_m,
        voxels=voxels | {name: group.voxels for name, group in merged.items()},
        fat_fraction_sums=fat | {name: group.fat_fraction_sum for name, group in merged.items()},
        sided=counts.sided,
        cut=cut,
    )


def _flags(
    structures: tuple[StructureMeasure, ...], groups: Mapping[str, Group], counts: Tally
) -> tuple[QualityFlag, ...]:
    flags = []
    together = {member for group in groups.values() for member in group.members}
    absent = [m.structure.display_name for m in structures if m.volume_cm3 is None and m.structure.name not in together]
    for name, group in groups.items():
        members = ", ".join(by_name(member).display_name for member in group.members)
        message = f"Labelled only together, as {name}: {members}."
        flags.append(QualityFlag("merged-structures", "info", message, structures=group.members))
    if absent:
        flags.append(
            QualityFlag(
                "absent-structures",
                "warning",
                f"Not in the label map: {', '.join(absent)}. Phenotypes that need them are not given.",
                quantities=(),  # what needs them is not given
            )
        )
    if not counts.sided:
        flags.append(
            QualityFlag(
                "sides-undetermined",
                "warning",
                "Left and right could not be told apart, because no bone or muscle is seen to be labelled on both "
                "sides. If one leg only is labelled, volumes are those of one leg.",
                quantities=("volume",),  # what needs sides is not given
            )
        )
        return tuple(flags)
    halves = [
        m
        for m in structures
        if m.structure.paired and m.volume_cm3 is not None and (m.left_cm3 is None or m.right_cm3 is None)
    ]
    one_sided = [f"{m.structure.display_name} ({'left' if m.right_cm3 is None else 'right'} only)" for m in halves]
    if one_sided:
        lacking = "Sums of both sides that lack more than 5% by it are not given."
        message = f"Labelled on one side of the body: {', '.join(one_sided)}. {lacking}"
        names = tuple(m.structure.name for m in halves)
        flags.append(QualityFlag("one-sided-structures", "warning", message, structures=names))
    return tuple(flags)
