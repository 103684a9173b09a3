"""Sensitivity and false alarms of the quality flags: python -m benchmarks.flags [--n 100] [--out FILE.json].

Phantoms are scanned in memory at 4.5 x 4.5 mm in plane, with noise, coil bias,
gains and motion, fused, and measured with their true labels. Every warning or
error on them is a false alarm. Then faults are put into single stations, or into
the labels, one at a time, and the check that looks for each is run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.made_studies import study_of
from benchmarks.phantom_truth import scanned_tissues
from benchmarks.records import kept
from operators.core.anatomy import MUSCLES, THIGH_MUSCLES, by_name
from operators.core.label_map import LabelMap
from operators.core.output_files import replacing
from operators.core.volume import Contrast, Fused, QualityFlag, Study, Volume
from operators.phenotype_report import measure
from operators.station_fusion import fuse
from operators.station_fusion.image_quality import image_quality_flags
from operators.station_fusion.lateral_edges import lateral_edge_flags
from operators.station_fusion.partial_swaps import PartialSwap, find_partial_swaps, partly_exchanged
from operators.station_fusion.positions import TablePosition, find_positions
from phantom.acquisition import StationImages, acquire_study
from phantom.anatomy import build_labels, fit_body
from phantom.dixon_signal import AcquisitionOptions
from phantom.participant import Participant, draw_participant
from phantom.station_geometry import archive_stations, coarser

_LATERAL_SLICES = slice(100, 140)

_MADE_FOR = "faults 1"
"""To be counted up when the faults change, so that older records are made again."""


class Tally:
    """How often each fault was made and found."""

    def __init__(self) -> None:
        self.made: Counter[str] = Counter()
        self.found: Counter[str] = Counter()

    def add(self, fault: str, found: bool) -> None:
        self.made[fault] += 1
        self.found[fault] += bool(found)

    def table(self) -> list[dict[str, Any]]:
        return [{"fault": name, "made": self.made[name], "found": self.found[name]} for name in self.made]

    def include(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add the rows of another tally's table."""
        for row in rows:
            self.made[row["fault"]] += row["made"]
            self.found[row["fault"]] += row["found"]


