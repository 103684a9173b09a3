"""A folder of NIfTI: what lies beside the images, and whether its contrasts belong together."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from operators.core.contrast import Contrast
from operators.core.errors import GeometryError, InputError
from operators.core.options import FusionOptions
from operators.nifti_loader import is_nifti, load_nifti
from operators.station_fusion.fused_elsewhere import fused_elsewhere
from tests.nifti_loader.made_thigh import AFFINE_RAS, save, thigh


def fat_of(water: NDArray[np.float32]) -> NDArray[np.float32]:
    """A fat image: bright where the water image has fat, of uneven brightness as under a coil."""
    shading = np.linspace(1.0, 1.8, water.shape[0], dtype=np.float32)[:, None, None]
    return np.where((water > 12) & (water < 60), 180.0, 8.0).astype(np.float32) * shading


def fraction_of(water: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(water > 12, fat_of(water) / (fat_of(water) + water), 0).astype(np.float32)


def test_files_whose_axes_are_stored_in_different_orders_are_one_study(tmp_path: Path) -> None:
    save(tmp_path / "water.nii.gz", thigh())
    save(tmp_path / "fat.nii.gz", fat_of(thigh()))
    as_written = load_nifti(tmp_path)
    image: Any = nibabel.load(tmp_path / "fat.nii.gz")
    other = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt("RPI")
    )
    nibabel.save(image.as_reoriented(other), tmp_path / "fat.nii.gz")
    for before, after in zip(as_written.stations, load_nifti(tmp_path).stations, strict=True):
        np.testing.assert_array_equal(before.voxels, after.voxels)


def test_contrasts_that_are_only_displaced_say_how_far(tmp_path: Path) -> None:
    save(tmp_path / "water.nii.gz", thigh())
    moved = AFFINE_RAS.copy()
    moved[2, 3] += 5
    save(tmp_path / "fat.nii.gz", fat_of(thigh()), moved)
    with pytest.raises(GeometryError, match=r"fat\.nii\.gz: .* mm, up to 5\.0 mm from those of the water image"):
        load_nifti(tmp_path)


def test_one_image_given_as_two_contrasts_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "water.nii.gz", thigh())
    save(tmp_path / "fat.nii", thigh())
    with pytest.raises(InputError, match=r"the same image as"):
        load_nifti(tmp_path)


@pytest.mark.parametrize("whole", [1, 100])
def test_a_fat_fraction_given_as_the_fat_image_is_refused(tmp_path: Path, whole: int) -> None:
    water = thigh() * 2
    save(tmp_path / "water.nii.gz", water)
    wild = np.where(thigh() < 0.4, 60 * whole, 0).astype(np.float32)  # in air, where a map was not masked
    save(tmp_path / "fat.nii.gz", whole * fraction_of(thigh()) + wild)
    with pytest.raises(InputError, match=rf"fat\.nii\.gz: values that crowd below {whole}, as a fat"):
        load_nifti(tmp_path)


def test_fat_of_any_scale_is_taken(tmp_path: Path) -> None:
    for scale in (1.0, 1 / 400, 0.25):
        save(tmp_path / "water.nii.gz", scale * thigh())
        save(tmp_path / "fat.nii.gz", scale * fat_of(thigh()))
        assert {station.contrast for station in load_nifti(tmp_path).stations} == {Contrast.WATER, Contrast.FAT}
    save(tmp_path / "water.nii.gz", 100 - 100 * fraction_of(thigh()) * (thigh() > 12) - 100 * (thigh() <= 12))
    save(tmp_path / "fat.nii.gz", 100 * fraction_of(thigh()))  # fractions of both have one scale
    assert load_nifti(tmp_path).stations


def test_clutter_beside_the_images_does_not_hide_them(tmp_path: Path) -> None:
    save(tmp_path / "water.nii.gz", thigh())
    (tmp_path / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (tmp_path / "figure.png").write_bytes(b"\x89PNG")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "log.txt").write_text("converted")
    assert is_nifti(tmp_path)
    (tmp_path / "dicom").mkdir()
    (tmp_path / "dicom" / "IM0001").write_bytes(bytes(128) + b"DICM" + bytes(100))
    assert not is_nifti(tmp_path)


def with_header(path: Path, at: int, value: float) -> Path:
    raw = bytearray(gzip.decompress(save(path.with_suffix(".nii.gz"), thigh().astype(np.int16)).read_bytes()))
    raw[at : at + 4] = struct.pack("<f", value)
    path.write_bytes(raw)
    return path


def test_voxels_that_begin_inside_the_header_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="voxels that begin at byte 0, inside the header"):
        load_nifti(with_header(tmp_path / "a.nii", 108, 0.0))


def test_a_slope_that_leads_beyond_any_signal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"values up to 1\.\de\+3\d; expected signal"):
        load_nifti(with_header(tmp_path / "a.nii", 112, 1e37))


def test_a_z_scored_image_is_refused_and_a_little_noise_below_zero_is_not(tmp_path: Path) -> None:
    image = thigh()
    with pytest.raises(InputError, match=r"negative values that add up to \d+% of the positive ones"):
        load_nifti(save(tmp_path / "z.nii.gz", (image - image.mean()) / image.std()))
    assert load_nifti(save(tmp_path / "a.nii.gz", image - 1)).stations


def test_options_of_fusion_that_a_fused_volume_cannot_follow_are_named(tmp_path: Path) -> None:
    study = load_nifti(save(tmp_path / "a.nii.gz", thigh(12)))
    asked = FusionOptions(spacing_mm=(5, 5, 5), blend="linear", fix_swaps=True, device="cpu")
    (flag,) = (flag for flag in fused_elsewhere(study, asked).flags if flag.code == "options-not-used")
    assert flag.severity == "warning" and "--spacing, --blend had no effect" in flag.message
    assert "options-not-used" not in [flag.code for flag in fused_elsewhere(study, FusionOptions()).flags]
