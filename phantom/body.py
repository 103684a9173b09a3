"""One individual body: the reference body with a participant's proportions and small individual deviations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.core import anatomy
from phantom.participant import Participant
from phantom.rasterise import PART_COLUMNS, OutlineTable, PartTable, TissueModel
from phantom.reference import HIP_HEIGHT_MM, Kind, envelopes, parts

__all__ = ["Body", "draw_body", "outline_table", "part_table", "tissue_model"]

_REFERENCE_HEIGHT_CM = 170.0


@dataclass(frozen=True)
class Body:
    """Deviations of an individual from the reference body. Sides are (right, left).

    Attributes
    ----------
    leg_scale, trunk_scale : float
        Lengths along z relative to the reference.
    girth : float
        Widths and depths relative to the reference.
    side_girth : ndarray, shape (2,)
        Added to the girth of each leg.
    pelvis_width : float
        Lateral over sagittal proportion.
    belly : float
        Relative depth of the front of the trunk.
    fat : float
        Relative thickness of subcutaneous fat.
    size : ndarray, shape (channels,)
        Relative half axes by label.
    shift_mm, sway_mm : ndarray, shape (2, part, 2)
        Constant and height-dependent displacement of each part.
    sway_phase : ndarray, shape (2, part)
    twist_rad, tilt : ndarray, shape (2,)
        Rotation of each thigh about its femur (at the knee), and its abduction slope.
    muscle_fat : ndarray, shape (channels,)
        Fat fraction by label.
    """

    leg_scale: float
    trunk_scale: float
    girth: float
    side_girth: NDArray[np.float64]
    pelvis_width: float
    belly: float
    fat: float
    size: NDArray[np.float64]
    shift_mm: NDArray[np.float64]
    sway_mm: NDArray[np.float64]
    sway_phase: NDArray[np.float64]
    twist_rad: NDArray[np.float64]
    tilt: NDArray[np.float64]
    muscle_fat: NDArray[np.float64]


def draw_body(participant: Participant) -> Body:
    """Draw a body with the participant's proportions, before its girth and muscle sizes are fitted."""
    rng = np.random.default_rng([participant.seed, 4])
    count = len(parts())
    scale = participant.height_cm / _REFERENCE_HEIGHT_CM
    female = participant.sex == "F"
    proportion = rng.normal(0.0, 0.015)
    soft = np.array([0.35 if part.kind is Kind.BONE else 1.0 for part in parts()])[None, :, None]
    # Parts of one structure move together, so that a muscle's two heads do not drift apart.
    names = sorted({part.structure for part in parts()})
    group = np.array([names.index(part.structure) for part in parts()])
    shift = rng.normal(0.0, 1.4, (2, len(names), 2))[:, group] + rng.normal(0.0, 0.2, (2, count, 2))
    sway = rng.normal(0.0, 1.2, (2, len(names), 2))[:, group]
    phase = rng.uniform(0, 2 * np.pi, (2, len(names)))[:, group]
    base = participant.muscle_fat_fraction
    return Body(
        leg_scale=scale * (1 + proportion),
        trunk_scale=scale * (1 - proportion),
        girth=1.0 * np.sqrt(participant.tmv_cm3 / 10000.0 / scale),
        side_girth=np.zeros(2),
        pelvis_width=1.035 if female else 0.99,
        belly=float(np.clip(1 + 0.02 * (participant.bmi - 25) * (0.7 if female else 1.0), 0.85, 1.4)),
        fat=float(np.clip((1.45 if female else 0.8) * (1 + 0.06 * (participant.bmi - 25)), 0.35, 2.6)),
        size=np.ones(anatomy.CHANNEL_COUNT),
        shift_mm=shift * soft,
        sway_mm=sway * soft,
        sway_phase=phase,
        twist_rad=np.deg2rad(rng.normal(0.0, 4.0, 2)),
        tilt=rng.normal(0.012, 0.012, 2),
        muscle_fat=np.clip(base * np.exp(rng.normal(0.0, 0.25, anatomy.CHANNEL_COUNT)), 0.01, 0.4),
    )


