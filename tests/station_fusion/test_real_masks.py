"""Real people: masks of bodies and two-point sums of thighs, held against what their makers say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from operators.core.volume import Grid
from operators.nifti_loader.orientation import check_long_axis, turned_to_lps, upside_down
from operators.station_fusion import body_mask, fat_fraction
from tests.real_bodies import real_folder

pytestmark = pytest.mark.real_data


def read(path: Path) -> tuple[NDArray[np.float32], Grid]:
    image: Any = nibabel.load(path)
    z, y, x = image.shape[2::-1]
    grid = Grid((z, y, x), np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine)
    turned = turned_to_lps(np.asanyarray(image.dataobj).astype(np.float32).transpose(2, 1, 0), grid)
    return turned.voxels, turned.grid


def test_fifty_bodies_stand_on_their_feet_and_nobody_is_called_upside_down() -> None:
    files = sorted(real_folder("ukb-bodies").glob("*.body.nii.gz"))[::5]
    assert len(files) == 10
    for path in files:
        voxels, grid = read(path)
        body = voxels[:, ::2, ::2] > 0
        check_long_axis(path.name, body)
        assert upside_down(body, grid) is False, path.name
        assert upside_down(body[::-1], grid) is True, path.name


def test_the_mask_of_a_body_of_constant_signal_is_that_body() -> None:
    """Envelope and parting of the legs: nothing is closed between them, and nothing but hands is dropped."""
    voxels, grid = read(sorted(real_folder("ukb-bodies").glob("*.body.nii.gz"))[0])
    body = voxels > 0
    mask = body_mask(200 * body.astype(np.float32), np.zeros(body.shape, np.float32), grid)
    shared = np.count_nonzero(mask & body)
    assert 2 * shared / (np.count_nonzero(mask) + np.count_nonzero(body)) > 0.97


def test_the_fat_fraction_of_a_patients_thigh_is_that_of_the_scanner() -> None:
    folder = real_folder("thigh-dixon")
    water, grid = read(folder / "ge_water.nii.gz")
    fat, _ = read(folder / "ge_fat.nii.gz")
    theirs, _ = read(folder / "ge_fatfraction.nii.gz")
    water, fat = np.nan_to_num(np.abs(water)), np.nan_to_num(np.abs(fat))
    body = body_mask(water, fat, grid)
    ours = fat_fraction(water, fat, body)
    scale = 100.0 if np.nanpercentile(theirs[body], 90) > 2 else 1.0
    sure = body & (water + fat > np.median((water + fat)[body]) / 2) & np.isfinite(theirs) & (theirs > 0)
    assert np.count_nonzero(sure) > 0.3 * np.count_nonzero(body)
    assert np.median(np.abs(ours[sure] - theirs[sure] / scale)) < 0.02
