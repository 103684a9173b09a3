"""One coarse participant as every vendor's scanner writes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from operators.core.volume import Contrast, Station, Study
from phantom.archive import write_folder
from phantom.vendors.files import VENDORS, vendor_files
from tests.app.made_study import PATIENT
from tests.pacs.small_study import scanned

__all__ = ["LARGEST_DIFFERENCE", "TOLD_BY", "by_place", "largest_difference", "write_vendor"]

#: What decides the contrasts of each vendor's study (docs/inputs.md, "Vendors").
TOLD_BY = {
    "siemens": "ImageType",
    "siemens-xa": "private tag",
    "ge": "ImageType",
    "philips": "ImageType",
    "philips-enhanced": "ImageType",
    "canon": "images",
}
#: Half a step of Philips' Rescale Slope; the others store the signal as it is.
LARGEST_DIFFERENCE = {vendor: 0.31 if vendor.startswith("philips") else 0.0 for vendor in TOLD_BY}


def write_vendor(folder: Path, vendor: str, stations: int = 4) -> Path:
    """The lowest stations as a folder of series."""
    lowest = sorted({one.station for one in scanned().series})[-stations:]
    series = [one for one in scanned().series if one.station in lowest]
    how = VENDORS[vendor]
    return write_folder(vendor_files(how.arrange(series), PATIENT, how), folder)


def by_place(study: Study) -> dict[tuple[float, Contrast], Station]:
    """Stations by height and contrast."""
    return {(round(float(one.grid.origin_mm[2]), 2), one.contrast): one for one in study.stations}


def largest_difference(one: Study, other: Study) -> float:
    """Of any voxel of two studies with the same stations on the same grids."""
    first, second = by_place(one), by_place(other)
    assert first.keys() == second.keys()
    assert all(first[place].grid.same_as(second[place].grid, 1e-3) for place in first)
    return max(float(np.abs(first[place].voxels - second[place].voxels).max()) for place in first)
