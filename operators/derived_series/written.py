"""Reading back the headers of a written derived series, which a segmentation needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from operators.core.contrast import Contrast
from operators.core.dicom_objects.planes import positions_mm
from operators.core.errors import DicomError
from operators.core.volume import Grid
from operators.derived_series.series import SeriesHeaders

__all__ = ["read_headers"]

_TOLERANCE_MM = 0.01


def read_headers(folder: Path | str, contrast: Contrast, grid: Grid) -> SeriesHeaders:
    """Read the headers that `write_derived` wrote.

    Parameters
    ----------
    folder : Path or str
        Folder with ``0001.dcm`` and so on.
    contrast : Contrast
    grid : Grid
        The grid of the fused volumes.

    Raises
    ------
    DicomError
        When an image is missing or damaged, belongs to another series, or is
        not at its plane of ``grid``.
    """
    folder = Path(folder)
    place = f"{folder.parent.name}/{folder.name}"
    headers: list[Dataset] = []
    for number, position in enumerate(positions_mm(grid), start=1):
        name = f"{number:04d}.dcm"
        header = _header(folder / name, f"{place}/{name}")
        if header.SeriesInstanceUID != (headers or [header])[0].SeriesInstanceUID:
            raise _wrong(f"{place}/{name}", "an image of another series", "one series")
        if np.abs(np.array(header.ImagePositionPatient, dtype=float) - position).max() > _TOLERANCE_MM:
            raise _wrong(f"{place}/{name}", "another position", f"plane {number} of the fused volumes")
        headers.append(header)
    if extra := sorted(path.name for path in folder.glob("*.dcm"))[len(headers) :]:
        raise _wrong(f"{place}/{extra[0]}", "an extra image", f"{len(headers)} images, one for each plane of the grid")
    return SeriesHeaders(contrast, grid, tuple(headers))


def _header(path: Path, where: str) -> Dataset:
    try:
        # pydicom's warnings would quote values, including names of patients.
        with disable_value_validation():
            header = pydicom.dcmread(path, stop_before_pixels=True)
            header.ImagePositionPatient, header.SeriesInstanceUID  # noqa: B018 (parsed on first access)
    except FileNotFoundError as error:
        raise _wrong(where, "no such file", "every image of the derived series") from error
    except (OSError, AttributeError, ValueError, KeyError, pydicom.errors.InvalidDicomError) as error:
        raise _wrong(where, f"not readable ({type(error).__name__})", "an image that a run wrote") from error
    return header


def _wrong(where: str, found: str, expected: str) -> DicomError:
    return DicomError(where, found, expected, "Process the study again with `sarcomap run`.")
