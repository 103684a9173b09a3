"""Headers and pixels that exporters and converters have changed without changing what the images show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID

from operators.core.errors import DicomError
from operators.core.standing_height import metres_of
from operators.core.volume import Study
from operators.dicom_loader import load_study
from operators.dicom_loader.contrast import contrast_of_description, contrast_of_image_type
from operators.dicom_loader.header_texts import number_of
from operators.dicom_loader.inverted_signal import inverted_signal_flags, undo_inversion
from tests.dicom_loader.dicom_maker import (
    COLUMNS,
    ROOT,
    ROWS,
    SLICES,
    Change,
    raw_decimal,
    stored_pixels,
    write,
    write_study,
)


def assert_as_written(study: Study, *, times: float = 1.0) -> None:
    assert len(study.stations) == 4
    for station in study.stations:
        for k in range(SLICES):
            np.testing.assert_array_equal(station.voxels[k], times * stored_pixels(station.contrast, 0, k))


@pytest.mark.parametrize(
    "missing", ["SamplesPerPixel", "PhotometricInterpretation", "PixelRepresentation", "BitsStored"]
)
def test_pixel_attributes_that_every_mr_image_has_alike_may_be_missing(tmp_path: Path, missing: str) -> None:
    def without(header: Dataset) -> None:
        del header[missing]
        if missing == "BitsStored":
            del header["HighBit"]

    write_study(tmp_path, stations=1, change=without)
    assert_as_written(load_study(tmp_path))


def test_a_comma_is_a_decimal_point(tmp_path: Path) -> None:
    def commas(header: Dataset) -> None:
        header["RescaleSlope"] = raw_decimal("RescaleSlope", "1,5")
        header["RescaleIntercept"] = raw_decimal("RescaleIntercept", "0,0")
        header["PixelSpacing"] = raw_decimal("PixelSpacing", "2,5\\2,25")

    write_study(tmp_path, stations=1, change=commas)
    study = load_study(tmp_path)
    assert_as_written(study, times=1.5)
    assert study.stations[0].grid.spacing_mm[:2] == pytest.approx((2.25, 2.5))
    assert number_of("-1,5") == number_of(-1.5) == -1.5


def test_a_factor_may_be_written_twice_but_not_as_two(tmp_path: Path) -> None:
    def slope(text: str) -> Change:
        return lambda header: header.__setitem__("RescaleSlope", raw_decimal("RescaleSlope", text))

    write_study(tmp_path / "twice", stations=1, change=slope("1.5\\1.5"))
    assert_as_written(load_study(tmp_path / "twice"), times=1.5)
    for text, shown in (("1\\2", r"RescaleSlope 1\\2"), ("n/a", "RescaleSlope n/a")):
        write_study(tmp_path / shown[-1], stations=1, change=slope(text))
        with pytest.raises(DicomError, match=shown):
            load_study(tmp_path / shown[-1])


def test_small_letters_name_a_photometric_interpretation_too(tmp_path: Path) -> None:
    def small(header: Dataset) -> None:
        header["PhotometricInterpretation"] = DataElement(0x00280004, "CS", "monochrome2", validation_mode=IGNORE)

    write_study(tmp_path, stations=1, change=small)
    assert_as_written(load_study(tmp_path))


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID"])
def test_an_identifier_that_only_the_file_meta_information_has_is_read(tmp_path: Path, keyword: str) -> None:
    for path in write_study(tmp_path, stations=1):
        header = dcmread(path)
        del header[keyword]
        header.save_as(path)
    study = load_study(tmp_path)
    assert_as_written(study)
    assert study.flags == ()


def _with_a_palette(header: Dataset) -> None:
    header.PhotometricInterpretation = "PALETTE COLOR"


def _in_colour(header: Dataset) -> None:
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PlanarConfiguration = 3, "RGB", 0
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit = 7
    header.PixelData = bytes(3 * ROWS * COLUMNS + 1)


@pytest.mark.parametrize("colour", [_in_colour, _with_a_palette])
def test_a_picture_in_colour_beside_the_study_is_left_out(tmp_path: Path, colour: Change) -> None:
    picture = dcmread(write_study(tmp_path, stations=1)[0])
    colour(picture)
    picture.SOPInstanceUID = picture.file_meta.MediaStorageSOPInstanceUID = UID(f"{ROOT}.77")
    picture.SeriesInstanceUID, picture.SeriesNumber = f"{ROOT}.78", 99
    write(picture, tmp_path / "picture.dcm")
    study = load_study(tmp_path)
    assert_as_written(study)
    assert [flag.code for flag in study.flags] == ["ignored-series"]


@pytest.mark.parametrize("which", [lambda header: header.InstanceNumber == 1, lambda header: True])
def test_a_picture_in_colour_in_place_of_a_slice_is_refused(tmp_path: Path, which: Callable[[Dataset], bool]) -> None:
    write_study(tmp_path, stations=1, change=lambda header: _in_colour(header) if which(header) else None)
    with pytest.raises(DicomError, match="a colour image"):
        load_study(tmp_path)


NAMES = {
    "water": "Dixon Wasser, dixon eau, DIXON AGUA, dixon_água, Dixon acqua, DixonWater, DIXONW, "
    "Dixon Wasserbild, Dixon woda, dixon vatten, Dixon 水, Dixon水相",
    "fat": "Dixon Fett, dixon graisse, DIXON GRASA, Dixon grasso, Dixon vet, dixonF, "
    "Dixon Fettbild, Dixon tłuszcz, dixon fedt, Dixon 脂肪, Dixon_脂相",
    "in": "Dixon en phase, DIXON EN FASE, dixon in fase, Dixon em fase, DixonInPhase, "
    "Dixon w fazie, Dixon ve fázi, Dixon i fas, Dixon 同相位",
    "opp": "Dixon Gegenphase, Dixon en opposition de phase, DIXON FUERA DE FASE, dixon fuori fase, DIXONOPP, "
    "Dixon oposição de fase, Dixon uit fase, DixonOutPhase, Dixon hors phase, "
    "Dixon gegen Phase, dixon anti-phase, Dixon przeciwfaza, Dixon w przeciwfazie, Dixon v protifázi, Dixon 反相位",
    None: "Dixon sans graisse, Dixon fettgesättigt, Dixon grasa saturada, Dixon Fett unterdrückt, Dixon Wasser-Fett, "
    "T1 Wasser, Dixon 脂肪抑制, Ax Dixon W contrast, LAVA-Flex legs W GAD",
}


@pytest.mark.parametrize("contrast", NAMES)
def test_contrasts_named_in_other_languages(contrast: str | None) -> None:
    names = NAMES[contrast].split(", ")
    assert [contrast_of_description(name) for name in names] == [contrast] * len(names)


@pytest.mark.parametrize("value", ["OPP-PHASE", "opp phase", "OUT-OF-PHASE"])
def test_image_types_with_hyphens_or_spaces(value: str) -> None:
    assert contrast_of_image_type(["DERIVED", "PRIMARY", "M", value]) == "opp"


def test_a_height_in_inches() -> None:
    assert [metres_of(text) for text in ("66 in", "66 inches", "66 inch")] == [1.6764] * 3


def _slices() -> np.ndarray:
    signal = np.full((3, 20, 30), 4.0, dtype=np.float32)
    signal[:, 5:15, 5:25] = np.linspace(100, 900, 200).reshape(10, 20)
    signal[0, 0, 0] = 0
    return signal


def test_a_negative_is_turned_back() -> None:
    negative = 4095 - _slices()
    assert undo_inversion(negative, "MONOCHROME1")
    np.testing.assert_allclose(negative, _slices(), atol=0.01)
    (flag,) = inverted_signal_flags(["series 4 (fat)"])
    assert (flag.code, flag.severity) == ("inverted-signal", "warning")


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_signal_that_is_no_negative_stays(photometric: str) -> None:
    signal = _slices()
    assert not undo_inversion(signal, photometric)
    np.testing.assert_array_equal(signal, _slices())
