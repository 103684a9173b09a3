"""Real people's images and masks for tests. They are never kept in the repository.

The environment variable ``SARCOMAP_REAL_DATA`` names their folder; by default it lies beside the repository's folder.
"""

from __future__ import annotations

import csv
import os
import zlib
from datetime import datetime, timedelta
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from operators.core.anatomy import by_name
from operators.core.volume import Contrast, Grid
from phantom.archive import write_folder
from phantom.dicom_files import dicom_files
from phantom.dicom_series import Patient, Series, deterministic_uid

__all__ = ["OVERLAP_SLICES", "pelvis_labels", "real_folder", "seven_stations", "write_water_dicom"]

OVERLAP_SLICES = 5
SPACING_MM = (6.0, 3.0, 3.0)
"""Of the stations as `seven_stations` gives them, (z, y, x): every second voxel in plane."""

_BESIDE = Path(__file__).resolve().parents[1].parent / "shared" / "real"


def real_folder(name: str) -> Path:
    """A folder of the real data; the test is skipped where it is absent."""
    folder = Path(os.environ.get("SARCOMAP_REAL_DATA", _BESIDE)) / name
    if not folder.is_dir():
        pytest.skip(f"no {name} below SARCOMAP_REAL_DATA")
    return folder


def seven_stations() -> list[NDArray[np.float32]]:
    """Water images (z, y, x) of one person's stations, from the feet up, every second voxel in plane.

    z runs to the head, y to the back, x to the left. Their positions were lost; see `OVERLAP_SLICES`.
    """
    folder = real_folder("seven-stations")
    stations = []
    for n in range(1, 8):
        image = nibabel.as_closest_canonical(nibabel.load(folder / f"Join_{n}.nii.gz"))
        voxels = np.asanyarray(image.dataobj).astype(np.float32)  # (x, y, z) to the right, front and head
        stations.append(np.ascontiguousarray(voxels[::-2, ::-2].transpose(2, 1, 0)))
    return stations


def pelvis_labels(name: str) -> tuple[NDArray[np.uint8], Grid]:
    """Labels (z, y, x) drawn by hand from waist to thigh, every second voxel in plane, as numbers of the label table.

    What holds several of our structures has the number of the first of them.
    """
    folder = real_folder("pelvis-labels")
    header = dict(line.split(" = ") for line in (folder / f"{name}.label.mhd").read_text().splitlines())
    size, mm = (header[key].split() for key in ("DimSize", "ElementSpacing"))
    stored = zlib.decompress((folder / header["ElementDataFile"]).read_bytes())
    drawn = np.frombuffer(stored, "<i2").reshape([int(n) for n in size[::-1]])[:, ::2, ::2]
    table = np.zeros(256, np.uint8)
    with (folder / "labels.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            if ours := row["ours"].split("+")[0].split(" ")[0]:
                table[int(row["value"])] = by_name(ours).index
    affine = np.diag([2 * float(mm[0]), 2 * float(mm[1]), float(mm[2]), 1.0])
    return table[drawn], Grid(drawn.shape, affine)  # type: ignore[arg-type]


def write_water_dicom(stations: list[NDArray[np.float32]], folder: Path) -> Path:
    """Write stations, from the feet up, as a DICOM study of water images that overlap by `OVERLAP_SLICES`."""
    slice_mm = SPACING_MM[0]
    files = []
    for n, voxels in enumerate(reversed(stations)):  # a scanner begins at the head
        count = len(voxels)
        z = (len(stations) - 1 - n) * (count - OVERLAP_SLICES) * slice_mm
        series = Series(
            station=n + 1,
            contrast=Contrast.WATER,
            description="Dixon_noBH_W",
            number=2 + n,
            acquired=datetime(2020, 1, 6, 9) + timedelta(seconds=31 * n),
            voxels=np.round(voxels).astype(np.uint16),
            first_xy_mm=(-240.0, -240.0),
            slice_z_mm=tuple(z + k * slice_mm for k in range(count)),
            slice_mm=slice_mm,
            pixel_spacing=(str(SPACING_MM[1]),) * 2,
            instance_numbers=tuple(range(count, 0, -1)),
            file_numbers=tuple(range(count, 0, -1)),
            uid=deterministic_uid("real", n),
            frame_of_reference_uid=deterministic_uid("real", "frame"),
            study_uid=deterministic_uid("real", "study"),
        )
        files += list(dicom_files(series, Patient("9000001", "M", 30, 180, 75)))
    return write_folder(files, folder)
