"""Only the needed stations are decoded, but all are checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from operators.core.errors import DicomError, GeometryError
from operators.core.volume import Station
from operators.dicom_loader import load_study
from tests.dicom_loader.dicom_maker import origin_mm, write, write_study

UPPER, LOWER = origin_mm(0)[2], origin_mm(1)[2]


def lower_only(stations: Sequence[Station]) -> list[Station]:
    """A caller's selection. It is asked from headers only, then again until it names nothing new."""
    assert not any(station.decoded for station in stations if station.grid.origin_mm[2] != LOWER)
    return [station for station in stations if station.grid.origin_mm[2] == LOWER]


def place(station: Station) -> tuple[str, bytes, object]:
    return station.series_uid, station.grid.affine.tobytes(), station.acquired


def test_only_selected_stations_are_decoded_and_the_others_keep_their_place(tmp_path: Path) -> None:
    write_study(tmp_path)
    whole, part = load_study(tmp_path), load_study(tmp_path, select=lower_only)
    for one, other in zip(whole.stations, part.stations, strict=True):
        assert place(one) == place(other)
        assert one.decoded
        assert other.decoded == (other.grid.origin_mm[2] == LOWER)
        if other.decoded:
            np.testing.assert_array_equal(other.voxels, one.voxels)
        else:
            assert np.isnan(other.voxels).all()
            assert other.voxels.strides == (0, 0, 0)
    assert part.flags == whole.flags


def test_progress_rises_to_the_total_even_if_little_is_decoded(tmp_path: Path) -> None:
    write_study(tmp_path)
    seen = []
    load_study(tmp_path, select=lower_only, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1]


def test_pixels_that_are_not_needed_are_not_decoded(tmp_path: Path) -> None:
    for file in write_study(tmp_path):
        header = dcmread(file)
        if header.ImagePositionPatient[2] >= UPPER + 8:
            header.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.70")
            header.PixelData = encapsulate([b"no JPEG at all"])
            header["PixelData"].is_undefined_length = True
            write(header, file)
    assert load_study(tmp_path, select=lower_only).stations
    with pytest.raises(DicomError, match="damaged pixel data"):
        load_study(tmp_path)


def test_headers_of_stations_that_are_not_needed_are_still_checked(tmp_path: Path) -> None:
    files = write_study(tmp_path)
    next(f for f in files if dcmread(f).ImagePositionPatient[2] == UPPER + 8).unlink()
    with pytest.raises(GeometryError, match="1 missing slice"):
        load_study(tmp_path, select=lower_only)
