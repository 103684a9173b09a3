"""Studies from NIfTI: contrasts by name, orientation by the header and by the body, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from operators.core.contrast import Contrast
from operators.core.errors import GeometryError, InputError
from operators.core.options import FusionOptions, PersonOptions, with_person
from operators.core.options.declaration import OptionError
from operators.core.volume import Grid, Study
from operators.nifti_loader import is_nifti, load_nifti
from operators.nifti_loader.orientation import check_long_axis, upside_down
from operators.station_fusion.fused_elsewhere import fused_elsewhere
from tests.nifti_loader.made_thigh import AFFINE_RAS, save, thigh


def codes(study: Study) -> list[str]:
    return [flag.code for flag in study.flags]


def test_one_file_is_the_water_image_in_patient_coordinates(tmp_path: Path) -> None:
    study = load_nifti(save(tmp_path / "anything.nii.gz", thigh()))
    (station,) = study.stations
    assert (station.contrast, study.fused_elsewhere) == (Contrast.WATER, True)
    assert codes(study) == ["nifti-input", "orientation-unverified"]
    np.testing.assert_allclose(np.diag(station.grid.affine)[:3], [4, 4, 6])
    np.testing.assert_allclose(station.grid.origin_mm, [-126, -80, -90])
    left, right = station.voxels[:, :, 46], station.voxels[:, :, 17]
    assert left.max() > right.max() + 10  # x runs to the left


@pytest.mark.parametrize("axes", ["RAS", "LPS", "PIR", "ASL"])
def test_any_stated_orientation_gives_the_same_volume(tmp_path: Path, axes: str) -> None:
    plain = load_nifti(save(tmp_path / "a.nii.gz", thigh())).stations[0]
    image: Any = nibabel.load(tmp_path / "a.nii.gz")
    there = nibabel.orientations.axcodes2ornt(axes)
    turned = image.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), there))
    nibabel.save(turned, tmp_path / "b.nii.gz")
    station = load_nifti(tmp_path / "b.nii.gz").stations[0]
    assert station.grid.same_as(plain.grid)
    np.testing.assert_array_equal(station.voxels, plain.voxels)


def test_a_folder_holds_one_file_for_each_contrast(tmp_path: Path) -> None:
    for part, name in enumerate(("sub-01_water", "sub-01_FAT", "sub-01_inPhase", "opp"), start=1):
        save(tmp_path / f"{name}.nii.gz", np.asarray(thigh() / part, np.float32))
    save(tmp_path / "fat_fraction.nii.gz", thigh())
    (tmp_path / "README.txt").write_text("notes")
    assert is_nifti(tmp_path)
    assert [station.contrast for station in load_nifti(tmp_path).stations] == list(Contrast)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("water", "series3"), "does not say the contrast"),
        (("water", "water_2"), "both water"),
        (("fat", "in"), "a NIfTI file of the water image"),
    ],
)
def test_a_folder_whose_names_do_not_tell_is_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    for name in names:
        save(tmp_path / f"{name}.nii.gz", thigh(3))
    with pytest.raises(InputError, match=message):
        load_nifti(tmp_path)


def test_fat_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a fat image alone"):
        load_nifti(save(tmp_path / "p_fat.nii.gz", thigh(3)))


@pytest.mark.parametrize("name", ["ge_fatfraction", "sub-01_PDFF", "fat_fraction", "labels", "thigh_dseg"])
def test_fractions_and_labels_are_not_taken_for_water(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="a name that says it is not a water image"):
        load_nifti(save(tmp_path / f"{name}.nii.gz", thigh()))
    assert load_nifti(save(tmp_path / "whole_body.nii.gz", thigh())).stations


def test_contrasts_on_different_grids_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "water.nii.gz", thigh(8))
    save(tmp_path / "fat.nii.gz", thigh(8), AFFINE_RAS @ np.diag([1, 1, 1.01, 1]))
    with pytest.raises(GeometryError, match=r"fat\.nii\.gz: 64 x 40 x 8 voxels .* all contrasts on one grid"):
        load_nifti(tmp_path)


def test_a_sheared_grid_is_refused(tmp_path: Path) -> None:
    sheared = AFFINE_RAS.copy()
    sheared[0, 2] = 0.6
    nibabel.save(nibabel.Nifti1Image(thigh(), sheared), tmp_path / "a.nii.gz")
    with pytest.raises(GeometryError, match=r"axes that are 5\.7 degrees away from right angles"):
        load_nifti(tmp_path / "a.nii.gz")


def test_a_body_upside_down_is_turned_and_flagged(tmp_path: Path) -> None:
    body = thigh(100, trunk_from=60)
    upright = load_nifti(save(tmp_path / "a.nii.gz", body))
    assert codes(upright) == ["nifti-input"]
    plain = upright.stations[0]
    study = load_nifti(save(tmp_path / "b.nii.gz", body[:, :, ::-1]))
    assert "orientation-corrected" in codes(study)
    assert "Left and right" in next(f.message for f in study.flags if f.code == "orientation-corrected")
    np.testing.assert_array_equal(study.stations[0].voxels, plain.voxels)


def parted_below(slices: int) -> NDArray[np.bool_]:
    """A body of 90 slices of 6 mm: one trunk above, two legs in the lowest ``slices``."""
    body = np.zeros((90, 20, 40), np.bool_)
    body[:, 4:16, 4:36] = True
    body[:slices, :, 19:21] = False
    return body


def test_legs_in_part_of_the_lower_third_tell_which_end_is_up() -> None:
    grid = Grid((90, 20, 40), np.diag([10.0, 10.0, 6.0, 1.0]))
    for slices in (9, 12, 30, 40):  # thighs of heavy people part little above the knees
        assert upside_down(parted_below(slices), grid) is False
        assert upside_down(parted_below(slices)[::-1], grid) is True
    for slices in (0, 4, 85):
        assert upside_down(parted_below(slices), grid) is None


def test_half_of_a_body_with_an_arm_is_not_turned() -> None:
    body = np.zeros((90, 20, 40), np.bool_)
    body[:, 4:16, 0:14] = True  # one leg, half of the trunk
    body[45:, 2:18, 0:18] = True
    body[45:, 7:15, 22:32] = True  # the arm
    assert upside_down(body, Grid((90, 20, 40), np.diag([10.0, 10.0, 6.0, 1.0]))) is None


@pytest.mark.parametrize("change", ["bright background", "inverted"])
def test_an_image_without_dark_air_is_refused(tmp_path: Path, change: str) -> None:
    image = thigh()
    image = {
        "bright background": np.where(image < 6, 400, image),
        "inverted": image.max() - image,
    }[change]
    with pytest.raises(InputError, match="no dark air around the body"):
        load_nifti(save(tmp_path / "a.nii.gz", image))


def test_a_slab_upside_down_is_doubted_but_not_turned(tmp_path: Path) -> None:
    study = load_nifti(save(tmp_path / "a.nii.gz", thigh()[:, :, ::-1]))
    assert codes(study) == ["nifti-input", "orientation-doubtful"]
    assert np.count_nonzero(study.stations[0].voxels[0] > 100) > np.count_nonzero(study.stations[0].voxels[-1] > 100)


def test_a_body_that_runs_along_another_axis_than_stated_is_refused(tmp_path: Path) -> None:
    affine = np.diag([4.0, 6.0, 4.0, 1.0])
    with pytest.raises(InputError, match="a body that runs along the axis which the header calls front to back"):
        load_nifti(save(tmp_path / "a.nii.gz", thigh().transpose(0, 2, 1), affine))


@pytest.mark.parametrize("padded", [0, 5])
@pytest.mark.parametrize(("axes", "named"), [((2, 1, 0), "left to right"), ((1, 0, 2), "front to back")])
def test_a_trunk_above_two_legs_is_seen_to_lie(axes: tuple[int, int, int], named: str, padded: int) -> None:
    z, y, x = np.ogrid[:100, :40, :64]
    narrower = 1 - 0.6 * ((z - 80) / 40) ** 2
    body = (x - 31.5) ** 2 / (28 * narrower) ** 2 + (y - 20) ** 2 / (15 * narrower) ** 2 < 1
    leg = 6 + 0.1 * z  # at the knees, a fifth of the trunk's area is left
    body = np.where(z < 60, np.minimum((x - 17) ** 2, (x - 46) ** 2) + (y - 20) ** 2 < leg**2, body)
    body = np.pad(body, ((padded, padded), (0, 0), (0, 0)))
    check_long_axis("a.nii.gz", body)
    with pytest.raises(InputError, match=f"a body that runs along the axis which the header calls {named}"):
        check_long_axis("a.nii.gz", body.transpose(axes))


def test_a_file_without_orientation_is_flagged(tmp_path: Path) -> None:
    assert "orientation-unknown" in codes(load_nifti(save(tmp_path / "a.nii.gz", thigh(), code=0)))


def test_values_that_are_not_finite_have_no_signal(tmp_path: Path) -> None:
    voxels = thigh()
    voxels[:3] = np.nan
    study = load_nifti(save(tmp_path / "a.nii.gz", voxels))
    assert "not-finite-voxels" in codes(study)
    assert np.isfinite(study.stations[0].voxels).all()


def test_an_empty_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no signal"):
        load_nifti(save(tmp_path / "a.nii.gz", np.zeros((8, 8, 8), np.float32)))


def test_the_body_of_a_water_image_includes_dark_fat(tmp_path: Path) -> None:
    fused = fused_elsewhere(load_nifti(save(tmp_path / "a.nii.gz", thigh())), FusionOptions())
    expected = 0.0
    for k in range(31):
        expected += 2 * np.pi * (9 + 4.5 * k / 31) ** 2
    assert np.count_nonzero(fused.body) == pytest.approx(expected, rel=0.05)
    assert fused.absent == {Contrast.FAT, Contrast.IN, Contrast.OPPOSED}
    assert set(fused.volumes()) == {"water", "body"}
    assert {"contrast-absent", "partial-coverage"} <= {flag.code for flag in fused.flags}
    muscle = fused.water > 100
    assert fused.fat[muscle].mean() < 0.1 * fused.water[muscle].mean()


def test_what_is_known_of_a_person_stands_in_for_the_header_only(tmp_path: Path) -> None:
    study = load_nifti(save(tmp_path / "a.nii.gz", thigh()))
    told = with_person(study, PersonOptions("F", 63, 165, 70))
    assert told.height_m == 1.65
    assert told.patient == {
        "PatientSex": "F",
        "PatientAge": "063Y",
        "PatientSize": "1.65",
        "PatientWeight": "70",
    }
    assert with_person(told, PersonOptions("M", height_cm=180)).patient["PatientSex"] == "F"
    with pytest.raises(OptionError, match=r"1\.65; expected 50 to 250"):
        PersonOptions(height_cm=1.65)
