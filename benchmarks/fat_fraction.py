"""Error and ranking of the fat measures against phantoms: python -m benchmarks.fat_fraction [--n N] [--out FILE.json].

Phantoms are scanned in memory at three noise levels and two spacings, with coil
bias, gains and motion. The truth is the mean fat fraction of a muscle's own tissue
without noise: of the voxels at least 2 mm inside its true label. Volumes of adipose
tissue are compared with those of the phantom's tissues. ``--network N`` measures
the first N phantoms with the shipped network's labels too. ``--real FOLDER``
compares our fat fraction voxel by voxel with that of the scanner
(`thigh-dixon`, GE).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.phantom_truth import interior, scanned_tissues
from benchmarks.records import kept
from operators.core.anatomy import MUSCLES, by_name
from operators.core.label_map import LabelMap
from operators.core.model_card import SHIPPED_BUNDLE
from operators.core.output_files import replacing
from operators.core.phenotypes import MuscleFat
from operators.core.volume import Contrast, Fused, Grid
from operators.phenotype_report.adipose import measure_adipose, thigh_slices
from operators.phenotype_report.mid_surface import find_mid_surface
from operators.phenotype_report.muscle_fat import measure_fat
from operators.phenotype_report.signal_noise import Noise, noise_of
from operators.station_fusion.body import body_mask, fat_fraction
from phantom.acquisition import acquire_study
from phantom.anatomy import Tissues, build_labels, fit_body
from phantom.body import Body, outline_table
from phantom.dixon_signal import AcquisitionOptions
from phantom.fused import fused_images
from phantom.participant import draw_participant
from phantom.station_geometry import StationGeometry, archive_stations

if TYPE_CHECKING:
    from operators.segmentation import SegmentationModel

NOISE = {"none": 0.0, "usual": 7.5, "twice": 15.0}
"""SD of the noise in the in-phase image, where muscle is about 240: the usual is a signal-to-noise ratio of 32."""

MEASURES = ("core", "core, not corrected", "whole", "whole, not corrected", "infiltration", "median of the core")


def coarse(station: StationGeometry) -> StationGeometry:
    """The same station with voxels of 3.1 x 3.1 x 6 mm."""
    scale = station.in_plane_mm / 3.1
    return replace(
        station,
        columns=round(station.columns * scale),
        rows=round(station.rows * scale),
        slices=round(station.slices * station.slice_mm / 6.0),
        in_plane_mm=3.1,
        slice_mm=6.0,
    )


def true_fractions(tissues: Tissues) -> dict[str, float]:
    """Mean fat fraction of each muscle's tissue that is the interior of its label."""
    own = interior(tissues.labels, tissues.grid) & (tissues.labels > 0)
    water, fat = (signal[own].astype(np.float64) for signal in (tissues.water, tissues.fat))
    index = tissues.labels[own]
    sums, voxels = np.bincount(index, fat / (water + fat)), np.bincount(index)
    return {name: float(sums[by_name(name).index] / voxels[by_name(name).index]) for name in MUSCLES}


def true_adipose(tissues: Tissues, body: Body) -> tuple[float, float]:
    """Subcutaneous and intermuscular adipose tissue of the thigh, cm3."""
    where = thigh_slices(tissues.labels, tissues.grid)
    assert where is not None
    low, high = where
    labels, total = tissues.labels[low:high], (tissues.water + tissues.fat)[low:high]
    fat = np.divide(tissues.fat[low:high], total, out=np.zeros_like(total), where=total > 0) >= 0.5
    fat &= ~np.isin(labels, [by_name("femur").index, by_name("iliac_bone").index])
    inside = _inside_fascia(tissues, body, low, high)
    cm3 = tissues.grid.voxel_volume_mm3 / 1000.0
    return float((fat & ~inside).sum() * cm3), float((fat & inside).sum() * cm3)


def _inside_fascia(tissues: Tissues, body: Body, low: int, high: int) -> NDArray[np.bool_]:
    """The phantom's own fascia: an ellipse of each leg, and that of the trunk above."""
    x0, y0, z0 = tissues.grid.origin_mm
    dx, dy, dz = tissues.grid.spacing_mm
    heights = z0 + dz * np.arange(low, high)
    outlines = outline_table(body, heights)
    y = y0 + dy * np.arange(tissues.grid.shape[1])[:, None]
    x = x0 + dx * np.arange(tissues.grid.shape[2])[None, :]
    inside = np.zeros((high - low, y.size, x.size), dtype=np.bool_)
    for k in range(high - low):
        for side, there in ((0, x <= 0), (1, x > 0)):
            for row in (outlines.leg[side, k], outlines.trunk[k]):
                if np.isfinite(row[0]):
                    across, along = np.abs(x) - row[0], y - row[1]
                    half = np.where(along < 0, row[3], row[4])
                    inside[k] |= there & ((across / row[2]) ** 2 + (along / half) ** 2 <= 1)
    return inside


