"""Fusion as a quick script: a pydicom loop and SimpleITK, one contrast after the other.

`benchmarks.fusion` and `benchmarks.fusion_disk` compare ours with this peer. It
imports nothing of ours except `Grid`, so that its start-up cost is realistic.
"""

from __future__ import annotations

import time
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray

from operators.core.volume import Grid

__all__ = ["from_zip", "itk_image", "with_simpleitk"]

GZIP_LEVEL = 1
FUSED_STATIONS = 4


def itk_image(voxels: NDArray[Any], grid: Grid) -> sitk.Image:
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(tuple(grid.origin_mm))
    image.SetDirection(tuple((grid.affine[:3, :3] / grid.spacing_mm).ravel()))
    return image


def with_simpleitk(images: Sequence[Sequence[sitk.Image]], grid: Grid) -> list[NDArray[np.float32]]:
    """Resample and average, contrast by contrast."""
    target = sitk.Image([int(n) for n in grid.shape[::-1]], sitk.sitkFloat32)
    target.SetSpacing(grid.spacing_mm)
    target.SetOrigin(tuple(grid.origin_mm))
    target.SetDirection(tuple((grid.affine[:3, :3] / grid.spacing_mm).ravel()))
    results: list[NDArray[np.float32]] = []
    for contrast in range(len(images[0])):
        total, count = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
        for station in images:
            resampled = sitk.Resample(station[contrast], target, sitk.Transform(), sitk.sitkLinear, -1.0)
            values = sitk.GetArrayViewFromImage(resampled)
            inside = values >= 0
            total += np.where(inside, values, 0)
            count += inside
        results.append((total / np.maximum(count, 1)).astype(np.float32))
    return results


def from_zip(path: Path, out: Path, *, only_fused: bool = False) -> dict[str, float]:
    """Convert the archive's zip to four NRRD files; returns seconds by phase.

    ``only_fused`` makes the loop smarter: it reads positions first and decodes only
    the pixels of the four lowest stations.
    """
    start = time.perf_counter()
    series: dict[str, list[pydicom.Dataset]] = defaultdict(list)
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".dcm"):
                dataset = pydicom.dcmread(BytesIO(archive.read(name)))
                series[dataset.SeriesInstanceUID].append(dataset)
    by_contrast: dict[str, list[list[pydicom.Dataset]]] = defaultdict(list)
    for slices in series.values():
        slices.sort(key=lambda dataset: float(dataset.ImagePositionPatient[2]))
        by_contrast[slices[0].SeriesDescription.rsplit("_", 1)[1]].append(slices)
    images: dict[str, list[sitk.Image]] = {}
    for name, stations in by_contrast.items():
        stations.sort(key=lambda slices: float(slices[0].ImagePositionPatient[2]))
        wanted = stations[:FUSED_STATIONS] if only_fused else stations
        images[name] = [_image(slices) for slices in wanted][:FUSED_STATIONS]
    loaded = time.perf_counter()
    grid = _union([image for found in images.values() for image in found])
    fused = with_simpleitk([[images[name][n] for name in images] for n in range(FUSED_STATIONS)], grid)
    done = time.perf_counter()
    for name, voxels in zip(images, fused, strict=True):
        sitk.WriteImage(itk_image(voxels, grid), str(out / f"{name}.nrrd"), True, GZIP_LEVEL)
    end = time.perf_counter()
    return {"load_s": loaded - start, "fuse_s": done - loaded, "write_s": end - done, "total_s": end - start}


def _image(slices: Sequence[pydicom.Dataset]) -> sitk.Image:
    image = sitk.GetImageFromArray(np.stack([s.pixel_array for s in slices]).astype(np.float32))
    rows, columns = (float(mm) for mm in slices[0].PixelSpacing)
    step = float(slices[1].ImagePositionPatient[2]) - float(slices[0].ImagePositionPatient[2])
    image.SetSpacing((columns, rows, step))
    image.SetOrigin([float(mm) for mm in slices[0].ImagePositionPatient])
    return image


def _union(images: Sequence[sitk.Image]) -> Grid:
    """Common grid of axial stations, with the finest spacing."""
    spacing = np.min([image.GetSpacing() for image in images], axis=0)
    low = np.min([np.array(image.GetOrigin()) - np.array(image.GetSpacing()) / 2 for image in images], axis=0)
    high = np.max(
        [
            np.array(image.GetOrigin()) + np.array(image.GetSpacing()) * (np.array(image.GetSize()) - 0.5)
            for image in images
        ],
        axis=0,
    )
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low + spacing / 2
    x, y, z = (int(n) for n in np.round((high - low) / spacing))
    return Grid((z, y, x), affine)
