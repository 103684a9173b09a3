"""Phantoms that are measured with a network's labels and with the true ones, as records for its calibration.

A record holds numbers only: the phenotypes as reported and as they are, and what
the report knows about their doubt (confidence, displacement of stations). Each is
one small file, so that making them can be stopped and continued at any time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.fusion_seams import study_of
from operators.core.anatomy import MUSCLES, STRUCTURES, THIGH_MUSCLES, by_name
from operators.core.label_map import LabelMap
from operators.core.options import SegmentationOptions
from operators.core.output_files import replacing
from operators.core.phenotypes import MeasuredBody, evaluate
from operators.core.volume import Fused, Volume
from operators.dicom_loader.geometry import z_range_mm
from operators.phenotype_report import measure
from operators.phenotype_report.measurements import Measurements
from operators.phenotype_report.sides import find_mid_surface, tally
from operators.phenotype_report.thigh_profiles import thigh_profiles
from operators.segmentation import SegmentationModel, segment
from operators.station_fusion import fuse
from phantom.acquisition import acquire_study
from phantom.anatomy import Tissues, body_grid, build_labels, build_tissues, fit_body
from phantom.participant import draw_participant
from phantom.station_geometry import FUSED_STATION_COUNT, StationGeometry, archive_stations, coarser
from phantom.training_set import drawn_options
from phantom.truth import count_volumes

__all__ = ["make_record", "read_record", "record_path"]

_INTERIOR_MM = 2.0
"""A muscle's own tissue is at least this far inside its true label (docs/fat.md)."""

_LABELS = len(STRUCTURES) + 1
_OPTIONS = SegmentationOptions(confidence=True)


def record_path(folder: Path, seed: int) -> Path:
    """Where the record of a seed lies."""
    return folder / f"{seed:06d}.json"


def read_record(folder: Path, seed: int, sha256: str) -> dict[str, Any] | None:
    """The record of a seed; None if there is none for these weights."""
    path = record_path(folder, seed)
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record if record["sha256"] == sha256 else None


def make_record(folder: Path, seed: int, model: SegmentationModel, *, small: bool) -> None:
    """Scan, fuse, label and measure one phantom, and write its record.

    Parameters
    ----------
    folder : Path
    seed : int
        Of the participant and of the scan, whose noise, coil bias, gains and
        motion are half to one and a half times the usual ones.
    model : SegmentationModel
    small : bool
        Stations of half the pixels in plane, and coarser tissues.
    """
    person = draw_participant(seed)
    body = fit_body(person)
    tissues = build_tissues(person, body_grid(person, (3.0, 3.0, 3.0)) if small else body_grid(person), body)
    stations: tuple[StationGeometry, ...] = tuple(archive_stations(FUSED_STATION_COUNT))
    if small:
        stations = tuple(coarser(stations, 2, 1))
    fused = fuse(study_of(acquire_study(tissues, stations, drawn_options(seed), seed)))
    true_labels = LabelMap(build_labels(body, fused.grid), fused.grid)
    labels = segment(fused, model, _OPTIONS)
    height_m = person.height_cm / 100
    found = measure(labels, fused, height_m, sex=person.sex)
    truth = _true_sizes(true_labels, height_m) | _true_fat(tissues, fused)
    record = {
        "seed": seed,
        "sha256": model.card.sha256,
        "sex": person.sex,
        "small": small,
        "spacing_mm": list(fused.grid.spacing_mm),
        "flags": sorted({flag.code for flag in (*fused.flags, *found.flags)}),
        "truth": truth,
        "found": dict(found.phenotypes),
        "structures": _structures(found, labels, true_labels),
        "seams": _seams(fused, labels),
        "scan": asdict(drawn_options(seed)),
    }
    with replacing(record_path(folder, seed)) as temporary:
        temporary.write_text(json.dumps(record), encoding="utf-8")


def _true_sizes(labels: LabelMap, height_m: float) -> dict[str, float]:
    """Phenotypes of the true labels, with the phantom's own middle between left and right, and the mid-thigh areas."""
    own = count_volumes(np.asarray(labels.voxels, np.uint8), labels.grid).phenotypes(height_m)
    areas = {
        side: profile.mid_thigh_cm2 for side, profile in thigh_profiles(labels, find_mid_surface(labels), None).items()
    }
    found, _ = evaluate(MeasuredBody({}, mid_thigh_cm2=areas))
    return own | {key: value for key, value in found.items() if value is not None and key.startswith("mid_thigh")}