def scanned(tissues: Tissues, stations: Sequence[StationGeometry], noise: float, seed: int) -> Fused:
    """Scan and fuse; only what the measures need."""
    images = acquire_study(tissues, stations, AcquisitionOptions(noise_sd=noise), seed)
    (water, fat), grid = fused_images(images, (Contrast.WATER, Contrast.FAT))
    body = body_mask(water, fat, grid)
    return Fused(water, fat, water + fat, np.abs(water - fat), grid, body, fat_fraction(water, fat, body), ())


def fractions(labels: LabelMap, fused: Fused) -> dict[str, dict[str, float | None]]:
    """Each measure of each muscle, both sides together."""
    surface = find_mid_surface(labels)
    found = {}
    with_noise = measure_fat(labels, fused, surface, noise_of(fused))
    plain = measure_fat(labels, fused, surface, Noise())
    for name in MUSCLES:
        if name not in with_noise:
            continue
        fat, raw = MuscleFat.sum(with_noise[name]), MuscleFat.sum(plain[name])
        quantiles = np.cumsum(fat.core)
        median = -0.2 + 0.002 * (float(np.searchsorted(quantiles, quantiles[-1] / 2)) + 0.5)
        values = (
            fat.core_fraction,
            raw.core_fraction,
            fat.whole_fraction,
            raw.whole_fraction,
            fat.infiltration,
            median,
        )
        found[name] = dict(zip(MEASURES, values, strict=True))
    return found


def phantom_records(seed: int, model: SegmentationModel | None) -> dict[str, Any]:
    """One record for each condition, with the labels of the model in the usual one."""
    began = time.process_time()
    person = draw_participant(seed)
    body = fit_body(person)
    archive = archive_stations(4)
    tissues = scanned_tissues(person, body, archive)
    truth, adipose = true_fractions(tissues), true_adipose(tissues, body)
    records: list[dict[str, Any]] = []
    for spacing, stations in (("2.2", archive), ("3.1", tuple(map(coarse, archive)))):
        labels: LabelMap | None = None
        for level, noise in NOISE.items():
            fused = scanned(tissues, stations, noise, seed)
            labels = labels or LabelMap(build_labels(body, fused.grid), fused.grid)
            record = {"seed": seed, "spacing": spacing, "noise": level, "labels": "true", "truth": truth}
            record["found"] = fractions(labels, fused)
            if level == "usual":
                measured = measure_adipose(labels, fused, find_mid_surface(labels))
                assert measured is not None
                record["adipose"] = [*adipose, sum(measured.subcutaneous_cm3), sum(measured.intermuscular_cm3)]
            records.append(record)
            if model is not None and (spacing, level) == ("2.2", "usual"):
                records.append(
                    {**record, "labels": "network", "found": fractions(_network_labels(fused, model), fused)}
                )
    return {"records": records, "cpu_s": round(time.process_time() - began, 1)}


def _network_labels(fused: Fused, model: SegmentationModel) -> LabelMap:
    from operators.segmentation import segment

    return segment(fused, model)


