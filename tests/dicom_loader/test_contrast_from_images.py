"""Contrasts that no header names: told by in = W + F, opp = |W - F| and the fat under the skin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import UID

from operators.core.errors import DicomError
from operators.core.volume import Contrast
from operators.dicom_loader import load_study
from tests.dicom_loader.dicom_maker import ORDER, ROOT, SLICES, classic_header, write

SIZE = 48


def signals(k: int) -> dict[Contrast, NDArray[np.float64]]:
    """A thigh: fat under the skin, muscle with a little fat, marrow in the middle."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    radius = np.hypot(x, y * (1.0 + 0.02 * k))
    fat = np.select([radius > 21, radius > 17, radius > 5], [0, 900, 90], 800.0)
    water = np.select([radius > 21, radius > 17, radius > 5], [0, 60, 700], 90.0)
    return {
        Contrast.WATER: water,
        Contrast.FAT: fat,
        Contrast.IN: 0.97 * (water + fat),
        Contrast.OPPOSED: np.abs(water - fat),
    }


def write_untold(
    folder: Path, order: Sequence[Contrast] = ORDER, named: Sequence[Contrast] = (), noise: float = 15
) -> None:
    """Two stations whose headers say nothing but of ``named``; series numbers follow ``order``."""
    draw = np.random.default_rng(4)
    for station in range(2):
        for number, contrast in enumerate(order):
            for k in range(SLICES):
                header = classic_header(contrast, station, k)
                if contrast not in named:
                    header.ImageType, header.SeriesDescription = ["ORIGINAL", "PRIMARY", "OTHER"], "legs"
                header.SeriesNumber = 10 * station + number + 1
                image = np.abs(signals(k)[contrast] + draw.normal(0, noise, (SIZE, SIZE)))
                header.Rows = header.Columns = SIZE
                header.PixelData = image.round().astype("<u2").tobytes()
                write(header, folder / f"{station}.{number}.{k}.dcm")


@pytest.mark.parametrize("turn", range(4))
def test_four_series_without_a_name_are_told_by_their_images(tmp_path: Path, turn: int) -> None:
    order = (*ORDER[turn:], *ORDER[:turn])
    write_untold(tmp_path, order)
    study = load_study(tmp_path)
    found = {station.series_number: station.contrast for station in study.stations}
    assert found == {10 * s + n + 1: contrast for s in range(2) for n, contrast in enumerate(order)}
    assert {station.contrast_told_by for station in study.stations} == {"images"}
    flags = [flag for flag in study.flags if flag.code == "contrast-told-by-images"]
    assert [flag.severity for flag in flags] == ["warning", "warning"]
    assert all("in = W + F" in flag.message for flag in flags)


@pytest.mark.parametrize("named", [ORDER[:1], ORDER[1:], (Contrast.WATER, Contrast.IN)])
def test_what_headers_name_is_kept_and_the_rest_is_told_by_the_images(
    tmp_path: Path, named: Sequence[Contrast]
) -> None:
    write_untold(tmp_path, named=named)
    study = load_study(tmp_path)
    assert {(s.series_number - 1) % 10: s.contrast for s in study.stations} == dict(enumerate(ORDER))
    for station in study.stations:
        assert station.contrast_told_by == ("ImageType" if station.contrast in named else "images")


def test_both_echoes_in_one_series_are_told_apart_by_their_echo_time(tmp_path: Path) -> None:
    named = (Contrast.WATER, Contrast.FAT)
    write_untold(tmp_path, named=named)
    for file in tmp_path.iterdir():
        header = dcmread(file)
        contrast = ORDER[header.SeriesNumber % 10 - 1]
        if contrast not in named:
            header.EchoTime = "1.2" if contrast is Contrast.OPPOSED else "2.4"
            header.SeriesNumber = header.SeriesNumber // 10 * 10 + 9
            header.SeriesInstanceUID = UID(f"{ROOT}.2.{header.SeriesNumber}")
            write(header, file)
    study = load_study(tmp_path)
    assert [sum(station.contrast is contrast for station in study.stations) for contrast in ORDER] == [2, 2, 2, 2]
    for station in study.stations:
        middle = station.voxels[0, SIZE // 2, SIZE // 2]
        assert middle == pytest.approx(signals(0)[station.contrast][SIZE // 2, SIZE // 2], abs=60)


def test_noise_is_no_dixon_study(tmp_path: Path) -> None:
    write_untold(tmp_path, noise=2000)
    with pytest.raises(DicomError, match="none of them a Dixon magnitude contrast"):
        load_study(tmp_path)


def test_three_series_tell_nothing(tmp_path: Path) -> None:
    write_untold(tmp_path)
    for file in tmp_path.glob("*.2.*.dcm"):
        file.unlink()
    with pytest.raises(DicomError, match="none of them a Dixon magnitude contrast"):
        load_study(tmp_path)
