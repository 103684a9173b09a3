"""Station fusion measured beside its peers: python -m benchmarks.fusion {memory,growth,disk} [--out FILE.json].

Every peer gets the same data on the same machine in the same run; figures are
medians. ``docs/fusion.md`` holds the tables of the last run, ``results/`` its
numbers, and `benchmarks.fusion_figures` draws them. What blends do to seams is
measured by `benchmarks.fusion_seams`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from operators.dicom_loader import load_study
from operators.nrrd_files import write_volumes
from operators.station_fusion import average_stations, common_grid, fuse, stations_to_fuse
from operators.volume import Grid
from phantom.station_geometry import archive_stations

Signals = list[list[NDArray[np.float32]]]


def median_s(work: Callable[[], object], repeats: int) -> dict[str, float]:
    """Median seconds, by the clock on the wall and of all threads' processor time; one run before does not count.

    Processor time still means something on a machine that others use.
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
    """The same grid, turned about the patient's long axis and tipped a little."""
    angle = np.radians(degrees)
    about_z = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    tip = np.array([[1, 0, 0], [0, np.cos(angle / 2), -np.sin(angle / 2)], [0, np.sin(angle / 2), np.cos(angle / 2)]])
    centre = (grid.affine @ [*(np.array(grid.shape[::-1]) / 2), 1])[:3]
    affine = grid.affine.copy()
    affine[:3, :3] = about_z @ tip @ grid.affine[:3, :3]
    affine[:3, 3] = centre - affine[:3, :3] @ (np.array(grid.shape[::-1]) / 2)
    return Grid(grid.shape, affine)


def itk_image(voxels: NDArray[Any], grid: Grid) -> sitk.Image:
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(tuple(grid.origin_mm))
    image.SetDirection(tuple((grid.affine[:3, :3] / grid.spacing_mm).ravel()))
    return image


def with_simpleitk(images: Sequence[Sequence[sitk.Image]], grid: Grid) -> list[NDArray[np.float32]]:
    """Resample and average, contrast by contrast, as one writes it with SimpleITK."""
    target = sitk.Image([int(n) for n in grid.shape[::-1]], sitk.sitkFloat32)
    target.SetSpacing(grid.spacing_mm)
    target.SetOrigin(tuple(grid.origin_mm))
    target.SetDirection(tuple((grid.affine[:3, :3] / grid.spacing_mm).ravel()))
    results = []
    for contrast in range(len(images[0])):
        total, count = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
        for station in images:
            resampled = sitk.Resample(station[contrast], target, sitk.Transform(), sitk.sitkLinear, -1.0)
            values = sitk.GetArrayViewFromImage(resampled)
            inside = values >= 0
            total += np.where(inside, values, 0)
            count += inside
        results.append(total / np.maximum(count, 1))
    return results


def with_scipy(signals: Signals, grids: Sequence[Grid], grid: Grid) -> list[NDArray[np.float32]]:
    """The same with scipy.ndimage.affine_transform."""
    results = []
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
        results.append(total / np.maximum(count, 1))
    return results


def with_tptbox(signals: Signals, grids: Sequence[Grid], repeats: int) -> dict[str, float] | None:
    """Seconds for one contrast with TPTBox's stitching, its defaults but without bias field; None if not installed."""
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
    # Inside overlaps the peers count a station's repeated end slice in full, ours does not.
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
    """Time as the fused grid grows."""
    grids = [station.grid for station in archive_stations(4)]
    signals = noise(grids)
    spacing = np.array(common_grid(grids).spacing_mm)
    rows = []
    for factor in (1.0, 2.0, 4.0, 8.0):
        x, y, z = (float(mm) for mm in spacing / factor ** (1 / 3))
        grid = common_grid(grids, (x, y, z))
        seconds = median_s(lambda grid=grid: average_stations(signals, grids, grid), repeats)
        rows.append({"voxels": int(np.prod(grid.shape)), **seconds})
    return {"repeats": repeats, "rows": rows}


