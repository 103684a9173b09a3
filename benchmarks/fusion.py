"""Station fusion compared with its peers: python -m benchmarks.fusion {memory,growth} [--out FILE.json].

Every peer gets the same data on the same machine in the same run. Figures are
medians. ``docs/fusion.md`` holds the tables of the last run, ``results/`` its
numbers, and `benchmarks.fusion_figures` draws them. `benchmarks.fusion_disk`
measures from file to file, `benchmarks.fusion_seams` the effect of blends on seams.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.simpleitk_loop import itk_image, with_simpleitk
from operators.core.volume import Grid
from operators.station_fusion import average_stations, common_grid
from phantom.station_geometry import archive_stations

Signals = list[list[NDArray[np.float32]]]


def median_s(work: Callable[[], object], repeats: int) -> dict[str, float]:
    """Median seconds of wall-clock time and of all threads' processor time, after one warm-up run.

    Processor time is meaningful even on a shared machine.
    """
    work()
    wall, processor = [], []
    for _ in range(repeats):
        started, used = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - started)
        processor.append(time.process_time() - used)
    return {"wall": statistics.median(wall), "processor": statistics.median(processor)}


def noise(grids: Sequence[Grid]) -> Signals:
    random = np.random.default_rng(0)
    return [[random.uniform(0, 400, grid.shape).astype(np.float32) for _ in range(4)] for grid in grids]


def turned(grid: Grid, degrees: float) -> Grid:
    """The same grid, rotated about the patient's long axis and slightly tilted."""
    angle = np.radians(degrees)
    about_z = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    tip = np.array([[1, 0, 0], [0, np.cos(angle / 2), -np.sin(angle / 2)], [0, np.sin(angle / 2), np.cos(angle / 2)]])
    centre = (grid.affine @ [*(np.array(grid.shape[::-1]) / 2), 1])[:3]
    affine = grid.affine.copy()
    affine[:3, :3] = about_z @ tip @ grid.affine[:3, :3]
    affine[:3, 3] = centre - affine[:3, :3] @ (np.array(grid.shape[::-1]) / 2)
    return Grid(grid.shape, affine)


def with_scipy(signals: Signals, grids: Sequence[Grid], grid: Grid) -> list[NDArray[np.float32]]:
    """The same with scipy.ndimage.affine_transform."""
    results: list[NDArray[np.float32]] = []
    for contrast in range(4):
        total, count = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
        for station, station_grid in zip(signals, grids, strict=True):
            matrix = np.linalg.solve(station_grid.affine, grid.affine)
            matrix = matrix[[2, 1, 0, 3]][:, [2, 1, 0, 3]]
            values = ndimage.affine_transform(
                station[contrast], matrix, output_shape=grid.shape, order=1, mode="constant", cval=-1.0, prefilter=False
            )
            inside = values >= 0
            total += np.where(inside, values, 0)
            count += inside
        results.append((total / np.maximum(count, 1)).astype(np.float32))
    return results


def with_tptbox(signals: Signals, grids: Sequence[Grid], repeats: int) -> dict[str, float] | None:
    """Seconds for one contrast with TPTBox's stitching at its defaults, without bias field; None if not installed."""
    try:
        import nibabel
        from TPTBox import NII
        from TPTBox.stitching.stitching import main as stitch
    except ImportError:
        return None
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    images = [
        NII(nibabel.Nifti1Image(np.ascontiguousarray(station[0].T), flip @ grid.affine), seg=False)
        for station, grid in zip(signals, grids, strict=True)
    ]
    return median_s(lambda: stitch([i.copy() for i in images], None, save=False, bias_field=False), repeats)


def memory(repeats: int) -> dict[str, Any]:
    """From float32 arrays in memory to four fused arrays, archive geometry, four stations."""
    grids = [station.grid for station in archive_stations(4)]
    signals = noise(grids)
    grid = common_grid(grids)
    images = [[itk_image(s, g) for s in station] for station, g in zip(signals, grids, strict=True)]
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(2)
    ours = average_stations(signals, grids, grid)
    warm = np.zeros_like(ours)
    between = slice(8, -8)  # peers differ at the outermost faces
    theirs, scipys = with_simpleitk(images, grid), with_scipy(signals, grids, grid)
    # Inside overlaps, the peers count a station's repeated end slice in full; ours does not.
    inner = np.abs(ours[0] - scipys[0])[between, 8:-24, 8:-8]
    oblique = [turned(g, angle) for g, angle in zip(grids, (0.0, 2.0, -1.5, 3.0), strict=True)]
    oblique_grid = common_grid(oblique)
    oblique_images = [[itk_image(s, g) for s in station] for station, g in zip(signals, oblique, strict=True)]
    return {
        "grid": grid.shape,
        "repeats": repeats,
        "ours_s": median_s(lambda: average_stations(signals, grids, grid), repeats),
        "numpy_copyto_fresh_s": median_s(lambda: np.copyto(np.empty_like(ours), ours), repeats),
        "numpy_copyto_warm_s": median_s(lambda: np.copyto(warm, ours), repeats),
        "simpleitk_s": median_s(lambda: with_simpleitk(images, grid), repeats),
        "scipy_s": median_s(lambda: with_scipy(signals, grids, grid), max(1, repeats // 2)),
        "tptbox_one_contrast_s": with_tptbox(signals, grids, 1),
        "voxels_equal_to_scipy_within_1e-2": float((inner < 1e-2).mean()),
        "voxels_equal_to_simpleitk_within_1e-2": float(
            (np.abs(ours[0] - theirs[0])[between, 8:-24, 8:-8] < 1e-2).mean()
        ),
        "oblique_grid": oblique_grid.shape,
        "oblique_ours_s": median_s(lambda: average_stations(signals, oblique, oblique_grid), repeats),
        "oblique_simpleitk_s": median_s(lambda: with_simpleitk(oblique_images, oblique_grid), repeats),
    }


def growth(repeats: int) -> dict[str, Any]:
    """Time for growing fused grids."""
    grids = [station.grid for station in archive_stations(4)]
    signals = noise(grids)
    spacing = np.array(common_grid(grids).spacing_mm)
    rows = []
    for factor in (1.0, 2.0, 4.0, 8.0):
        x, y, z = (float(mm) for mm in spacing / factor ** (1 / 3))
        grid = common_grid(grids, (x, y, z))
        seconds = median_s(partial(average_stations, signals, grids, grid), repeats)
        rows.append({"voxels": int(np.prod(grid.shape)), **seconds})
    return {"repeats": repeats, "rows": rows}


def finish(result: dict[str, Any], out: Path | None) -> None:
    """Add the machine and its load to the result, print it, and write it if a file was given."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    facts = dict(re.split(r"\s*:\s*", line, maxsplit=1) for line in cpuinfo.splitlines())
    result["processor"] = f"{facts['model name']}, family {facts['cpu family']}, model {facts['model']}"
    result["processors"] = os.cpu_count()
    result["load_average"] = os.getloadavg()[0]
    text = json.dumps(result, indent=2)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n", encoding="utf-8")
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("memory", "growth"))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, help="JSON file; default: printed")
    options = parser.parse_args()
    result = {
        "memory": lambda: memory(options.repeats),
        "growth": lambda: growth(options.repeats),
    }[options.what]()
    finish(result, options.out)


if __name__ == "__main__":
    main()
