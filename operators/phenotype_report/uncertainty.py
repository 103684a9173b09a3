"""Intervals of a study's numbers, from the calibration of the weights that made the labels.

Where the calibration does not hold there are no intervals, and a reason is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from operators.core.anatomy import STRUCTURES
from operators.core.calibration import Calibration, Interval
from operators.core.model_card import ModelCard
from operators.core.options import RunOptions, recorded
from operators.core.phenotypes import PHENOTYPES
from operators.core.volume import Fused, QualityFlag, Volume
from operators.phenotype_report.measurements import Measurements, StructureMeasure, Uncertainty
from operators.phenotype_report.touched import doubting, touched

__all__ = ["Doubts", "doubts_of", "interval_of", "with_intervals"]

_OTHER_SPACING = 0.15
"""By how much voxels may differ from those of the calibration, as a fraction."""

_NOT_CALIBRATED = "The errors of this number are not calibrated."


@dataclass(frozen=True)
class Doubts:
    """What is known about the doubt of a study's labels, by structure.

    Attributes
    ----------
    volume_cm3 : mapping of str to float
    doubted_cm3 : mapping of str to float
        Expected volume that is not of the structure, from the network's
        confidence; empty if that is not known.
    displaced_cm3 : mapping of str to tuple of float
        Volume that the displacement of stations along z repeats or loses, at each seam.
    """

    volume_cm3: Mapping[str, float]
    doubted_cm3: Mapping[str, float] = field(default_factory=dict)
    displaced_cm3: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def doubt(self, names: Sequence[str]) -> float | None:
        """Share of the structures' volume that the network doubts."""
        if not self.doubted_cm3:
            return None
        return self._share(names, sum(self.doubted_cm3.get(name, 0.0) for name in names))

    def displacement(self, names: Sequence[str]) -> float | None:
        """Share of the structures' volume that displacements repeat or lose. Seams are independent of one another."""
        if not self.displaced_cm3:
            return None
        seams = np.sum([self.displaced_cm3[name] for name in names if name in self.displaced_cm3] or [(0.0,)], axis=0)
        return self._share(names, float(np.sqrt(np.sum(seams**2))))

    def _share(self, names: Sequence[str], cm3: float) -> float | None:
        whole = sum(self.volume_cm3.get(name, 0.0) for name in names)
        return cm3 / whole if whole > 0 else None


def with_intervals(
    measurements: Measurements,
    labels: Volume,
    fused: Fused,
    flags: Sequence[QualityFlag],
    model: ModelCard,
    options: RunOptions | Mapping[str, Any] | None,
    *,
    synthetic: bool,
) -> Measurements:
    """The measurements, with intervals or the reason why there are none.

    Parameters
    ----------
    measurements : Measurements
    labels : Volume
        The labels that were measured.
    fused : Fused
    flags : sequence of QualityFlag
        All flags of the study.
    model : ModelCard
    options : RunOptions or mapping, optional
        Of the run, or their record.
    synthetic : bool
        Whether the images are those of a phantom.
    """
    calibration = model.calibration
    reason = _no_calibration(model, fused, options, synthetic)
    if measurements.withheld or calibration is None or reason:
        return replace(measurements, uncertainty=Uncertainty(reason=measurements.withheld or reason))
    doubts = doubts_of(measurements.structures, labels, fused.overlaps)
    questioned = {key: flag.code for flag in reversed(flags) for key in touched(flag, measurements)}
    intervals, reasons = {}, {}
    for key, value in measurements.phenotypes.items():
        if value is None:
            continue
        interval = None if key in questioned else interval_of(key, measurements.phenotypes, doubts, calibration)
        if interval is not None:
            intervals[key] = interval
        elif key in questioned:
            reasons[key] = f"A warning casts doubt on this number: {questioned[key]}."
        else:
            reasons[key] = _NOT_CALIBRATED
    ranges = measurements.z_ranges_mm
    structures = tuple(
        _with_errors(m, doubts, calibration, bool(doubting(m.structure.name, flags, ranges, ("volume",))))
        for m in measurements.structures
    )
    return replace(
        measurements,
        structures=structures,
        uncertainty=Uncertainty(intervals, reasons, None, calibration.level),
    )


