"""Hold the phantom against people: outline of the body; volumes, places and shapes of muscles; volumes by sex.

    python -m benchmarks.phantom_against_people REAL --n 24 --out benchmarks/results/phantom_against_people.json

REAL is a folder with `ukb-bodies/` (body masks of 50 people in the archive's fused grid, with marks of hips and knees)
and `pelvis-labels/` (manual label maps of four people). docs/people.md names their sources.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.muscle_places import muscle_places
from operators.core import anatomy
from operators.core.output_files import replacing
from phantom.anatomy import body_grid, build_tissues, fit_body
from phantom.participant import draw_participant
from phantom.reference import HIP_HEIGHT_MM

__all__ = ["hip_shares", "outline_figures", "spread"]

_LEVELS = {"quarter of the thigh": 0.25, "mid-thigh": 0.5, "three quarters": 0.75, "hip": 1.0}
"""Heights as shares of the distance from knee to hip joint."""

_ABOVE_HIP_MM = (100.0, 200.0)
_WHOLE = (
    *("gluteus_maximus", "gluteus_medius", "gluteus_minimus", "piriformis", "obturator_internus"),
    *("obturator_externus", "pectineus", "tensor_fasciae_latae"),
)
"""Muscles that are whole in all four label maps."""

_THIGH_L = {"M": ((13.26, 1.85), (11.16, 1.40)), "F": ((8.80, 1.29), (7.60, 0.97))}
"""Fat-free muscle of both thighs at 45 and at 84 years, mean and SD, in 50,332 people of the archive (Anderson et al.
2024, doi 10.1007/s11357-024-01304-y)."""

_TRUNK = ("multifidus", "abdominal_oblique", "rectus_abdominis")


def outline_figures(
    body: NDArray[np.bool_], spacing_mm: Sequence[float], knee_mm: float, hip_mm: float, hips_apart_mm: float
) -> dict[str, float]:
    """Sizes of one body's outline.

    Parameters
    ----------
    body : ndarray, shape (z, y, x), bool
        z upwards.
    spacing_mm : sequence of float, (x, y, z)
    knee_mm, hip_mm : float
        Heights of the joints above the lowest slice.
    hips_apart_mm : float
        Distance of the hip joints.

    Returns
    -------
    dict
        Widths and depths in mm; heights of thigh and parting in mm and as a share.
    """
    x_mm, y_mm, z_mm = spacing_mm
    thigh = hip_mm - knee_mm
    found = {"thigh length": thigh, "hips apart": hips_apart_mm}
    heights = {name: knee_mm + share * thigh for name, share in _LEVELS.items()}
    heights |= {f"{mm:g} mm above the hip": hip_mm + mm for mm in _ABOVE_HIP_MM}
    for name, height in heights.items():
        k = round(height / z_mm)
        if not 0 <= k < len(body):
            continue
        parts, count = ndimage.label(body[k])
        sizes = np.bincount(parts.ravel())[1:]
        # Arms and hands beside the body are parts of their own and smaller than a leg.
        large = [n for n in range(count) if sizes[n] > 0.4 * sizes.max()]
        boxes = ndimage.find_objects(parts)
        depth, width = (float(np.mean([(s := boxes[n][a]).stop - s.start for n in large])) for a in (0, 1))
        kind = "leg" if len(large) == 2 else "body"
        found[f"{name}: width of {kind}"] = width * x_mm
        found[f"{name}: depth of {kind}"] = depth * y_mm
        found[f"{name}: area of {kind}, cm2"] = float(np.mean([sizes[n] for n in large])) * x_mm * y_mm / 100.0
    apart = []
    for k in range(max(0, round(knee_mm / z_mm)), min(len(body), round(hip_mm / z_mm) + 1)):
        parts, _ = ndimage.label(body[k])
        sizes = np.sort(np.bincount(parts.ravel())[1:])[::-1]
        apart.append(len(sizes) > 1 and sizes[1] > 0.4 * sizes[0])
    if any(apart):
        found["legs part at, share of the thigh"] = (np.flatnonzero(apart)[-1] * z_mm) / thigh
        found["legs apart, share of the thigh"] = float(np.mean(apart))
    return found


def people_outlines(folder: Path) -> list[dict[str, float]]:
    """Figures of every body mask whose marks hold both hips and both knees."""
    rows = []
    for path in sorted(folder.glob("*.body.nii.gz")):
        image = nibabel.load(path)
        marks = np.asarray(nibabel.load(str(path).replace(".body.", ".joints.")).dataobj)  # type: ignore[attr-defined]
        places = {
            value: np.argwhere(marks == value).mean(axis=0) for value in (11, 12, 21, 22) if (marks == value).any()
        }
        if len(places) < 4:
            continue
        spacing = image.header.get_zooms()[:3]  # type: ignore[attr-defined]
        body = np.asarray(image.dataobj).astype(bool).transpose(2, 1, 0)  # type: ignore[attr-defined]
        hip, knee = ((places[a][2] + places[b][2]) / 2 * spacing[2] for a, b in ((11, 12), (21, 22)))
        apart = float(np.linalg.norm((places[11] - places[12]) * spacing))
        rows.append(outline_figures(body, spacing, knee, hip, apart))
    return rows


@dataclass(frozen=True)
class Measured:
    """The same figures of several people or phantoms, a row each."""

    outlines: list[dict[str, float]] = field(default_factory=list)
    shares: list[dict[str, float]] = field(default_factory=list)
    places: list[dict[str, float]] = field(default_factory=list)
    thighs: list[dict[str, Any]] = field(default_factory=list)


def phantom_rows(seeds: Sequence[int]) -> Measured:
    """All figures of phantoms."""
    found = Measured()
    index = {name: anatomy.by_name(name).index for name in anatomy.MUSCLES}
    for seed in seeds:
        person = draw_participant(seed)
        body = fit_body(person)
        grid = body_grid(person, (3.0, 3.0, 4.0))
        tissues = build_tissues(person, grid, body)
        hip = HIP_HEIGHT_MM * body.leg_scale
        inside = (tissues.water + tissues.fat) > 0
        low = grid.origin_mm[2]
        apart = _hips_apart(tissues.labels, grid.spacing_mm[0], round((hip - low) / grid.spacing_mm[2]))
        found.outlines.append(outline_figures(inside, grid.spacing_mm, -low, hip - low, apart))
        counts = np.bincount(tissues.labels.ravel(), minlength=anatomy.CHANNEL_COUNT)
        found.shares.append(hip_shares({name: int(counts[index[name]]) for name in _WHOLE}))
        femur = anatomy.by_name("femur").index
        found.places.append(muscle_places(tissues.labels, grid.spacing_mm, {n: index[n] for n in _WHOLE}, femur))
        litres = sum(int(counts[n]) for name, n in index.items() if name not in _TRUNK) * grid.voxel_volume_mm3 / 1e6
        lean = litres * (1 - person.muscle_fat_fraction)
        found.thighs.append({"sex": person.sex, "age": person.age_years, "litres": lean})
    return found


def thigh_volumes(thighs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Fat-free muscle of hip and thigh of phantoms by sex, beside the published mean and SD at their mean age."""
    rows = []
    for sex, ends in _THIGH_L.items():
        own = [row for row in thighs if row["sex"] == sex]
        if not own:
            continue
        age = float(np.mean([row["age"] for row in own]))
        mean, sd = (float(np.interp(age, [45, 84], [end[n] for end in ends])) for n in (0, 1))
        made = float(np.mean([row["litres"] for row in own]))
        rows.append(
            {"sex": sex, "phantoms": len(own), "mean_age": age, "people_l": mean, "people_sd_l": sd, "phantom_l": made}
        )
        rows[-1]["difference_in_sd"] = (made - mean) / sd
    return rows