def table(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Bias and RMSE in percentage points over all muscles and phantoms; mean rank correlation over muscles."""
    rows = []
    keys = dict.fromkeys((r["labels"], r["spacing"], r["noise"]) for r in records)
    for key in keys:
        chosen = [r for r in records if (r["labels"], r["spacing"], r["noise"]) == key]
        for measure in MEASURES:
            pairs = [
                np.array([(r["found"][name][measure], r["truth"][name]) for name in MUSCLES if name in r["found"]])
                for r in chosen
            ]
            error = np.concatenate([pair[:, 0] - pair[:, 1] for pair in pairs]) * 100
            across = np.array([pair.mean(axis=0) for pair in pairs])
            rows.append(
                dict(zip(("labels", "spacing_mm", "noise"), key, strict=True))
                | {
                    "phantoms": len(chosen),
                    "measure": measure,
                    "bias": round(float(error.mean()), 2),
                    "rmse": round(float(np.sqrt((error**2).mean())), 2),
                    "rank_muscles": round(float(np.mean([stats.spearmanr(*pair.T)[0] for pair in pairs])), 3),
                    "rank_people": round(float(stats.spearmanr(*across.T)[0]), 3) if len(across) > 2 else None,
                }
            )
    return rows


def adipose_table(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean ratio to the truth, its SD and the rank correlation, for each spacing."""
    rows = []
    for spacing in ("2.2", "3.1"):
        found = np.array(
            [r["adipose"] for r in records if r["spacing"] == spacing and r["labels"] == "true" and "adipose" in r]
        )
        for n, kind in enumerate(("subcutaneous", "intermuscular")):
            ratio = found[:, 2 + n] / found[:, n]
            rank = float(stats.spearmanr(found[:, 2 + n], found[:, n])[0])
            rows.append(
                {"tissue": kind, "spacing_mm": spacing, "phantoms": len(found), "ratio": round(float(ratio.mean()), 3)}
                | {"ratio_sd": round(float(ratio.std()), 3), "rank": round(rank, 3)}
            )
    return rows


def real(folder: Path) -> list[dict[str, Any]]:
    """Our fat fraction in the lean tissue of the GE thighs, against the scanner's own map, in percentage points.

    From the scanner's water and fat images, and from its echoes as a two-point
    scan shows them: half the sum and half the difference of the in-phase and the
    opposed-phase magnitude, so that fat is at most 50%.
    """
    import SimpleITK as sitk

    reference = sitk.ReadImage(str(folder / "ge_water.nii.gz"))

    def read(name: str) -> NDArray[np.float32]:
        image = sitk.Resample(sitk.ReadImage(str(folder / name), sitk.sitkFloat32), reference)
        return np.asarray(sitk.GetArrayFromImage(image), dtype=np.float32)

    own = read("ge_fatfraction.nii.gz") / 100.0
    water, fat = (np.maximum(read(f"ge_{name}.nii.gz"), 0.0) for name in ("water", "fat"))
    early, in_phase, late = (
        read(f"ge_{name}-ORIG_DIXON_TE_{time}_TH-0000.nii.gz")
        for name, time in (("40006", "345"), ("40007", "460"), ("40008", "575"))
    )
    opposed = (early + late) / 2  # both echoes around the in-phase one, so that decay cancels
    two_point = (in_phase + opposed) / 2, np.maximum(in_phase - opposed, 0.0) / 2
    grid = Grid(water.shape, np.diag([*reference.GetSpacing(), 1.0]))  # type: ignore[arg-type]
    body = body_mask(water, fat, grid)
    lean = body & (own > 0) & (own < 0.5) & (water + fat > 0.2 * np.median((water + fat)[body]))
    rows = []
    for name, images in (("water and fat images", (water, fat)), ("two echoes", two_point)):
        ours = fat_fraction(np.asarray(images[0], np.float32), np.asarray(images[1], np.float32), body)[lean]
        difference = 100 * (ours - own[lean])
        rows.append(
            {"from": name, "voxels": int(lean.sum()), "own_mean": round(100 * float(own[lean].mean()), 2)}
            | {"bias": round(float(difference.mean()), 2), "rmse": round(float(np.sqrt((difference**2).mean())), 2)}
            | {"rank": round(float(stats.spearmanr(ours, own[lean])[0]), 3)}
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--network", type=int, default=0, metavar="N")
    parser.add_argument("--real", type=Path, metavar="FOLDER")
    parser.add_argument("--records", type=Path, metavar="FOLDER", help="keep each phantom's result, to continue from")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    records: list[dict[str, Any]] = []
    cpu_s, model = 0.0, None
    if args.network:
        from operators.segmentation import load_model

        model = load_model(SHIPPED_BUNDLE)
    for n, seed in enumerate(range(args.seed, args.seed + args.n)):
        own = model if n < args.network else None
        made = kept(args.records, seed, own.card.sha256 if own else "true labels", partial(phantom_records, seed, own))
        records += made["records"]
        cpu_s += made["cpu_s"]
        print(f"seed {seed}", file=sys.stderr, flush=True)
    found: dict[str, Any] = {}
    if records:
        found = {"fractions": table(records), "adipose": adipose_table(records)}
    if args.real:
        found["real"] = real(args.real)
    found["cpu_s"] = round(cpu_s)
    text = json.dumps(found, indent=1)
    print(text)
    if args.out:
        with replacing(args.out) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
