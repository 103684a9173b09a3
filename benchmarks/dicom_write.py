"""Time and memory for writing the DICOM objects of a long study with every structure in every slice.

    python benchmarks/dicom_write.py                       # 400 slices of 174 x 224
    python benchmarks/dicom_write.py --slices 227 --json figures.json

Each case runs in its own process, so that its peak memory is separate.
"writing" is the time to make the object from the label map and write it to
disk. Processor seconds are the time on an idle machine. The peak is that of the
whole process, including libraries and volumes; "before" is its memory before
writing began.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from operators.core.anatomy import STRUCTURES
from operators.core.model_card import ModelCard
from operators.core.options import DicomOptions
from operators.core.volume import Contrast, Fused, Grid, Station, Study, Volume
from operators.derived_series import derive, write_derived
from operators.dicom_seg_writer import write_seg

CASES: dict[str, DicomOptions] = {
    "binary": DicomOptions(),
    "labelmap": DicomOptions(seg_type="labelmap", compression="none"),
    "labelmap, RLE": DicomOptions(seg_type="labelmap"),
    "labelmap, JPEG-LS": DicomOptions(seg_type="labelmap", compression="jpeg-ls"),
    "derived series": DicomOptions(),
    "derived series, RLE": DicomOptions(compression="rle"),
    "derived series, JPEG-LS": DicomOptions(compression="jpeg-ls"),
}
TARGET_S = {"binary": 20.0, "labelmap": 3.0, "labelmap, RLE": 3.0, "labelmap, JPEG-LS": 3.0}
TARGET_GIB = 2.0


def main() -> int:
    """Run the command line; returns 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--case", choices=list(CASES), help="run only this case, in this process, and print JSON")
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(arguments.case, arguments.slices)))
        return 0
    print(f"| {arguments.slices} slices | writing, s | processor, s | peak, GiB | before, GiB | MB on disk | |")
    print("|---|---|---|---|---|---|---|")
    figures, missed = {}, False
    for case in CASES:
        command = [sys.executable, __file__, "--case", case, "--slices", str(arguments.slices)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        figure = figures[case] = json.loads(done.stdout.splitlines()[-1])
        good = figure["seconds"] < TARGET_S.get(case, 20.0) and figure["peak_gib"] < TARGET_GIB
        missed |= not good
        print(
            f"| {case} | {figure['seconds']:.2f} | {figure['processor_s']:.2f} | {figure['peak_gib']:.2f} "
            f"| {figure['before_gib']:.2f} | {figure['megabytes']:.1f} | {'' if good else 'misses its target'} |",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return int(missed)


def measure(case: str, slices: int) -> dict[str, Any]:
    """One case: seconds, peak memory of the process, bytes on disk."""
    labels, fused, study = made_study(slices)
    options = CASES[case]
    model = ModelCard("benchmark", "1", "0" * 64, "None.", "Benchmark.", True)
    with tempfile.TemporaryDirectory() as folder:
        series = derive(fused, study)
        before = _peak_gib()
        start, processor = time.perf_counter(), time.process_time()
        if case.startswith("derived"):
            files = write_derived(Path(folder) / "water", derive(fused, study), options.derived_transfer_syntax)
        else:
            files = (write_seg(Path(folder) / "s.dcm", labels, [series], study, model, options),)
        seconds, processor_s = time.perf_counter() - start, time.process_time() - processor
        megabytes = sum(file.stat().st_size for file in files) / 1e6
    return {
        "seconds": seconds,
        "processor_s": processor_s,
        "peak_gib": _peak_gib(),
        "before_gib": before,
        "megabytes": megabytes,
    }


def made_study(slices: int) -> tuple[Volume, Fused, Study]:
    """A study of one station with a noisy signal; the structures are discs, each in every slice."""
    shape = (slices, 174, 224)
    grid = Grid(shape, np.diag([2.232, 2.232, 3.0, 1.0]))
    y, x = np.indices(shape[1:])
    plane = np.zeros(shape[1:], dtype=np.uint8)
    for n, structure in enumerate(STRUCTURES):
        row, column = divmod(n, 7)
        plane[(y - 28 - 38 * row) ** 2 + (x - 18 - 31 * column) ** 2 < 13**2] = structure.index
    labels = np.stack([np.roll(plane, k % 5, axis=1) for k in range(slices)])
    rng = np.random.default_rng(1)
    water = rng.gamma(4.0, 60.0, shape).astype(np.float32)
    station = Station(
        contrast=Contrast.WATER,
        voxels=water,
        grid=grid,
        acquired=None,
        series_uid="2.25.1",
        frame_of_reference_uid="2.25.2",
        series_number=1,
        series_description="benchmark",
        sop_instance_uids=tuple(f"2.25.3{k:04d}" for k in range(slices)),
    )
    body = np.ones(shape, dtype=bool)
    fused = Fused(water, water, water, water, grid, body, water, (station,))
    return Volume(labels, grid), fused, Study((station,), "2.25.4", "benchmark")


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    sys.exit(main())