def _hips_apart(labels: NDArray[np.uint8], x_mm: float, k: int) -> float:
    columns = np.nonzero((labels[k] == anatomy.by_name("femur").index).any(axis=0))[0]
    middle = (columns[0] + columns[-1]) / 2
    return float(np.mean(columns[columns > middle]) - np.mean(columns[columns < middle])) * x_mm


def hip_shares(volumes: Mapping[str, float]) -> dict[str, float]:
    """Each muscle's share of the volume of all muscles of the hip that the maps show whole."""
    total = sum(volumes[name] for name in _WHOLE)
    return {name: volumes[name] / total for name in _WHOLE}


def people_muscles(folder: Path) -> Measured:
    """Hip shares, places and shapes of every manual label map."""
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        ours = {row["ours"]: int(row["value"]) for row in csv.DictReader(file)}
    found = Measured()
    for path in sorted(folder.glob("*.label.mhd")):
        image = sitk.ReadImage(str(path))
        labels = sitk.GetArrayFromImage(image)
        counts = np.bincount(labels.ravel(), minlength=64)
        found.shares.append(hip_shares({name: float(counts[ours[name]]) for name in _WHOLE}))
        whole = {name: ours[name] for name in _WHOLE}
        if "femur" in ours:
            found.places.append(muscle_places(labels, image.GetSpacing(), whole, ours["femur"]))
    return found


