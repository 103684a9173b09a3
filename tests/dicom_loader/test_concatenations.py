"""A multi-frame object that was divided into several files (a concatenation, PS3.3 C.7.6.16.2.2.4)."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import UID

from operators.core.errors import DicomError
from operators.dicom_loader import load_study
from tests.dicom_loader.dicom_maker import (
    COLUMNS,
    ORDER,
    ROOT,
    ROWS,
    SLICES,
    enhanced_header,
    stored_pixels,
    write,
)

PARTS = 3


def write_divided(folder: Path, *, total: bool = True, numbers: bool = True) -> list[Path]:
    """One Enhanced MR object of all contrasts, in files of a third of its frames each."""
    whole = enhanced_header()
    frames = list(whole.PerFrameFunctionalGroupsSequence)
    pixels = np.frombuffer(whole.PixelData, np.uint16).reshape(-1, ROWS, COLUMNS)
    written = []
    for number, chosen in enumerate(np.array_split(np.arange(len(frames)), PARTS), start=1):
        part = copy.deepcopy(whole)
        part.PerFrameFunctionalGroupsSequence = [frames[k] for k in chosen]
        part.NumberOfFrames, part.PixelData = len(chosen), pixels[chosen].tobytes()
        part.SOPInstanceUID = part.file_meta.MediaStorageSOPInstanceUID = UID(f"{ROOT}.4.50.{number}")
        part.ConcatenationUID = f"{ROOT}.5"
        if numbers:
            part.InConcatenationNumber = number
        if total:
            part.InConcatenationTotalNumber = PARTS
        written.append(write(part, folder / f"{number}.dcm"))
    return written


@pytest.mark.parametrize("numbers", [True, False])
def test_all_parts_are_the_whole(numbers: bool, tmp_path: Path) -> None:
    write_divided(tmp_path, numbers=numbers)
    study = load_study(tmp_path)
    assert len(study.stations) == len(ORDER) and study.flags == ()
    for station in study.stations:
        expected = [2.0 * stored_pixels(station.contrast, 0, k) - ORDER.index(station.contrast) for k in range(SLICES)]
        np.testing.assert_array_equal(station.voxels, expected)


@pytest.mark.parametrize(("total", "missing"), [(True, 1), (True, 3), (False, 1)])
def test_a_missing_part_is_refused(total: bool, missing: int, tmp_path: Path) -> None:
    write_divided(tmp_path, total=total)[missing - 1].unlink()
    with pytest.raises(DicomError, match="series 50: 2 of the 3 parts of an object"):
        load_study(tmp_path)
