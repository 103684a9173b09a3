"""Thighs of a Siemens and a GE scanner, three echoes each: body mask, bias field, and fat beside the scanner's own."""

from __future__ import annotations

from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from operators.core.volume import Contrast, Grid, Station
from operators.station_fusion import body_mask, fat_fraction
from operators.station_fusion.bias_field import bias_corrected
from operators.station_fusion.partial_swaps import PartialSwap, find_partial_swaps, partly_exchanged
from operators.station_fusion.positions import TablePosition
from tests.real_bodies import real_folder

pytestmark = pytest.mark.real_data

ECHOES = {
    "siemens": ("siemens_0006-Dixon_TE_345_th", "siemens_0008-Dixon_TE_460_th", "siemens_0010-Dixon_TE_575_th"),
    "ge": (
        "ge_40006-ORIG_DIXON_TE_345_TH-0000",
        "ge_40007-ORIG_DIXON_TE_460_TH-0000",
        "ge_40008-ORIG_DIXON_TE_575_TH-0000",
    ),
}
GE_ROWS = slice(128, 384)
"""Of the echoes: the rows that GE's water and fat have."""


def echoes(scanner: str) -> tuple[list[NDArray[np.float32]], Grid]:
    """Magnitudes at 3.45, 4.60 and 5.75 ms, (z, y, x): at 3 T opposed, in and opposed phase."""
    folder = real_folder("thigh-dixon")
    found: list[Any] = [nibabel.load(folder / f"{name}.nii.gz") for name in ECHOES[scanner]]
    voxels = [np.asanyarray(image.dataobj).astype(np.float32).transpose(2, 1, 0) for image in found]
    depth, rows, columns = voxels[0].shape
    return voxels, Grid((depth, rows, columns), np.diag([-1.0, -1.0, 1.0, 1.0]) @ found[0].affine)


def three_point(magnitudes: list[NDArray[np.float32]]) -> dict[Contrast, NDArray[np.float32]]:
    """Contrasts from three magnitudes: the outer two give the opposed signal at the middle one's time (Glover 1991).

    Magnitudes cannot tell mostly water from mostly fat, so that this holds for muscle only.
    """
    opposed = np.minimum(np.sqrt(magnitudes[0] * magnitudes[2]), magnitudes[1])
    water, fat = (magnitudes[1] + opposed) / 2, (magnitudes[1] - opposed) / 2
    return {Contrast.IN: magnitudes[1], Contrast.OPPOSED: opposed, Contrast.WATER: water, Contrast.FAT: fat}


def test_fat_from_three_echoes_follows_the_scanners_own() -> None:
    """Between 1% and 45% it is a fifth lower: the scanner counts all peaks of fat, magnitudes show the main ones."""
    folder = real_folder("thigh-dixon")
    theirs = np.nan_to_num(np.asanyarray(nibabel.load(folder / "ge_fatfraction.nii.gz").dataobj)).transpose(2, 1, 0)  # type: ignore[attr-defined]
    magnitudes, _ = echoes("ge")
    found = three_point([echo[:, GE_ROWS] for echo in magnitudes])
    body = found[Contrast.IN] > 100
    ours = fat_fraction(found[Contrast.WATER], found[Contrast.FAT], body)
    medians = []
    for low, high in ((1, 15), (15, 30), (30, 45)):
        here = body & (theirs > low) & (theirs < high)
        assert np.count_nonzero(here) > 1000
        medians.append((100 * float(np.median(ours[here])), float(np.median(theirs[here]))))
    for mine, scanner in medians:
        assert 0.7 * scanner < mine < scanner, medians


