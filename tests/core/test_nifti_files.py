"""NIfTI files: the place of every voxel is that which NiBabel and SimpleITK read, for any orientation."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from operators.core.errors import InputError
from operators.core.grid_geometry import LPS_TO_RAS
from operators.core.nifti_files import read_nifti, write_nifti
from operators.core.volume import Grid, Volume


def oblique(kind: type) -> Volume:
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([1.5, 2.0, 6.0])
    affine[:3, 3] = [-31.5, 12.25, -700.0]
    voxels: NDArray[Any] = np.random.default_rng(0).integers(0, 200, (4, 5, 6)).astype(kind)
    return Volume(voxels, Grid((4, 5, 6), affine))


@pytest.mark.parametrize("kind", [np.float32, np.uint8])
def test_a_written_volume_lies_where_nibabel_and_simpleitk_put_it(tmp_path: Path, kind: type) -> None:
    volume = oblique(kind)
    write_nifti(tmp_path / "v.nii.gz", volume)

    theirs: Any = nibabel.load(tmp_path / "v.nii.gz")
    assert theirs.get_data_dtype() == kind
    assert (int(theirs.header["qform_code"]), int(theirs.header["sform_code"])) == (1, 1)
    np.testing.assert_array_equal(np.asanyarray(theirs.dataobj), volume.voxels.T)
    np.testing.assert_allclose(theirs.affine, LPS_TO_RAS @ volume.grid.affine, atol=1e-4)

    itk = SimpleITK.ReadImage(str(tmp_path / "v.nii.gz"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(itk), volume.voxels)
    for index in [(0, 0, 0), (5, 4, 3), (2, 3, 1)]:
        expected = (volume.grid.affine @ [*index, 1.0])[:3]
        np.testing.assert_allclose(itk.TransformIndexToPhysicalPoint(index), expected, atol=1e-4)

    ours = read_nifti(tmp_path / "v.nii.gz")
    assert ours.placed
    assert ours.grid.same_as(volume.grid)
    np.testing.assert_array_equal(ours.values, volume.voxels)


def test_a_file_of_simpleitk_is_read_at_its_place(tmp_path: Path) -> None:
    volume = oblique(np.float32)
    image = SimpleITK.GetImageFromArray(volume.voxels)
    image.SetSpacing(volume.grid.spacing_mm)
    image.SetOrigin(volume.grid.origin_mm.tolist())
    image.SetDirection((volume.grid.affine[:3, :3] / volume.grid.spacing_mm).ravel().tolist())
    SimpleITK.WriteImage(image, str(tmp_path / "v.nii.gz"))
    assert read_nifti(tmp_path / "v.nii.gz").grid.same_as(volume.grid)


def test_the_same_volume_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(tmp_path / name, oblique(np.float32))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.zeros((3, 3, 3, 2), np.float32), "4 dimensions"),
        (np.zeros((3, 3, 3), np.complex64), "values of type complex64"),
        (np.zeros((3, 3), np.float32), "2 dimensions"),
    ],
)
def test_a_file_that_is_not_one_volume_is_refused(tmp_path: Path, values: np.ndarray, found: str) -> None:
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "v.nii.gz")
    with pytest.raises(InputError, match=found):
        read_nifti(tmp_path / "v.nii.gz")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    write_nifti(tmp_path / "v.nii.gz", oblique(np.float32))
    content = (tmp_path / "v.nii.gz").read_bytes()
    (tmp_path / "v.nii.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="not readable as NIfTI"):
        read_nifti(tmp_path / "v.nii.gz")


def test_a_compressed_file_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    write_nifti(tmp_path / "v.nii.gz", oblique(np.float32))
    content = bytearray((tmp_path / "v.nii.gz").read_bytes())
    content[-6] ^= 0xFF
    (tmp_path / "v.nii.gz").write_bytes(content)
    with pytest.raises(InputError, match="not readable as NIfTI"):
        read_nifti(tmp_path / "v.nii.gz")


@pytest.mark.parametrize(("written", "named", "found"), [("a.nii", "b.nii.gz", "not "), ("a.nii.gz", "b.nii", "")])
def test_a_name_that_lies_about_compression_is_said(tmp_path: Path, written: str, named: str, found: str) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3), np.uint8), np.eye(4)), tmp_path / written)
    (tmp_path / written).rename(tmp_path / named)
    with pytest.raises(InputError, match=rf"it is {found}compressed: its name should end in \.nii"):
        read_nifti(tmp_path / named)


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1e-3), ("micron", 1e3)])
@pytest.mark.parametrize("lies", [False, True], ids=["true unit", "unit that lies"])
def test_other_units_than_mm_count_unless_they_are_absurd(tmp_path: Path, unit: str, factor: float, lies: bool) -> None:
    affine = np.diag([4.0, 4.0, 6.0, 1.0])
    image = nibabel.Nifti1Image(np.zeros((40, 40, 30), np.uint8), np.diag([*[1.0 if lies else factor] * 3, 1]) @ affine)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / "v.nii")
    assert read_nifti(tmp_path / "v.nii").grid.spacing_mm == pytest.approx((4, 4, 6))


def test_a_qform_that_contradicts_the_sform_is_noticed(tmp_path: Path) -> None:
    affine = np.diag([4.0, 4.0, 6.0, 1.0])
    image = nibabel.Nifti1Image(np.zeros((40, 40, 30), np.uint8), affine)
    image.set_sform(affine, 1)
    for qform, apart in ((affine, 0.0), (np.diag([-4.0, 4.0, 6.0, 1.0]), 2 * 39 * 4.0)):
        image.set_qform(qform, 1)
        nibabel.save(image, tmp_path / "v.nii")
        found = read_nifti(tmp_path / "v.nii")
        assert found.contradiction_mm == pytest.approx(apart, abs=1e-3)
        np.testing.assert_allclose(found.grid.affine, LPS_TO_RAS @ affine)


@pytest.mark.parametrize(
    ("offset", "field", "message"),
    [
        (40, struct.pack("<4h", 3, -40, 40, 30), "not readable"),
        (40, struct.pack("<4h", 3, 32000, 32000, 32000), "400,000,000 at the most"),
        (70, struct.pack("<h", 999), "not readable"),
        (108, struct.pack("<f", -5.0), "not readable"),
        (80, struct.pack("<3f", 0, 0, 0), "voxel sizes of 0 x 0 x 0 mm and no sform"),
        (256, struct.pack("<3f", 5, 5, 5), "not readable"),
    ],
)
def test_a_damaged_header_is_one_clear_error(tmp_path: Path, offset: int, field: bytes, message: str) -> None:
    image = nibabel.Nifti1Image(np.zeros((40, 40, 30), np.uint8), np.diag([4.0, 4.0, 6.0, 1.0]))
    image.set_sform(None, 0)
    image.set_qform(image.affine, 1)
    nibabel.save(image, tmp_path / "v.nii")
    data = bytearray((tmp_path / "v.nii").read_bytes())
    data[offset : offset + len(field)] = field
    (tmp_path / "v.nii").write_bytes(bytes(data))
    with pytest.raises(InputError, match=message):
        read_nifti(tmp_path / "v.nii")