def _true_fat(tissues: Tissues, fused: Fused) -> dict[str, float]:
    """Mean fat fraction of muscle tissue that is `_INTERIOR_MM` inside its label, without noise or planes of fat."""
    z = tissues.grid.origin_mm[2] + tissues.grid.spacing_mm[2] * np.arange(tissues.grid.shape[0])
    low, high = z_range_mm(fused.grid)
    first, end = np.searchsorted(z, [low, high])
    labels, water, fat = tissues.labels[first:end], tissues.water[first:end], tissues.fat[first:end]
    left = tissues.grid.origin_mm[0] + tissues.grid.spacing_mm[0] * np.arange(tissues.grid.shape[2]) > 0
    sums = {name: _interior_sums(labels, water, fat, left, by_name(name).index, tissues) for name in MUSCLES}

    def pooled(names: tuple[str, ...], sides: list[int]) -> float:
        total, count = np.sum([sums[name][:, sides] for name in names], axis=0).sum(axis=1)
        return float(total / count)

    return {
        "muscle_dixon_fat_core": pooled(MUSCLES, [0, 1]),
        "thigh_dixon_fat_core": pooled(THIGH_MUSCLES, [0, 1]),
        "thigh_dixon_fat_core_left": pooled(THIGH_MUSCLES, [0]),
        "thigh_dixon_fat_core_right": pooled(THIGH_MUSCLES, [1]),
    }


def _interior_sums(
    labels: NDArray[np.uint8],
    water: NDArray[np.float32],
    fat: NDArray[np.float32],
    left: NDArray[np.bool_],
    index: int,
    tissues: Tissues,
) -> NDArray[np.float64]:
    """Sum of fractions and voxels of a muscle's interior: shape (2, sides)."""
    out = np.zeros((2, 2))
    boxes = ndimage.find_objects((labels == index).astype(np.uint8))
    if not boxes:
        return out
    box = boxes[0]
    mask = np.pad(labels[box] == index, 1)
    depth = ndimage.distance_transform_edt(mask, sampling=tissues.grid.spacing_mm[::-1])[1:-1, 1:-1, 1:-1]
    inside = depth > _INTERIOR_MM
    for side, chosen in enumerate((left[box[2]], ~left[box[2]])):
        there = inside & chosen
        f, w = fat[box][there].astype(np.float64), water[box][there].astype(np.float64)
        out[:, side] = (f / (w + f)).sum(), f.size
    return out


def _structures(found: Measurements, labels: LabelMap, truth: LabelMap) -> dict[str, Mapping[str, Any]]:
    """Volumes as found and as they are, left and right, and the volume that the network doubts."""
    cm3 = labels.grid.voxel_volume_mm3 / 1000.0
    assert labels.confidence is not None
    doubt = 1.0 - np.asarray(labels.confidence.voxels, dtype=np.float32)
    counts = tally(labels, doubt, found.mid_surface)
    true = count_volumes(np.asarray(truth.voxels, np.uint8), truth.grid).structures
    by_index = {m.structure.index: m for m in found.structures}
    return {
        s.name: {
            "truth": [true[s.name].left_cm3, true[s.name].right_cm3],
            "found": [float(n * cm3) for n in counts.voxels[s.index]],
            "doubt": [float(n * cm3) for n in counts.fat_fraction_sum[s.index]],
            "cut": by_index[s.index].cut_by_field_of_view,
        }
        for s in STRUCTURES
    }


def _seams(fused: Fused, labels: Volume) -> list[Mapping[str, Any]]:
    """Agreement of neighbours, and each structure's area (cm2, by label) in the middle of their overlap."""
    voxels = np.asarray(labels.voxels, np.uint8)
    x_mm, y_mm, z_mm = fused.grid.spacing_mm
    found: list[Mapping[str, Any]] = []
    for overlap in fused.overlaps:
        k = round((overlap["middle_z_mm"] - float(fused.grid.origin_mm[2])) / z_mm)
        counts = np.bincount(voxels[k].ravel(), minlength=_LABELS)[:_LABELS]
        found.append({**overlap, "cm2": [float(n) for n in counts * x_mm * y_mm / 100]})
    return found
