"""A body of boxes: every structure has a known place and a known number of voxels."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operators.core.anatomy import STRUCTURES, Compartment, by_name
from operators.core.model_card import ModelCard
from operators.core.volume import Contrast, Fused, Grid, QualityFlag, Station, Study

__all__ = ["MODEL", "NO_MIDDLE", "PATIENT", "SHAPE", "box_labels", "fused_of", "grid", "study_of"]

SHAPE = (60, 24, 80)  # (z, y, x); at 5 x 5 x 8 mm: 480 mm high, 120 mm deep, 400 mm wide
SPACING = (5.0, 5.0, 8.0)
PATIENT = {
    "PatientName": "Secretname^Anna",
    "PatientID": "SECRET-4711",
    "PatientBirthDate": "19571103",
    "PatientSex": "F",
    "StudyDate": "20210304",
    "StudyTime": "101500",
    "StudyID": "1",
    "AccessionNumber": "",
}
#: Phenotypes that the boxes do not have, because the femora reach the lowest slice.
NO_MIDDLE = {"mid_thigh_cm2", "mid_thigh_left_cm2", "mid_thigh_right_cm2"}
MODEL = ModelCard(
    name="sarcomap_unetr",
    version="0.1.0",
    sha256="ab" * 32,
    training_data="Synthetic participants only.",
    intended_use="Demonstration and research; not for clinical use.",
    synthetic_training=True,
)


def grid(rotation_z_degrees: float = 0.0, tilt_degrees: float = 0.0, flip_x: bool = False) -> Grid:
    """The body's grid, rotated about LPS z, then tilted about LPS y, or with x running to the right."""
    a, t = np.radians(rotation_z_degrees), np.radians(tilt_degrees)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(t), 0, np.sin(t)], [0, 1, 0], [-np.sin(t), 0, np.cos(t)]])
    affine = np.eye(4)
    affine[:3, :3] = about_y @ about_z @ np.diag(SPACING)
    if flip_x:
        affine[:3, 0] *= -1
    centre = np.array([(n - 1) / 2 for n in SHAPE[::-1]])
    affine[:3, 3] = np.array([12.0, -30.0, -700.0]) - affine[:3, :3] @ centre
    return Grid(SHAPE, affine)


def box_labels(left_scale: float = 1.0, absent: tuple[str, ...] = ()) -> tuple[NDArray[np.uint8], dict[str, list[int]]]:
    """Labels on `SHAPE` in a frame where +i is left, and voxels by structure as [left, right].

    Each structure is a pair of boxes mirrored about the middle column; bones
    span the height. ``left_scale`` shortens the left boxes of the muscles.
    """
    labels = np.zeros(SHAPE, dtype=np.uint8)
    middle = SHAPE[2] // 2
    counts: dict[str, list[int]] = {}
    muscles = [s for s in STRUCTURES if s.compartment is not Compartment.BONE]
    for n, structure in enumerate(muscles):
        y = 1 + 2 * (n % 10)
        near = 2 + 12 * (n // 10)
        width = 8 if n // 10 < 2 else 6
        height = 20 + n
        for side, sign in ((0, 1), (1, -1)):
            deep = round(height * left_scale) if side == 0 else height
            columns = [middle + near + c if sign > 0 else middle - 1 - near - c for c in range(width)]
            labels[5 : 5 + deep, y : y + 2, columns] = structure.index
    for name, rows, high in (("femur", slice(10, 14), slice(0, 30)), ("iliac_bone", slice(8, 12), slice(35, 58))):
        for first in (middle + 14, middle - 20):
            labels[high, rows, first : first + 6] = by_name(name).index
    others = [s for s in STRUCTURES if s.compartment is Compartment.BONE and s.name not in ("femur", "iliac_bone")]
    for n, structure in enumerate(others):  # bones that were added to the table: between the two
        labels[31 + n, 8:12, middle + 14 : middle + 20] = labels[31 + n, 8:12, middle - 20 : middle - 14] = (
            structure.index
        )
    for name in absent:
        labels[labels == by_name(name).index] = 0
    for structure in STRUCTURES:
        hit = labels == structure.index
        counts[structure.name] = [int(hit[:, :, middle:].sum()), int(hit[:, :, :middle].sum())]
    return labels, counts


def fused_of(
    where: Grid,
    flags: tuple[QualityFlag, ...] = (),
    fat_fraction: NDArray[np.float32] | None = None,
    contrasts: tuple[Contrast, ...] = (Contrast.WATER,),
) -> Fused:
    """A fused study whose two stations share ``where``'s orientation; signals are a smooth ramp."""
    z, y, x = np.indices(where.shape, dtype=np.float32)
    body = ((x / where.shape[2] - 0.5) ** 2 + (y / where.shape[1] - 0.5) ** 2) < 0.22
    water = np.where(body, 200 + 60 * np.sin(x / 4) + z, 3).astype(np.float32)
    fat = np.full(where.shape, 40, dtype=np.float32)
    stations = []
    for n, first in enumerate((where.shape[0] // 2, 0)):
        affine = where.affine.copy()
        affine[:3, 3] = (where.affine @ np.array([0, 0, first, 1.0]))[:3]
        depth = where.shape[0] // 2
        for contrast in contrasts:
            stations.append(
                Station(
                    contrast=contrast,
                    voxels=water[first : first + depth],
                    grid=Grid((depth, *where.shape[1:]), affine),
                    acquired=datetime(2021, 3, 4, 10, 20 + n),
                    series_uid=f"1.2.826.0.1.3680043.10.99.{n + 1}.{len(contrast)}",
                    frame_of_reference_uid="1.2.826.0.1.3680043.10.99.7",
                    series_number=10 + n,
                    series_description=f"Dixon_noBH_{contrast.value}",
                    sop_instance_uids=tuple(
                        f"1.2.826.0.1.3680043.10.99.{n + 1}.{len(contrast)}.{k + 1}" for k in range(depth)
                    ),
                )
            )
    return Fused(
        water=water,
        fat=fat,
        in_phase=water + fat,
        opposed=np.abs(water - fat),
        grid=where,
        body=body,
        fat_fraction=np.full(where.shape, 0.1, dtype=np.float32) if fat_fraction is None else fat_fraction,
        stations=tuple(stations),
        overlaps=({"upper": 0, "lower": 1, "overlap_mm": 24.0, "mean_absolute_difference": 0.031, "gain_ratio": 1.02},),
        flags=flags,
    )


def study_of(fused: Fused, height_m: float | None = 1.70) -> Study:
    """The study that `fused_of` was fused from."""
    return Study(
        stations=fused.stations,
        study_uid="1.2.826.0.1.3680043.10.99.1234",
        pseudonym="1000123",
        height_m=height_m,
        patient=PATIENT,
        flags=(),
    )


def present(path: Path | None) -> Path:
    """A file that only some studies have, and this one must."""
    assert path is not None
    return path