def interval_of(
    key: str, values: Mapping[str, float | None], doubts: Doubts, calibration: Calibration
) -> Interval | None:
    """Interval of one phenotype; None if it is not calibrated, or the value is missing."""
    curve, value = calibration.phenotypes.get(key), values.get(key)
    if curve is None or value is None:
        return None
    needs = PHENOTYPES[key].needs
    if curve.form == "signed":
        left, right = values.get("thigh_left_cm3"), values.get("thigh_right_cm3")
        if left is None or right is None:
            return None
        value = (left - right) / max(left, right)
    return curve.interval(value, doubts.doubt(needs), doubts.displacement(needs))


def doubts_of(
    structures: Sequence[StructureMeasure], labels: Volume, overlaps: Sequence[Mapping[str, float]]
) -> Doubts:
    """What confidence and the agreement of stations say about the doubt of each structure's volume."""
    volumes = {m.structure.name: m.volume_cm3 for m in structures if m.volume_cm3 is not None}
    doubted = {
        m.structure.name: (1.0 - m.confidence_mean) * m.volume_cm3
        for m in structures
        if m.volume_cm3 is not None and m.confidence_mean is not None
    }
    return Doubts(volumes, doubted, _displaced(labels, overlaps))


def _displaced(labels: Volume, overlaps: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, ...]]:
    voxels, affine = np.asarray(labels.voxels, dtype=np.uint8), labels.grid.affine
    area_cm2 = labels.grid.voxel_volume_mm3 / labels.grid.spacing_mm[2] / 100.0
    seams = []
    for overlap in overlaps:
        shift, middle = overlap.get("shift_z_mm"), overlap.get("middle_z_mm")
        if shift is None or middle is None or not np.isfinite([shift, middle]).all() or not affine[2, 2]:
            continue
        k = min(max(round(float((middle - affine[2, 3]) / affine[2, 2])), 0), len(voxels) - 1)
        counts = np.bincount(voxels[k].ravel(), minlength=len(STRUCTURES) + 1)
        seams.append(counts * (area_cm2 * abs(shift) / 10.0))
    if not seams:
        return {}
    return {s.name: tuple(float(seam[s.index]) for seam in seams) for s in STRUCTURES}


def _with_errors(
    measure: StructureMeasure, doubts: Doubts, calibration: Calibration, questioned: bool
) -> StructureMeasure:
    name = measure.structure.name
    if measure.volume_cm3 is None or questioned:
        return measure
    shares = doubts.doubt([name]), doubts.displacement([name])

    def error(curves: Mapping[str, Any], value: float | None) -> float | None:
        interval = None if value is None or name not in curves else curves[name].interval(value, *shares)
        return None if interval is None else interval.standard_error

    return replace(
        measure,
        volume_se_cm3=error(calibration.structures, measure.volume_cm3),
        left_se_cm3=error(calibration.sides, measure.left_cm3),
        right_se_cm3=error(calibration.sides, measure.right_cm3),
    )


def _no_calibration(
    model: ModelCard, fused: Fused, options: RunOptions | Mapping[str, Any] | None, synthetic: bool
) -> str | None:
    if model.made_elsewhere:
        return "The labels were made elsewhere, so their errors are not known."
    if model.edited:
        return "The labels were edited by hand, so their errors are not known."
    calibration = model.calibration
    if calibration is None:
        return "The errors of these weights are not calibrated."
    if calibration.synthetic and not synthetic:
        return "The errors of these weights are calibrated on phantoms only, which says nothing about images of people."
    for (low, high), spacing in zip(calibration.spacing_mm, fused.grid.spacing_mm, strict=True):
        if not low * (1 - _OTHER_SPACING) <= spacing <= high * (1 + _OTHER_SPACING):
            known = " x ".join(f"{pair[0]:.1f}" for pair in calibration.spacing_mm)
            return f"The errors of these weights are calibrated for other voxels ({known} mm)."
    run = options if isinstance(options, Mapping) else recorded(options or RunOptions())
    given = run.get("segmentation", {})
    if differ := [name for name, value in calibration.options.items() if given.get(name, value) != value]:
        return f"The errors of these weights are not calibrated with this choice of {', '.join(sorted(differ))}."
    return None