def straightforward(path: Path, out: Path) -> dict[str, float]:
    """What one writes in an afternoon: a pydicom loop, SimpleITK, one contrast after the other."""
    start = time.perf_counter()
    series: dict[str, list[pydicom.Dataset]] = defaultdict(list)
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".dcm"):
                dataset = pydicom.dcmread(BytesIO(archive.read(name)))
                series[dataset.SeriesInstanceUID].append(dataset)
    images: dict[str, list[sitk.Image]] = defaultdict(list)
    for slices in series.values():
        slices.sort(key=lambda dataset: float(dataset.ImagePositionPatient[2]))
        image = sitk.GetImageFromArray(np.stack([s.pixel_array for s in slices]).astype(np.float32))
        rows, columns = (float(mm) for mm in slices[0].PixelSpacing)
        step = float(slices[1].ImagePositionPatient[2]) - float(slices[0].ImagePositionPatient[2])
        image.SetSpacing((columns, rows, step))
        image.SetOrigin([float(mm) for mm in slices[0].ImagePositionPatient])
        images[slices[0].SeriesDescription.rsplit("_", 1)[1]].append(image)
    loaded = time.perf_counter()
    chosen = {name: sorted(found, key=lambda i: i.GetOrigin()[2])[:4] for name, found in images.items()}
    grids = []
    for image in next(iter(chosen.values())):
        affine = np.diag([*image.GetSpacing(), 1.0])
        affine[:3, 3] = image.GetOrigin()
        grids.append(Grid(image.GetSize()[::-1], affine))
    grid = common_grid(grids[::-1])
    fused = with_simpleitk([[chosen[name][n] for name in chosen] for n in range(4)], grid)
    done = time.perf_counter()
    for name, voxels in zip(chosen, fused, strict=True):
        sitk.WriteImage(itk_image(voxels, grid), str(out / f"{name}.nrrd"), True, 1)
    end = time.perf_counter()
    return {"load_s": loaded - start, "fuse_s": done - loaded, "write_s": end - done, "total_s": end - start}


def ours_from_zip(path: Path, out: Path) -> dict[str, float]:
    start = time.perf_counter()
    study = load_study(path, select=partial(stations_to_fuse, choice="pelvis-to-knee"))
    loaded = time.perf_counter()
    fused = fuse(study)
    done = time.perf_counter()
    volumes = fused.volumes()
    write_volumes(out, {name: volumes[name] for name in ("in", "opp", "water", "fat")})
    end = time.perf_counter()
    return {"load_s": loaded - start, "fuse_s": done - loaded, "write_s": end - done, "total_s": end - start}


def _in_child(work: Callable[[Path, Path], dict[str, float]], path: Path, sender: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        phases = work(path, Path(folder))
    sender.send({**phases, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024})


def disk(path: Path, repeats: int) -> dict[str, Any]:
    """From the archive's zip to four NRRD files (gzip level 1); each run in its own process, for its peak memory."""
    result: dict[str, Any] = {"repeats": repeats, "zip_mib": path.stat().st_size / 2**20}
    context = multiprocessing.get_context("spawn")
    runs: dict[str, list[dict[str, float]]] = defaultdict(list)
    for _ in range(repeats):
        for name, work in (("ours", ours_from_zip), ("pydicom_simpleitk", straightforward)):
            receiver, sender = context.Pipe(duplex=False)
            child = context.Process(target=_in_child, args=(work, path, sender))
            child.start()
            runs[name].append(receiver.recv())
            child.join()
    for name, measured in runs.items():
        result[name] = {key: statistics.median(run[key] for run in measured) for key in measured[0]}
    return result


def finish(result: dict[str, Any], out: Path | None) -> None:
    """Say where it ran and how busy that was; print, and keep when asked to."""
    result["processors"] = os.cpu_count()
    result["load_average"] = os.getloadavg()[0]
    text = json.dumps(result, indent=2)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n", encoding="utf-8")
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("memory", "growth", "disk"))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--zip", type=Path, help="a study for `disk` (python -m phantom study --zip --compress)")
    parser.add_argument("--out", type=Path, help="JSON file; default: printed")
    options = parser.parse_args()
    if options.what == "disk" and options.zip is None:
        parser.error("disk needs --zip")
    result = {
        "memory": lambda: memory(options.repeats),
        "growth": lambda: growth(options.repeats),
        "disk": lambda: disk(options.zip, options.repeats),
    }[options.what]()
    finish(result, options.out)


if __name__ == "__main__":
    main()
