"""How the loader distinguishes the contrasts, and what it leaves out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from operators.core.errors import DicomError
from operators.core.volume import Contrast
from operators.dicom_loader import load_study
from operators.dicom_loader.contrast import contrast_of_description, contrast_of_image_type
from tests.dicom_loader.dicom_maker import ORDER, ROOT, series_number, write_study


@pytest.mark.parametrize(
    ("image_type", "contrast"),
    [
        ("DERIVED\\PRIMARY\\DIXON\\WATER", Contrast.WATER),
        ("DERIVED\\PRIMARY\\M\\DIXON\\FAT\\NORM", Contrast.FAT),
        ("ORIGINAL\\PRIMARY\\M\\IN_PHASE\\DIS2D", Contrast.IN),
        ("ORIGINAL\\PRIMARY\\M\\OPP_PHASE", Contrast.OPPOSED),
        ("DERIVED\\PRIMARY\\DIXON\\OUT_PHASE", Contrast.OPPOSED),
        ("DERIVED\\PRIMARY\\W\\W\\DERIVED", Contrast.WATER),
        ("DERIVED\\PRIMARY\\F\\F\\DERIVED", Contrast.FAT),
        ("ORIGINAL\\PRIMARY\\IP\\M\\IP", Contrast.IN),
        ("ORIGINAL\\PRIMARY\\OP\\M\\OP", Contrast.OPPOSED),
        ("ORIGINAL\\PRIMARY\\M\\NORM\\DIS2D", None),
        ("DERIVED\\PRIMARY\\DIXON\\FAT_FRACTION", None),
        ("DERIVED\\PRIMARY\\DIXON\\WATER\\FAT", None),
        ("WATER\\FAT", None),
    ],
)
def test_contrast_of_image_type(image_type: str, contrast: Contrast) -> None:
    assert contrast_of_image_type(image_type.split("\\")) == contrast


@pytest.mark.parametrize(
    ("description", "contrast"),
    [
        ("Dixon_BH_17s_W", Contrast.WATER),
        ("Dixon_noBH_F", Contrast.FAT),
        ("Dixon_noBH_in", Contrast.IN),
        ("dixon_2echo_RR_opp", Contrast.OPPOSED),
        ("t1 vibe DIXON tra in phase", Contrast.IN),
        ("t1_vibe_dixon_opp_phase", Contrast.OPPOSED),
        ("WATER: Ax LAVA-Flex", Contrast.WATER),
        ("FAT: T1_pelvis_dixon_tra", Contrast.FAT),
        ("InPhase: thighs", Contrast.IN),
        ("AX T1 DIXON OOP", Contrast.OPPOSED),
        ("WFOP Water", Contrast.WATER),
        ("3D FatSep Fat", Contrast.FAT),
        ("Ax Dixon W/WO contrast", None),
        ("Ax Dixon w/o contrast", None),
        ("LAVA-Flex W/WO W", Contrast.WATER),
        ("Dixon water-fat", None),
        ("Dixon_W_F", None),
        ("Dixon water-fat W", Contrast.WATER),
        ("In Phase: Ax LAVA Flex", Contrast.IN),
        ("OutPhase: Ax LAVA-Flex", Contrast.OPPOSED),
        ("Out of Phase: Ax LAVA-Flex", Contrast.OPPOSED),
        ("(W) Ax IDEAL", Contrast.WATER),
        ("Ax IDEAL (F)", Contrast.FAT),
        ("lava_flex_legs-W", Contrast.WATER),
        ("T1 mDIXON FatPhase", Contrast.FAT),
        ("VIBE_DIXON_Tra_bh_in", Contrast.IN),
        ("VIBE_DIXON_in_Tra_bh", Contrast.IN),
        ("t1_vibe_dixon_tra_bh_opp_ND", Contrast.OPPOSED),
        ("t1_vibe_dixon_tra_W_DIS2D", Contrast.WATER),
        ("WFS DIXON Water Image", Contrast.WATER),
        ("t1_quick3d_wfi_tra_F_1", Contrast.FAT),
        ("mDIXON water only", Contrast.WATER),
        ("mDIXON opposed-phase legs", Contrast.OPPOSED),
        ("FAT FRACTION: Ax IDEAL IQ", None),
        ("T1 dixon fat sat", None),
        ("LAVA-Flex water excitation", None),
        ("T1 W dixon legs", None),
        ("mDIXON water fat legs", None),
        ("WATER in the knee", None),
        ("Dixon_noBH", None),
        ("Dixon_noBH_FF", None),
        ("t1_tse_tra_W", None),
        ("", None),
    ],
)
def test_contrast_of_description(description: str, contrast: Contrast) -> None:
    assert contrast_of_description(description) == contrast


def test_a_final_w_counts_when_the_protocol_says_dixon() -> None:
    assert contrast_of_description("thigh_W", "t1_vibe_dixon") == Contrast.WATER
    assert contrast_of_description("thigh_W", "t1_tse") is None


@pytest.mark.parametrize("silent", ["ImageType", "SeriesDescription"])
def test_either_image_type_or_description_is_enough(tmp_path: Path, silent: str) -> None:
    def hush(header: Dataset) -> None:
        if silent == "ImageType":
            header.ImageType = ["ORIGINAL", "PRIMARY", "M", "NORM"]
        else:
            header.SeriesDescription = "knee"

    write_study(tmp_path, change=hush)
    study = load_study(tmp_path)
    assert {s.series_number: s.contrast for s in study.stations} == {
        series_number(contrast, station): contrast for station in range(2) for contrast in ORDER
    }
    assert study.flags == ()


def test_image_type_wins_over_a_description_that_disagrees_and_the_study_is_flagged(tmp_path: Path) -> None:
    fat, water = series_number(Contrast.FAT, 0), series_number(Contrast.WATER, 0)

    def mislabel(header: Dataset) -> None:
        if header.SeriesNumber in (fat, water):
            header.SeriesDescription = "Dixon_noBH_W" if header.SeriesNumber == fat else "Dixon_noBH_F"

    write_study(tmp_path, change=mislabel)
    study = load_study(tmp_path)
    assert {s.contrast for s in study.stations if s.series_number == fat} == {Contrast.FAT}
    assert [flag.code for flag in study.flags] == ["contrast-disagreement"] * 2
    assert {flag.severity for flag in study.flags} == {"warning"}
    assert f"series {fat} " in "".join(flag.message for flag in study.flags)


def add_series(folder: Path, number: int, change: Callable[[Dataset], None]) -> None:
    """Copy the first water series with another number and changes."""

    def rename(header: Dataset) -> bool:
        if header.SeriesNumber != series_number(Contrast.WATER, 0):
            return False
        header.SeriesNumber, header.SeriesInstanceUID = number, f"{ROOT}.7.{number}"
        header.SOPInstanceUID = f"{ROOT}.8.{number}.{header.InstanceNumber}"
        change(header)
        return True

    write_study(folder, stations=1, change=rename)


def test_phase_other_and_reformatted_series_are_left_out_and_counted(tmp_path: Path) -> None:
    write_study(tmp_path)
    add_series(tmp_path / "a", 60, lambda h: setattr(h, "ImageType", ["ORIGINAL", "PRIMARY", "P", "DIXON", "WATER"]))
    add_series(tmp_path / "b", 61, lambda h: setattr(h, "ComplexImageComponent", "PHASE"))
    add_series(tmp_path / "c", 62, lambda h: h.ImageType.append("COMPOSED"))

    def localizer(header: Dataset) -> None:
        header.ImageType, header.SeriesDescription = ["ORIGINAL", "PRIMARY", "M", "NORM"], "localizer_W"
        del header.PixelSpacing  # must not matter in a series that is not used

    add_series(tmp_path / "d", 63, localizer)
    study = load_study(tmp_path)
    assert max(s.series_number for s in study.stations) < 60
    (flag,) = study.flags
    assert (flag.code, flag.severity) == ("ignored-series", "info")
    assert "4 series" in flag.message
    assert "2 of them phase" in flag.message


def test_other_sop_classes_are_left_out(tmp_path: Path) -> None:
    write_study(tmp_path)
    add_series(tmp_path / "sc", 64, lambda h: setattr(h, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.7"))
    study = load_study(tmp_path)
    assert len(study.stations) == 8
    assert [flag.code for flag in study.flags] == ["ignored-series"]


def test_a_duplicated_station_is_kept_for_fusion_to_choose(tmp_path: Path) -> None:
    write_study(tmp_path, stations=1)

    def rescan(header: Dataset) -> None:
        header.SeriesNumber += 100
        header.SeriesInstanceUID += ".100"
        header.SOPInstanceUID += ".100"
        header.SeriesDate, header.SeriesTime = "20260302", "000200"

    write_study(tmp_path / "again", stations=1, change=rescan)
    stations = load_study(tmp_path).stations
    water = sorted((s for s in stations if s.contrast == Contrast.WATER), key=lambda s: s.acquired or datetime.min)
    assert [s.series_number for s in water] == [5, 105]


def test_no_dixon_series_says_how_contrasts_are_told(tmp_path: Path) -> None:
    def plain(header: Dataset) -> None:
        header.ImageType, header.SeriesDescription = ["ORIGINAL", "PRIMARY", "M"], "t1_tse"

    write_study(tmp_path, change=plain)
    with pytest.raises(DicomError, match=r"8 series, none of them a Dixon .*ImageType"):
        load_study(tmp_path)


def test_a_missing_contrast_is_named_with_its_place(tmp_path: Path) -> None:
    write_study(tmp_path, change=lambda h: h.SeriesNumber != series_number(Contrast.FAT, 1))
    with pytest.raises(DicomError, match=r"no fat at z = 80 to 100 mm"):
        load_study(tmp_path)


def test_contrasts_missing_at_several_places_are_all_named(tmp_path: Path) -> None:
    gone = {series_number(Contrast.FAT, 0), series_number(Contrast.WATER, 1)}
    write_study(tmp_path, change=lambda h: h.SeriesNumber not in gone)
    with pytest.raises(DicomError, match=r"no fat at z = 100 to 120 mm; no water at z = 80 to 100 mm"):
        load_study(tmp_path)


def test_a_contrast_missing_everywhere_is_said_once(tmp_path: Path) -> None:
    gone = {series_number(Contrast.FAT, 0), series_number(Contrast.FAT, 1), series_number(Contrast.WATER, 0)}
    write_study(tmp_path, change=lambda h: h.SeriesNumber not in gone)
    with pytest.raises(DicomError, match=r"no fat at any table position; no water at z = 100 to 120 mm; expected"):
        load_study(tmp_path)


def test_in_phase_and_opposed_phase_may_be_missing_at_one_place(tmp_path: Path) -> None:
    gone = {series_number(Contrast.IN, 0), series_number(Contrast.OPPOSED, 1)}
    write_study(tmp_path, change=lambda h: h.SeriesNumber not in gone)
    assert len(load_study(tmp_path).stations) == 6


def test_secondary_captures_of_a_study_are_called_by_their_name(tmp_path: Path) -> None:
    def change(header: Dataset) -> None:
        header.SOPClassUID = SecondaryCaptureImageStorage

    write_study(tmp_path, stations=1, change=change)
    with pytest.raises(DicomError, match=r"4 series, none of them MR images \(Secondary Capture Image Storage\)"):
        load_study(tmp_path)


@pytest.mark.parametrize(
    "name", ["Dixon_W segmentation", "Muscle mask Dixon_W", "dixon_labelmap_W", "Dixon subtraction W"]
)
def test_what_was_made_of_images_is_no_repeat_of_the_scan(tmp_path: Path, name: str) -> None:
    def change(header: Dataset) -> None:
        header.SeriesDescription, header.SeriesInstanceUID = name, f"{header.SeriesInstanceUID}.2"
        header.SOPInstanceUID, header.PixelData = f"{header.SOPInstanceUID}.2", header.PixelData[::-1]

    write_study(tmp_path, stations=1)
    write_study(tmp_path / "more", stations=1, change=change)
    study = load_study(tmp_path)
    assert len(study.stations) == 4
    assert [flag.code for flag in study.flags] == ["ignored-series"]