def spread(people: Sequence[Mapping[str, float]], phantoms: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """For each figure: mean, SD and range of people, mean and SD of phantoms, and the difference in SDs of people."""
    rows = []
    for name in people[0] if people else ():
        real = np.array([row[name] for row in people if name in row])
        made = np.array([row[name] for row in phantoms if name in row])
        if len(real) < 3 or len(made) < 3:
            continue
        rows.append(
            {
                "figure": name,
                "people": len(real),
                "people_mean": float(real.mean()),
                "people_sd": float(real.std(ddof=1)),
                "people_range": [float(real.min()), float(real.max())],
                "phantom_mean": float(made.mean()),
                "phantom_sd": float(made.std(ddof=1)),
                "difference_in_sd": float((made.mean() - real.mean()) / real.std(ddof=1)),
                "inside_range": bool(real.min() <= made.mean() <= real.max()),
            }
        )
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path, metavar="REAL")
    parser.add_argument("--n", type=int, default=24, help="phantoms (default: 24)")
    parser.add_argument("--seed", type=int, default=500000, help="seed of the first phantom")
    parser.add_argument("--out", type=Path, help="JSON file of the figures")
    arguments = parser.parse_args()
    bodies, maps = people_outlines(arguments.real / "ukb-bodies"), people_muscles(arguments.real / "pelvis-labels")
    made = phantom_rows(range(arguments.seed, arguments.seed + arguments.n))
    found = {
        "phantoms": arguments.n,
        "outline": spread(bodies, made.outlines),
        "hip_muscles": spread(maps.shares, made.shares),
        "places": spread(maps.places, made.places),
        "thighs": thigh_volumes(made.thighs),
    }
    for table in ("outline", "hip_muscles", "places"):
        print(f"{table}: figure, people mean (SD) [range], phantom mean (SD), difference in SD")
        for row in found[table]:  # type: ignore[attr-defined]
            digits = 3 if abs(row["people_mean"]) < 1 else 1 if "elongation" in row["figure"] else 0
            low, high = row["people_range"]
            print(
                f"  {row['figure']:36s} {row['people_mean']:8.{digits}f} ({row['people_sd']:.{digits}f}) "
                f"[{low:.{digits}f}, {high:.{digits}f}]  {row['phantom_mean']:8.{digits}f} "
                f"({row['phantom_sd']:.{digits}f})  {row['difference_in_sd']:+.1f}"
                f"{'' if row['inside_range'] else '  outside'}"
            )
    print("thighs: fat-free muscle in litres, people (SD) at the phantoms' age, phantom, difference in SD")
    for row in found["thighs"]:  # type: ignore[attr-defined]
        print(
            f"  {row['sex']} {row['mean_age']:.0f} years {row['people_l']:8.1f} ({row['people_sd_l']:.1f})"
            f"  {row['phantom_l']:8.1f}  {row['difference_in_sd']:+.1f}"
        )
    if arguments.out:
        with replacing(arguments.out) as partial:
            partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
