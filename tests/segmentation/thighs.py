"""A coarse fused study of two thighs, and label files on its grid."""

from __future__ import annotations

from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
from numpy.typing import NDArray

from operators.core.errors import InputError
from operators.core.label_schemes import LabelSource, load_scheme
from operators.core.volume import Fused, Grid
from operators.segmentation import import_labels

SHAPE = (30, 20, 40)  # (z, y, x)
SPACING = (5.0, 6.0, 8.0)
THIGH = {"quadriceps": (1, 2), "posterior": (5, 6), "sartorius": (7, 8)}
"""Numbers of the scheme `totalsegmentator_thigh`, left and right."""

CUSTOM = {
    "name": "a site's own",
    "version": "3",
    "source": "lab book",
    "made": "manual",
    "structures": {"sartorius": "sart"},
    "labels": {4: "sart", 9: "skin"},
}
"""A label scheme."""

RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def study_grid() -> Grid:
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = (-97.5, -60.0, -700.0)
    return Grid(SHAPE, affine)


def fused_thighs() -> Fused:
    """Two thighs without structure."""
    grid = study_grid()
    body = np.zeros(SHAPE, dtype=bool)
    body[:, 1:-1, 1:19] = body[:, 1:-1, 21:39] = True
    signal = np.where(body, 100.0, 0.0).astype(np.float32)
    return Fused(signal, signal, signal, signal, grid, body, np.where(body, 0.25, 0).astype(np.float32), ())


def two_thighs(numbers: dict[str, tuple[int, int]]) -> NDArray[np.int16]:
    """One slab along z for each name, in both thighs, with the numbers of the left and the right side."""
    labels = np.zeros(SHAPE, dtype=np.int16)
    height = SHAPE[0] // len(numbers)
    for place, (left, right) in enumerate(numbers.values()):
        slab = slice(place * height, (place + 1) * height)
        labels[slab, 4:16, 25:36] = left  # +x is the patient's left
        labels[slab, 4:16, 4:14] = right
    return labels


def write_nifti(path: Path, labels: NDArray[np.generic], grid: Grid | None = None, axes: str = "LPS") -> Path:
    image = nibabel.Nifti1Image(np.ascontiguousarray(labels.T), RAS @ (grid or study_grid()).affine)
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(tuple(axes))
    )
    nibabel.save(image.as_reoriented(turn), path)
    return path


def slicer_file(path: Path, labels: NDArray[np.uint8], grid: Grid, names: dict[int, str], tags: str = "") -> Path:
    """Write a ``.seg.nrrd`` of one layer as 3D Slicer does."""
    header = {
        "space": "left-posterior-superior",
        "kinds": ["domain"] * 3,
        "space directions": grid.affine[:3, :3].T.copy(),
        "space origin": grid.origin_mm,
    }
    for number, (value, name) in enumerate(names.items()):
        header |= {f"Segment{number}_LabelValue": str(value), f"Segment{number}_Name": name}
        header |= {f"Segment{number}_ID": f"Segment_{number + 1}", f"Segment{number}_Tags": tags}
    nrrd.write(str(path), labels, header, index_order="C")
    return path


def refused(fused: Fused, path: Path, scheme: str = "musclemap") -> str:
    """The message with which a label file is refused."""
    with pytest.raises(InputError) as raised:
        import_labels(fused, [LabelSource(path, load_scheme(scheme))])
    assert raised.value.exit_code == 3
    return str(raised.value)
