"""The volume that a scanner composes of its stations, and one that it reformats from that in another plane.

Siemens scanners offer composing inline; the images say COMPOSED among the
values of ImageType. MPR is the standard's term for a reformatted image
(PS3.3 C.8.3.1.1.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from operators.core.volume import Contrast, Grid
from phantom.acquisition import StationImages
from phantom.dicom_series import DESCRIPTION_SUFFIX, MadeOf, Series, deterministic_uid, series_of_study
from phantom.fused import fused_images
from phantom.planes import Plane
from phantom.station_geometry import StationGeometry

__all__ = ["composed_image_type", "composed_scan", "composed_series"]

_STEM: dict[MadeOf, str] = {"composed": "Dixon_COMP_SP", "mpr": "Dixon_MPR"}
_AFTER_STATIONS = 100
"""SeriesNumber from which composed volumes are counted, so that they never share one with a station."""


def composed_image_type(image_type: Sequence[str], made_of: MadeOf) -> list[str]:
    """ImageType of an image that was made of a scan with ``image_type``.

    Examples
    --------
    >>> composed_image_type(["DERIVED", "PRIMARY", "DIXON", "WATER"], "composed")
    ['DERIVED', 'PRIMARY', 'DIXON', 'WATER', 'COMPOSED']
    """
    match made_of:
        case "scan":
            return list(image_type)
        case "composed":
            return ["DERIVED", *image_type[1:], "COMPOSED"]
        case "mpr":
            return ["DERIVED", "SECONDARY", "MPR", *image_type[3:]]


def composed_series(scans: Sequence[StationImages], seed: int, made_of: MadeOf) -> list[Series]:
    """Four series of one volume over all stations.

    Parameters
    ----------
    scans : sequence of StationImages, superior to inferior
    seed : int
        As for `series_of_study`.
    made_of : {"composed", "mpr"}
        A composed volume has the plane of the stations; a reformatted one is
        axial if they are not, else coronal.
    """
    plane = scans[0].geometry.plane
    if made_of == "mpr":
        plane = "coronal" if plane == "axial" else "axial"
    last = series_of_study(scans, seed)[-1]
    return [
        replace(
            one,
            description=_STEM[made_of] + DESCRIPTION_SUFFIX[one.contrast],
            number=_AFTER_STATIONS + n,
            acquired=last.acquired,
            uid=deterministic_uid(seed, made_of, n),
            made_of=made_of,
        )
        for n, one in enumerate(series_of_study([composed_scan(scans, plane)], seed))
    ]


def composed_scan(scans: Sequence[StationImages], plane: Plane) -> StationImages:
    """Stations averaged onto their common grid, as images of ``plane``."""
    contrasts = list(Contrast)
    volumes, grid = fused_images(scans, contrasts)
    images = {c: np.clip(np.rint(v), 0, 4095).astype(np.uint16) for c, v in zip(contrasts, volumes, strict=True)}
    return StationImages(_geometry(grid, plane), images, 1.0, (0.0, 0.0, 0.0))


def _geometry(grid: Grid, plane: Plane) -> StationGeometry:
    z, y, x = grid.shape
    x_mm, y_mm, z_mm = grid.spacing_mm
    sizes = {"axial": (x, y, z), "coronal": (x, z, y), "sagittal": (y, z, x)}[plane]
    spacings = {"axial": (x_mm, y_mm, z_mm), "coronal": (x_mm, z_mm, y_mm), "sagittal": (y_mm, z_mm, x_mm)}[plane]
    return StationGeometry(
        "composed",
        *sizes,
        in_plane_mm=spacings[0],
        row_mm=spacings[1],
        slice_mm=spacings[2],
        lowest_edge_mm=float(grid.origin_mm[2]) - z_mm / 2,
        centre_y_mm=float(grid.origin_mm[1]) + (y - 1) / 2 * y_mm,
        breath_hold=False,
        plane=plane,
    )
