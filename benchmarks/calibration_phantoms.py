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

from benchmarks.made_studies import study_of
from benchmarks.phantom_truth import interior, scanned_tissues
from operators.core.anatomy import MUSCLES, STRUCTURES, THIGH_MUSCLES, by_name
from operators.core.label_map import LabelMap
from operators.core.options import SegmentationOptions
from operators.core.output_files import replacing
from operators.core.phenotypes import MeasuredBody, evaluate
from operators.core.volume import Fused, Volume
from operators.dicom_loader.geometry import z_range_mm
from operators.phenotype_report import measure
from operators.phenotype_report.measurements import Measurements
from operators.phenotype_report.mid_surface import find_mid_surface
from operators.phenotype_report.sides import tally
from operators.phenotype_report.thigh_profiles import thigh_profiles
from operators.segmentation import SegmentationModel, segment
from operators.station_fusion import fuse
from phantom.acquisition import acquire_study
from phantom.anatomy import Tissues, build_labels, fit_body
from phantom.participant import draw_participant
from phantom.station_geometry import FUSED_STATION_COUNT, archive_stations, coarser
from phantom.training_set import drawn_options
from phantom.truth import Volumes, count_volumes

__all__ = ["make_record", "read_record", "record_path"]

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
    stations = archive_stations(FUSED_STATION_COUNT)
    if small:
        stations = tuple(coarser(stations, 2, 1))
    tissues = scanned_tissues(person, body, stations, (3.0, 3.0, 3.0) if small else (2.0, 2.0, 2.0))
    fused = fuse(study_of(acquire_study(tissues, stations, drawn_options(seed), seed)))
    true_labels = LabelMap(build_labels(body, fused.grid), fused.grid)
    labels = segment(fused, model, _OPTIONS)
    height_m = person.height_cm / 100
    found = measure(labels, fused, height_m, sex=person.sex)
    volumes = count_volumes(np.asarray(true_labels.voxels, np.uint8), true_labels.grid)
    truth = volumes.phenotypes(height_m) | _true_areas(true_labels) | _true_fat(tissues, fused)
    record = {
        "seed": seed,
        "sha256": model.card.sha256,
        "sex": person.sex,
        "small": small,
        "spacing_mm": list(fused.grid.spacing_mm),
        "flags": sorted({flag.code for flag in (*fused.flags, *found.flags)}),
        "truth": truth,
        "found": dict(found.phenotypes),
        "structures": _structures(found, labels, volumes),
        "seams": _seams(fused, labels),
        "scan": asdict(drawn_options(seed)),
    }
    with replacing(record_path(folder, seed)) as temporary:
        temporary.write_text(json.dumps(record), encoding="utf-8")


def _true_areas(labels: LabelMap) -> dict[str, float]:
    """Mid-thigh areas of the true labels."""
    areas = {
        side: profile.mid_thigh_cm2 for side, profile in thigh_profiles(labels, find_mid_surface(labels), None).items()
    }
    found, _ = evaluate(MeasuredBody({}, mid_thigh_cm2=areas))
    return {key: value for key, value in found.items() if value is not None and key.startswith("mid_thigh")}


def _true_fat(tissues: Tissues, fused: Fused) -> dict[str, float]:
    """Mean fat fraction of muscle tissue that is its label's interior, without noise or planes of fat."""
    z = tissues.grid.origin_mm[2] + tissues.grid.spacing_mm[2] * np.arange(tissues.grid.shape[0])
    low, high = z_range_mm(fused.grid)
    shown = slice(*np.searchsorted(z, [low, high]))
    labels, own = tissues.labels[shown], interior(tissues.labels[shown], tissues.grid)
    left = tissues.grid.origin_mm[0] + tissues.grid.spacing_mm[0] * np.arange(tissues.grid.shape[2]) > 0
    own &= labels > 0
    key = labels[own].astype(np.intp) + _LABELS * np.broadcast_to(left, own.shape)[own]
    water, fat = (signal[shown][own].astype(np.float64) for signal in (tissues.water, tissues.fat))
    sums, voxels = (
        np.bincount(key, weights, 2 * _LABELS).reshape(2, _LABELS) for weights in (fat / (water + fat), None)
    )

    def pooled(names: tuple[str, ...], sides: tuple[bool, ...] = (False, True)) -> float:
        chosen = np.ix_(np.array(sides, dtype=int), np.array([by_name(name).index for name in names]))
        return float(sums[chosen].sum() / voxels[chosen].sum())

    return {
        "muscle_dixon_fat_core": pooled(MUSCLES),
        "thigh_dixon_fat_core": pooled(THIGH_MUSCLES),
        "thigh_dixon_fat_core_left": pooled(THIGH_MUSCLES, (True,)),
        "thigh_dixon_fat_core_right": pooled(THIGH_MUSCLES, (False,)),
    }


def _structures(found: Measurements, labels: LabelMap, true: Volumes) -> dict[str, Mapping[str, Any]]:
    """Volumes as found and as they are, left and right, and the volume that the network doubts."""
    cm3 = labels.grid.voxel_volume_mm3 / 1000.0
    assert labels.confidence is not None
    doubt = 1.0 - np.asarray(labels.confidence.voxels, dtype=np.float32)
    counts = tally(labels, doubt, found.mid_surface)
    by_index = {m.structure.index: m for m in found.structures}
    return {
        s.name: {
            "truth": [true.structures[s.name].left_cm3, true.structures[s.name].right_cm3],
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