def test_a_swapped_leg_of_the_ge_thigh_is_found_and_a_sound_one_is_not() -> None:
    """One slice has the scanner's water and fat; a stack of it, moved and with noise, has the archive's slices."""
    folder = real_folder("thigh-dixon")
    images: list[Any] = [nibabel.load(folder / f"ge_{name}.nii.gz") for name in ("water", "fat")]
    found = [np.nan_to_num(np.asanyarray(image.dataobj)) for image in images]
    one = [np.maximum(voxels.transpose(2, 1, 0)[4], 0.0).astype(np.float32) for voxels in found]
    assert min(image.max() for image in one) > 100
    rng = np.random.default_rng(3)
    stack = [np.stack([np.roll(image, (k % 3 - 1, k % 5 - 2), axis=(0, 1)) for k in range(16)]) for image in one]
    water, fat = (np.abs(voxels + rng.normal(0.0, 8.0, voxels.shape)).astype(np.float32) for voxels in stack)
    grid = Grid(water.shape, np.diag([0.8008, 0.8008, 3.5, 1.0]))  # type: ignore[arg-type]
    contrasts = {
        Contrast.IN: water + fat,
        Contrast.OPPOSED: np.abs(water - fat),
        Contrast.WATER: water,
        Contrast.FAT: fat,
    }
    sound = TablePosition(
        {
            contrast: Station(contrast, voxels, grid, None, f"1.{n}", "", n, contrast.value)
            for n, (contrast, voxels) in enumerate(contrasts.items(), start=1)
        }
    )
    assert find_partial_swaps([sound]) == ()
    for side in ("left", "right", "both"):
        for first, end in ((0, 16), (6, 16), (0, 9), (4, 10)):
            swap = PartialSwap(0, side, first, end)
            assert find_partial_swaps([partly_exchanged(sound, [swap])]) == (swap,)


@pytest.mark.parametrize("scanner", ["siemens", "ge"])
def test_the_mask_holds_two_thighs_and_no_air(scanner: str) -> None:
    magnitudes, grid = echoes(scanner)
    found = three_point(magnitudes)
    mask = body_mask(found[Contrast.WATER], found[Contrast.FAT], grid)
    area_cm2 = mask.sum(axis=(1, 2)) * grid.spacing_mm[0] * grid.spacing_mm[1] / 100
    assert (area_cm2 > 150).all() and (area_cm2 < 800).all(), area_cm2
    assert np.abs(np.diff(area_cm2)).max() < 120
    air = found[Contrast.IN] < 0.05 * np.percentile(found[Contrast.IN], 99)
    assert np.mean(air[mask]) < 0.12  # cortical bone, vessels and the rim
    for part in mask:
        sizes = np.sort(np.bincount(ndimage.label(part)[0].ravel())[1:])[::-1]
        assert sizes[:2].sum() > 0.98 * part.sum()  # one or two thighs, nothing else


@pytest.mark.parametrize("scanner", ["siemens", "ge"])
def test_the_bias_field_evens_muscle_and_leaves_the_fat_fraction(scanner: str) -> None:
    magnitudes, grid = echoes(scanner)
    found = three_point(magnitudes)
    stations = {
        contrast: Station(contrast, voxels, grid, None, f"1.{n}", "", n, contrast.value)
        for n, (contrast, voxels) in enumerate(found.items(), start=1)
    }
    corrected = bias_corrected(TablePosition(stations)).stations
    muscle = (found[Contrast.IN] > 0.3 * np.percentile(found[Contrast.IN], 99)) & (
        found[Contrast.FAT] < 0.1 * found[Contrast.IN]
    )
    before, after = found[Contrast.IN][muscle], corrected[Contrast.IN].voxels[muscle]
    assert after.std() / after.mean() < before.std() / before.mean()
    field = found[Contrast.IN][muscle] / after
    assert field.min() > 0.4 and field.max() < 2.5
    if scanner == "siemens":
        # At the hips the coil's signal falls to a third. The mask follows it, and without the correction misses little.
        masks = [
            body_mask(images[Contrast.WATER], images[Contrast.FAT], grid)
            for images in (found, {contrast: station.voxels for contrast, station in corrected.items()})
        ]
        without, with_it = (mask[-1].sum() * grid.spacing_mm[0] * grid.spacing_mm[1] / 100 for mask in masks)
        assert without > 615 and abs(with_it - without) < 20, (without, with_it)
    fractions = [
        fat_fraction(images[Contrast.WATER], images[Contrast.FAT], muscle)
        for images in (found, {contrast: station.voxels for contrast, station in corrected.items()})
    ]
    np.testing.assert_allclose(fractions[0][muscle], fractions[1][muscle], atol=1e-3)
