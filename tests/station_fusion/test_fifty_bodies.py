"""Fifty real bodies in the grid of the archive: envelope, parting of the legs, orientation and field of view."""

from __future__ import annotations

from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from operators.core.volume import Grid
from operators.nifti_loader.orientation import check_long_axis, turned_to_lps, upside_down
from operators.station_fusion import body_mask
from operators.station_fusion.lateral_edges import lateral_edge_flags
from tests.real_bodies import real_folder

pytestmark = [pytest.mark.real_data, pytest.mark.slow]


def read(name: str) -> tuple[NDArray[Any], Grid]:
    image: Any = nibabel.load(real_folder("ukb-bodies") / name)
    voxels = np.asanyarray(image.dataobj).astype(np.uint8).transpose(2, 1, 0)
    turned = turned_to_lps(voxels, Grid(voxels.shape, np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine))  # type: ignore[arg-type]
    return turned.voxels, turned.grid


def parting(body: NDArray[np.bool_]) -> int:
    """The highest slice of the lower half that shows two large parts."""
    for k in range(len(body) // 2, -1, -1):
        sizes = np.sort(np.bincount(ndimage.label(body[k])[0].ravel())[1:])[::-1]
        if sizes.size > 1 and sizes[1] > 0.5 * sizes[0]:
            return k
    return -1


def test_fifty_bodies() -> None:
    names = [path.name[:4] for path in sorted(real_folder("ukb-bodies").glob("*.body.nii.gz"))]
    assert len(names) == 50
    table = {}
    for name in names:
        voxels, grid = read(f"{name}.body.nii.gz")
        marks, _ = read(f"{name}.joints.nii.gz")
        body = voxels > 0
        coarse = body[::2, ::2, ::2]  # enough for an outline
        small = Grid(coarse.shape, grid.affine @ np.diag([2, 2, 2, 1]))
        check_long_axis(name, coarse)
        mask = body_mask(200 * coarse.astype(np.float32), np.zeros(coarse.shape, np.float32), small)
        hips = int(np.flatnonzero(np.isin(marks, (11, 12)).any(axis=(1, 2))).max())
        table[name] = (
            upside_down(coarse, small),
            2 * np.count_nonzero(mask & coarse) / (np.count_nonzero(mask) + np.count_nonzero(coarse)),
            (parting(mask) - parting(coarse)) * small.spacing_mm[2],
            # 120 mm above the hip joints: the pelvis
            len(lateral_edge_flags(body, grid, [], (0, hips + round(120 / grid.spacing_mm[2])))),
        )
    print({name: (turned, round(dice, 4), mm, cut) for name, (turned, dice, mm, cut) in table.items()})
    assert all(turned is False for turned, _, _, _ in table.values())
    assert min(dice for _, dice, _, _ in table.values()) > 0.995
    # Thighs that nearly touch stay apart: the mask parts where the body does, within a slice.
    assert max(abs(mm) for _, _, mm, _ in table.values()) <= 6.0
    assert [name for name, (_, _, _, cut) in table.items() if cut] == ["0019"]