def part_table(body: Body, z_mm: NDArray[np.float64]) -> PartTable:
    """Every part on the slices at heights ``z_mm`` above the knee."""
    heights = _reference_heights(body, z_mm)
    rows = np.zeros((2, len(z_mm), len(parts()), PART_COLUMNS), dtype=np.float32)
    femur_axis = np.stack(
        [np.interp(heights, [0.0, 200.0, HIP_HEIGHT_MM], values) for values in ([86, 101, 112], [2, -4, 4])], axis=-1
    )
    in_leg = np.clip(1 - heights / HIP_HEIGHT_MM, 0, 1)
    in_trunk = np.clip((heights - 430) / 60, 0, 1)
    for p, part in enumerate(parts()):
        ellipse = part.at(heights)
        present = np.isfinite(ellipse[:, 0])
        size = body.size[part.label] if part.label else 1.0
        for side in range(2):
            girth = _girth(body, heights) + np.where(heights < 430, body.side_girth[side], 0.0)
            sway = np.sin(2 * np.pi * heights / 260.0 + body.sway_phase[side, p])
            centre = ellipse[:, :2] + body.shift_mm[side, p] + body.sway_mm[side, p] * sway[:, None]
            turn = body.twist_rad[side] * in_leg
            offset = centre - femur_axis
            lateral = femur_axis[:, 0] + np.cos(turn) * offset[:, 0] - np.sin(turn) * offset[:, 1]
            posterior = femur_axis[:, 1] + np.sin(turn) * offset[:, 0] + np.cos(turn) * offset[:, 1]
            lateral = lateral + body.tilt[side] * HIP_HEIGHT_MM * in_leg
            is_central = part.label == 0 and part.ellipses[:, 0].max() < 1.0
            if is_central:  # spine and bladder stay in the mid-plane
                lateral = ellipse[:, 0]
            front = 1 + (body.belly - 1) * in_trunk * (posterior < 10)
            row = rows[side, :, p]
            row[:, 0] = present
            row[:, 1] = lateral * girth * body.pelvis_width
            row[:, 2] = posterior * girth / body.pelvis_width * front
            # Bones differ less between bodies than the muscles around them.
            own = girth**0.5 if part.kind is Kind.BONE else girth * size
            row[:, 3] = ellipse[:, 2] * own * body.pelvis_width
            row[:, 4] = ellipse[:, 3] * own / body.pelvis_width * (front if part.kind is Kind.VISCERA else 1.0)
            angle = ellipse[:, 4] - turn
            row[:, 5], row[:, 6] = np.cos(angle), np.sin(angle)
    np.nan_to_num(rows, copy=False)
    labels = np.array([part.label for part in parts()], dtype=np.uint8)
    kinds = np.array([part.kind for part in parts()], dtype=np.uint8)
    return PartTable(rows, labels, kinds, np.array([_fat_fraction(body, p) for p in range(len(parts()))], np.float32))


def outline_table(body: Body, z_mm: NDArray[np.float64]) -> OutlineTable:
    """Fascia, fat thickness and abdominal wall on the slices at heights ``z_mm`` above the knee."""
    heights = _reference_heights(body, z_mm)
    in_leg = np.clip(1 - heights / HIP_HEIGHT_MM, 0, 1)
    in_trunk = np.clip((heights - 430) / 60, 0, 1)
    leg = np.stack([envelopes()["leg"].at(heights)] * 2)
    trunk = envelopes()["trunk"].at(heights)
    girth = _girth(body, heights)
    wide, deep = girth * body.pelvis_width, girth / body.pelvis_width
    for side in range(2):
        extra = 1 + body.side_girth[side] / body.girth
        leg[side, :, 0] = (leg[side, :, 0] + body.tilt[side] * HIP_HEIGHT_MM * in_leg) * wide
        leg[side, :, 1] *= deep
        leg[side, :, 2] *= wide * extra
        leg[side, :, 3:5] *= (deep * extra)[:, None]
        leg[side, :, 5:] *= body.fat
    trunk[:, 1] *= deep
    trunk[:, 2] *= wide * (1 + 0.35 * (body.belly - 1) * in_trunk)
    trunk[:, 3] *= deep * (1 + (body.belly - 1) * in_trunk)
    trunk[:, 4] *= deep
    trunk[:, 5:] *= body.fat
    oblique, rectus = (body.size[anatomy.by_name(n).index] for n in ("abdominal_oblique", "rectus_abdominis"))
    wall = np.zeros((len(z_mm), 6))
    wall[:, 0] = np.interp(heights, [485, 520, 640, 690], [0, 14, 13, 0], left=0, right=0) * oblique * girth
    wall[:, 1] = np.interp(heights, [398, 415, 500, 690, 720], [0, 11, 13, 12, 0], left=0, right=0) * rectus * girth
    wall[:, 2] = 0.03
    wall[:, 3] = np.interp(heights, [398, 430, 500, 720], [0.16, 0.36, 0.62, 0.70])
    wall[:, 4] = wall[:, 3] + 0.06
    wall[:, 5] = 2.05
    return OutlineTable(leg.astype(np.float32), trunk.astype(np.float32), wall.astype(np.float32))


def tissue_model(body: Body) -> TissueModel:
    """Distances and fractions of this body that are in no table."""
    oblique, rectus = (anatomy.by_name(name).index for name in ("abdominal_oblique", "rectus_abdominis"))
    return TissueModel(
        fill_mm=9.0 * body.girth,
        plane_mm=1.5,
        oblique_label=oblique,
        rectus_label=rectus,
        oblique_fat=float(body.muscle_fat[oblique]),
        rectus_fat=float(body.muscle_fat[rectus]),
    )


def _reference_heights(body: Body, z_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heights in the reference body. Legs and trunk are scaled separately, from the hip joint."""
    hip = HIP_HEIGHT_MM * body.leg_scale
    return np.where(z_mm < hip, z_mm / body.leg_scale, HIP_HEIGHT_MM + (z_mm - hip) / body.trunk_scale)


def _girth(body: Body, heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Girth at reference heights. Trunks differ less between bodies than thighs do."""
    in_trunk = np.clip((heights - 400) / 120, 0, 1)
    return np.asarray(body.girth ** (1 - 0.45 * in_trunk))


def _fat_fraction(body: Body, index: int) -> float:
    part = parts()[index]
    if part.kind is Kind.BONE:
        return 0.85 if part.structure == "femur" else 0.55  # yellow against red marrow
    if part.kind is Kind.MUSCLE:
        return float(body.muscle_fat[part.label]) if part.label else 0.1
    return {Kind.VISCERA: 0.25, Kind.VESSEL: 0.05, Kind.AIR: 0.3}[part.kind]