def ghosts(voxels: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """The image and half a field of view away, along y, a ghost of it."""
    return np.asarray(voxels + share * np.roll(voxels, voxels.shape[1] // 2, axis=1), dtype=np.float32)


def moved(voxels: NDArray[np.float32], mm: float, row_mm: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Motion along y by ``mm`` while 30% of the lines of k-space are acquired; the central ones are spared."""
    lines = np.fft.fftfreq(voxels.shape[1])
    hit = (rng.random(lines.size) < 0.3) & (np.abs(lines) > 0.02)
    phase = np.where(hit, np.exp(-2j * np.pi * lines * (mm / row_mm) * rng.choice([-1, 1], lines.size)), 1.0)
    k_space = np.fft.fft(voxels, axis=1) * phase[None, :, None]
    return np.abs(np.fft.ifft(k_space, axis=1)).astype(np.float32)


def void(position: TablePosition, radius_mm: float) -> NDArray[np.float32]:
    """No signal in a ball in the middle of the left limb, half way up."""
    voxels = position.stations[Contrast.IN].voxels
    x_mm, y_mm, z_mm = position.grid.spacing_mm
    k = len(voxels) // 2
    rows, columns = np.nonzero(voxels[k] > 100)
    left = columns > np.median(columns)
    z, y, x = np.indices(voxels.shape)
    ball = ((x - np.median(columns[left])) * x_mm) ** 2 + ((y - np.median(rows[left])) * y_mm) ** 2
    return np.where(ball + ((z - k) * z_mm) ** 2 < radius_mm**2, 5.0, voxels).astype(np.float32)


def with_in_phase(position: TablePosition, voxels: NDArray[np.float32]) -> TablePosition:
    in_phase = replace(position.stations[Contrast.IN], voxels=voxels)
    return TablePosition({**position.stations, Contrast.IN: in_phase})


def image_faults(positions: Sequence[TablePosition], rng: np.random.Generator, tally: Tally) -> None:
    """Faults of each station's images."""
    for position in positions:
        voxels = position.stations[Contrast.IN].voxels
        row_mm = position.grid.spacing_mm[1]
        for fault, code, changed in (
            ("ghost of 3%", "ghosting", ghosts(voxels, 0.03)),
            ("ghost of 5%", "ghosting", ghosts(voxels, 0.05)),
            ("ghost of 10%", "ghosting", ghosts(voxels, 0.10)),
            ("motion of 3 mm", "ghosting", moved(voxels, 3.0, row_mm, rng)),
            ("motion of 6 mm", "ghosting", moved(voxels, 6.0, row_mm, rng)),
            ("void of 14 cm3 (radius 15 mm)", "signal-void", void(position, 15.0)),
            ("void of 65 cm3 (radius 25 mm)", "signal-void", void(position, 25.0)),
        ):
            found = {flag.code for flag in image_quality_flags([with_in_phase(position, changed)])}
            tally.add(fault, code in found)


def swap_faults(positions: Sequence[TablePosition], rng: np.random.Generator, tally: Tally) -> None:
    """Swapped parts of each station; found means with the right side, first and last slice."""
    for position in positions:
        slices = position.grid.shape[0]
        begins = int(slices * rng.uniform(0.2, 0.8))
        part = (0, begins) if rng.random() < 0.5 else (begins, slices)
        side = str(rng.choice(["left", "right"]))
        for fault, swap in (
            ("swap of one leg", PartialSwap(0, side, 0, slices)),
            ("swap of one leg from a slice on", PartialSwap(0, side, *part)),
            ("swap of both legs from a slice on", PartialSwap(0, "both", *part)),
        ):
            tally.add(fault, find_partial_swaps([partly_exchanged(position, [swap])]) == (swap,))


def study_faults(images: Sequence[StationImages], rng: np.random.Generator, tally: Tally) -> None:
    """Faults that only fusion can find."""

    def codes(changed: Sequence[StationImages]) -> set[str]:
        return {flag.code for flag in fuse(study_of(changed)).flags if flag.severity != "info"}

    missing = int(rng.integers(3, len(images) - 1))
    found = codes([image for n, image in enumerate(images) if n != missing])
    tally.add("missing middle station", "station-gap" in found and "no-knee-coverage" not in found)
    tally.add("missing lowest station", "no-knee-coverage" in codes(images[:-1]))
    step = int(rng.integers(2, len(images)))
    for factor in (1.2, 1.5):
        brighter = {
            contrast: np.rint(image * factor).astype(np.uint16) for contrast, image in images[step].images.items()
        }
        changed = [replace(i, images=brighter) if n == step else i for n, i in enumerate(images)]
        found = codes(changed)  # a step that only another scale explains is evened out, which is a warning too
        tally.add(f"station {factor} times as bright", bool(found & {"intensity-step", "stations-rescaled"}))


def label_faults(fused: Fused, labels: LabelMap, person: Participant, tally: Tally) -> None:
    """Faults of the labels, and a wrong height."""

    def codes(voxels: NDArray[np.uint8], height_m: float = person.height_cm / 100) -> set[str]:
        return {f.code for f in measure(Volume(voxels, labels.grid), fused, height_m, sex=person.sex).flags}

    # What labels alone show: neither fat nor its time.
    fused = replace(fused, absent=frozenset({Contrast.FAT}))
    voxels = np.asarray(labels.voxels)
    x = labels.grid.affine[0, 3] + labels.grid.affine[0, 0] * np.arange(voxels.shape[2])
    thigh = np.isin(voxels, [by_name(name).index for name in THIGH_MUSCLES])
    where = np.flatnonzero(thigh.any(axis=(1, 2)))
    for share in (0.1, 0.2, 0.3):
        cut = voxels.copy()
        low = int(where[0] + share * np.ptp(where))
        cut[:low, :, x > 0] = np.where(thigh[:low, :, x > 0], 0, cut[:low, :, x > 0])
        tally.add(f"left leg labelled without its lowest {share:.0%}", "uneven-legs" in codes(cut))
    muscle = np.isin(voxels, [by_name(name).index for name in MUSCLES])
    rng = np.random.default_rng(person.seed)
    for share in (0.3, 0.5):
        thinned = np.where(muscle & (rng.random(voxels.shape) < share), 0, voxels).astype(np.uint8)
        tally.add(f"{share:.0%} of muscle not labelled", "implausible-volume" in codes(thinned))
    tally.add("height in feet taken for metres (5.6)", "implausible-volume" in codes(voxels, 5.6))
    tally.add("height 25 cm too small", "implausible-volume" in codes(voxels, person.height_cm / 100 - 0.25))


def lateral_faults(fused: Fused, tally: Tally) -> None:
    """A field of view that ends inside the left leg, by a few voxels."""
    body = fused.body.copy()
    columns = np.flatnonzero(body[_LATERAL_SLICES].any(axis=(0, 1)))
    cropped = body[:, :, : int(columns[-1])]
    affine = fused.grid.affine
    grid = type(fused.grid)(cropped.shape, affine)  # type: ignore[arg-type]
    tally.add("field of view one voxel too narrow", bool(lateral_edge_flags(cropped, grid, [])))


def examined(seed: int) -> dict[str, Any]:
    """False alarms on one phantom, and which faults in it are found."""
    began = time.process_time()
    person = draw_participant(seed)
    body = fit_body(person, rounds=9)
    stations = coarser(archive_stations(6), 2, 1)
    tissues = scanned_tissues(person, body, stations, (4.0, 4.0, 4.0))
    images = acquire_study(tissues, stations, AcquisitionOptions(), seed)
    study: Study = study_of(images)
    fused = fuse(study)
    labels = LabelMap(build_labels(body, fused.grid), fused.grid)
    given = measure(labels, fused, person.height_cm / 100, sex=person.sex)
    alarms = sorted({flag.code for flag in _grave((*fused.flags, *given.flags))})
    rng = np.random.default_rng([seed, 99])
    positions = find_positions(study.stations)[0][2:]
    tally = Tally()
    swap_faults(positions, rng, tally)
    image_faults(positions, rng, tally)
    study_faults(images, rng, tally)
    label_faults(fused, labels, person, tally)
    lateral_faults(fused, tally)
    return {"false_alarms": alarms, "faults": tally.table(), "cpu_s": round(time.process_time() - began, 1)}


def summary(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All phantoms together."""
    tally = Tally()
    for record in records:
        tally.include(record["faults"])
    return {
        "phantoms": len(records),
        "phantoms_with_a_false_alarm": sum(bool(record["false_alarms"]) for record in records),
        "false_alarms": dict(Counter(code for record in records for code in record["false_alarms"])),
        "faults": tally.table(),
        "cpu_s": round(sum(record["cpu_s"] for record in records)),
    }


def _grave(flags: Sequence[QualityFlag]) -> list[QualityFlag]:
    return [flag for flag in flags if flag.severity != "info"]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--records", type=Path, metavar="FOLDER", help="keep each phantom's result, to continue from")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    records = []
    for seed in range(args.seed, args.seed + args.n):
        records.append(kept(args.records, seed, _MADE_FOR, partial(examined, seed)))
        print(f"seed {seed}: {records[-1]['false_alarms']}", file=sys.stderr, flush=True)
    text = json.dumps(summary(records), indent=1)
    if args.out is None:
        print(text)
        return
    with replacing(args.out) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
