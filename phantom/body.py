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

# Knees lie 209 (SD 36) mm apart and hips 178 (SD 8) mm in 47 people of the archive (docs/people.md).
_TILT, _TILT_SD = 0.042, 0.035

# Arms of the same people: forearms at the edge of the field of view, which few hands reach.
_WRIST_MM, _WRIST_SD_MM = 285.0, 22.0
_FINGERS_MM, _WRIST_HEIGHT_MM, _SHOULDER_HEIGHT_MM = 340.0, 500.0, 1010.0
_SHOULDER_MM = 205.0

_THIGH_ASPECT = 0.05  # from the widths and depths of the same people
_AXIS_HEIGHTS_MM = [0.0, 200.0, HIP_HEIGHT_MM]


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
    frame : float
        Distance of the hip joints relative to the reference. A skeleton is no narrower where muscles are small.
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
    wrist_mm : ndarray, shape (2,)
        Distance of each wrist from the mid-plane.
    """

    leg_scale: float
    trunk_scale: float
    girth: float
    side_girth: NDArray[np.float64]
    pelvis_width: float
    frame: float
    belly: float
    fat: float
    size: NDArray[np.float64]
    shift_mm: NDArray[np.float64]
    sway_mm: NDArray[np.float64]
    sway_phase: NDArray[np.float64]
    twist_rad: NDArray[np.float64]
    tilt: NDArray[np.float64]
    muscle_fat: NDArray[np.float64]
    wrist_mm: NDArray[np.float64]


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
    joints = np.clip(np.random.default_rng([participant.seed, 8]).standard_normal(4), -2.2, 2.2)
    return Body(
        leg_scale=scale * (1 + proportion),
        trunk_scale=scale * (1 - proportion),
        girth=1.0 * np.sqrt(participant.tmv_cm3 / 10000.0 / scale),
        side_girth=np.zeros(2),
        pelvis_width=1.035 if female else 0.99,
        frame=scale**0.5 * (1.04 if female else 0.99) * (1 + 0.035 * joints[0]),
        belly=float(np.clip(1 + 0.02 * (participant.bmi - 25) * (0.7 if female else 1.0), 0.85, 1.4)),
        fat=float(np.clip((1.45 if female else 0.8) * (1 + 0.06 * (participant.bmi - 25)), 0.35, 2.6)),
        size=np.ones(anatomy.CHANNEL_COUNT),
        shift_mm=shift * soft,
        sway_mm=sway * soft,
        sway_phase=phase,
        twist_rad=np.deg2rad(rng.normal(0.0, 4.0, 2)),
        tilt=_TILT + _TILT_SD * joints[1] + rng.normal(0.0, 0.008, 2),
        muscle_fat=np.clip(base * np.exp(rng.normal(0.0, 0.25, anatomy.CHANNEL_COUNT)), 0.01, 0.4),
        wrist_mm=_WRIST_MM + _WRIST_SD_MM * joints[2:],
    )


def part_table(body: Body, z_mm: NDArray[np.float64]) -> PartTable:
    """Every part on the slices at heights ``z_mm`` above the knee."""
    heights = _reference_heights(body, z_mm)
    rows = np.zeros((2, len(z_mm), len(parts()), PART_COLUMNS), dtype=np.float32)
    femur_axis = np.stack([_femur_lateral(heights), np.interp(heights, _AXIS_HEIGHTS_MM, [2, -4, 4])], axis=-1)
    pelvis, aspect = _in_pelvis(heights), _aspect(body, heights)
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
            tilt = body.tilt[side] * HIP_HEIGHT_MM * body.leg_scale * in_leg
            is_central = part.label == 0 and part.ellipses[:, 0].max() < 1.0
            if is_central:  # spine and bladder stay in the mid-plane
                lateral, tilt = ellipse[:, 0], np.zeros_like(tilt)
            front = 1 + (body.belly - 1) * in_trunk * (posterior < 10)
            row = rows[side, :, p]
            row[:, 0] = present
            wide = girth * aspect
            low, high = np.maximum(lateral - ellipse[:, 2], 0.0), lateral + ellipse[:, 2]
            low_mm, centre_mm, high_mm = (_lateral(body, heights, x, wide, pelvis) for x in (low, lateral, high))
            stretch = (high_mm - low_mm) / (high - low)
            row[:, 1] = centre_mm + tilt
            row[:, 2] = posterior * girth / aspect * front
            # Bones differ less between bodies than the muscles around them.
            if part.kind is Kind.BONE:
                across, along = aspect * girth**0.5, girth**0.5
                across = across + pelvis * (body.frame - across)
            else:
                across, along = stretch * size, girth * size
            row[:, 3] = ellipse[:, 2] * across
            row[:, 4] = ellipse[:, 3] * along / aspect * (front if part.kind is Kind.VISCERA else 1.0)
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
    aspect = _aspect(body, heights)
    wide, deep = girth * aspect, girth / aspect
    for side in range(2):
        extra = 1 + body.side_girth[side] / body.girth
        centre, edge = leg[side, :, 0], leg[side, :, 0] + leg[side, :, 2]
        centre_mm, edge_mm = (_lateral(body, heights, x, wide, _in_pelvis(heights)) for x in (centre, edge))
        leg[side, :, 0] = centre_mm + body.tilt[side] * HIP_HEIGHT_MM * body.leg_scale * in_leg
        leg[side, :, 1] *= deep
        leg[side, :, 2] = (edge_mm - centre_mm) * extra
        leg[side, :, 3:5] *= (deep * extra)[:, None]
        leg[side, :, 5:] *= body.fat
    trunk[:, 1] *= deep
    half_mm = _lateral(body, heights, trunk[:, 2], wide, np.ones_like(wide))
    trunk[:, 2] = half_mm * (1 + 0.35 * (body.belly - 1) * in_trunk)
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
    arm = np.stack([_arm(body, heights, wrist_mm) for wrist_mm in body.wrist_mm])
    return OutlineTable(*(table.astype(np.float32) for table in (leg, trunk, wall, arm)))


def _arm(body: Body, heights: NDArray[np.float64], wrist_mm: float) -> NDArray[np.float64]:
    """`OutlineTable.arm` of one side. Arms lie at the sides, and most hands outside the field of view."""
    up = [_FINGERS_MM, 420.0, _WRIST_HEIGHT_MM, 600.0, 720.0, 860.0, _SHOULDER_HEIGHT_MM]
    size = body.girth**0.5
    arm = np.empty((len(heights), 5))
    arm[:, 0] = np.interp(heights, [_WRIST_HEIGHT_MM, _SHOULDER_HEIGHT_MM], [wrist_mm, _SHOULDER_MM])
    arm[:, 1] = 25.0
    arm[:, 2] = size * np.interp(heights, up, [6, 17, 22, 36, 40, 42, 48])
    arm[:, 3] = size * np.interp(heights, up, [10, 38, 28, 38, 42, 46, 50])
    arm[:, 4] = body.fat * np.interp(heights, up, [1, 2, 4, 6, 8, 9, 10])
    arm[(heights < _FINGERS_MM) | (heights > _SHOULDER_HEIGHT_MM)] = np.nan
    return arm


def tissue_model(body: Body) -> TissueModel:
    """Distances and fractions of this body that are in no table."""
    oblique, rectus = (anatomy.by_name(name).index for name in ("abdominal_oblique", "rectus_abdominis"))
    return TissueModel(
        fill_mm=np.float32(9.0 * body.girth),
        plane_mm=np.float32(1.5),
        oblique_label=oblique,
        rectus_label=rectus,
        oblique_fat=np.float32(body.muscle_fat[oblique]),
        rectus_fat=np.float32(body.muscle_fat[rectus]),
    )


def _reference_heights(body: Body, z_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heights in the reference body. Legs and trunk are scaled separately, from the hip joint."""
    hip = HIP_HEIGHT_MM * body.leg_scale
    return np.where(z_mm < hip, z_mm / body.leg_scale, HIP_HEIGHT_MM + (z_mm - hip) / body.trunk_scale)


def _femur_lateral(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of the femur from the mid-plane of the reference body."""
    return np.asarray(np.interp(heights, _AXIS_HEIGHTS_MM, [86.0, 101.0, 112.0]))


def _in_pelvis(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 in the leg, 1 from the hip upwards."""
    return np.asarray(np.clip((heights - 300) / 80, 0, 1))


def _aspect(body: Body, heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Widths over depths: thighs are wider than those of the reference body."""
    return np.asarray(body.pelvis_width * (1 + _THIGH_ASPECT * (1 - _in_pelvis(heights))))


def _lateral(
    body: Body,
    heights: NDArray[np.float64],
    reference_mm: NDArray[np.float64],
    wide: NDArray[np.float64],
    pelvis: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Distance from the mid-plane: the femur stands where the frame has it, and what is around it grows with the girth.

    In the pelvis, the space between the mid-plane and the femur is stretched; below, the whole leg is moved.
    """
    femur = _femur_lateral(heights)
    moved = pelvis * np.clip(reference_mm / femur, 0, 1) + (1 - pelvis)
    return np.asarray(reference_mm * wide + moved * femur * (body.frame - wide))


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
