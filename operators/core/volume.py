"""The data that the stages pass on: small frozen classes that check their values when they are created.

Arrays are (z, y, x) in C order. Affines are 4x4 matrices that map voxel indices
(i = x, j = y, k = z) to LPS millimetres, the patient coordinates of DICOM
(PS3.3 C.7.6.2.1.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from operators.core.contrast import Contrast
from operators.core.errors import GeometryError, InternalError

__all__ = ["Contrast", "Fused", "Grid", "QualityFlag", "Station", "Study", "Volume"]

Severity = Literal["info", "warning", "error"]
Quantity = Literal["volume", "fat"]


@dataclass(frozen=True)
class QualityFlag:
    """One thing that a reader of the report must know.

    Attributes
    ----------
    code : str
        Kebab-case, stable across versions, e.g. ``duplicate-station``.
    severity : {"info", "warning", "error"}
        ``error`` means that phenotypes cannot be trusted and are not reported.
    message : str
        One sentence; names stations and series by number, never the patient.
    z_mm : tuple of float or None
        LPS z range of the images that it is about; None for all.
    structures : tuple of str
        The structures that it is about; empty for all.
    quantities : tuple of {"volume", "fat"}
        The kinds of numbers that it casts doubt on; empty for none.
    """

    code: str
    severity: Severity
    message: str
    z_mm: tuple[float, float] | None = None
    structures: tuple[str, ...] = ()
    quantities: tuple[Quantity, ...] = ("volume", "fat")


@dataclass(frozen=True)
class Grid:
    """The positions of voxels: a shape and an affine.

    Attributes
    ----------
    shape : tuple of int, (z, y, x)
    affine : ndarray, shape (4, 4), float64
        Voxel (i = x, j = y, k = z) to LPS millimetres.

    Raises
    ------
    GeometryError
        For an empty shape, or an affine that is not finite or not invertible.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    def __post_init__(self) -> None:
        affine = np.asarray(self.affine, dtype=np.float64)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "affine", affine)
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise GeometryError("grid", f"shape {self.shape}", "three positive sizes (z, y, x)", "Check the input.")
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise GeometryError(
                "grid",
                f"affine {affine.tolist()}",
                "a finite, invertible 4x4 matrix",
                "Check PixelSpacing, ImageOrientationPatient and ImagePositionPatient of the series.",
            )

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along (x, y, z) in millimetres."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in cubic millimetres."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def origin_mm(self) -> NDArray[np.float64]:
        """LPS position of the centre of voxel (0, 0, 0)."""
        return self.affine[:3, 3].copy()

    def same_as(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Whether both grids put every voxel at the same place, within ``tolerance_mm``."""
        if self.shape != other.shape:
            return False
        z, y, x = self.shape
        corners = np.array([[i, j, k, 1.0] for i in (0, x - 1) for j in (0, y - 1) for k in (0, z - 1)])
        return bool(np.abs(corners @ (self.affine - other.affine).T).max() <= tolerance_mm)


@dataclass(frozen=True)
class Volume:
    """A scalar or label volume on a grid.

    Attributes
    ----------
    voxels : ndarray, shape (z, y, x)
        float32 for signal, uint8 for labels.
    grid : Grid
    """

    voxels: NDArray[np.generic]
    grid: Grid

    def __post_init__(self) -> None:
        if self.voxels.shape != self.grid.shape:
            raise InternalError("volume", f"{self.voxels.shape} voxels", f"the grid's {self.grid.shape}")


@dataclass(frozen=True)
class Station:
    """One table position of one Dixon contrast, as acquired.

    Attributes
    ----------
    contrast : Contrast
    voxels : ndarray, shape (z, y, x), float32
        Rescaled signal; z runs inferior to superior, also in coronal and sagittal acquisitions.
    grid : Grid
        The positions of those voxels.
    acquired : datetime or None
        From SeriesDate and SeriesTime; decides between duplicates.
    series_uid, frame_of_reference_uid : str
    series_number : int
    series_description : str
    sop_instance_uids : tuple of str
        The source images along ``slice_axis`` (one for an Enhanced MR).
    sop_class_uid : str
    frame_numbers : tuple of int
        The frames of an Enhanced MR along ``slice_axis``, counted from 1; empty for other images.
    acquisition : mapping of str to str
        How it was scanned, by DICOM keyword, for the images derived from it;
        several values are joined by a backslash.
    contrast_told_by : {"ImageType", "private tag", "description", "images", "file name"}
        What says that it is of this contrast.
    contrast_evidence : mapping of str to str or None
        By source, the contrast that it names; None when it names none.
    contrast_agent : {"", "ContrastBolusAgent", "description"}
        What says that it was acquired after a contrast agent.
    private_scale : float or None
        By how much the scanner says that this signal is too bright beside that of other series (Philips: Rescale
        Slope times scale slope); None where it does not say.
    slice_axis : {0, 1, 2}
        The axis of ``voxels`` along which its images were acquired: 0 (z) axial, 1 (y) coronal, 2 (x) sagittal.
    decoded : bool
        False for a station that is not needed for fusion. Its position, time
        and headers are valid, but ``voxels`` is a single NaN broadcast to the
        shape, which takes no memory.
    stand_in : bool
        Whether it is no image of the study, but was computed from others in order to compare stations.
    """

    contrast: Contrast
    voxels: NDArray[np.float32]
    grid: Grid
    acquired: datetime | None
    series_uid: str
    frame_of_reference_uid: str
    series_number: int
    series_description: str
    sop_instance_uids: tuple[str, ...] = ()
    sop_class_uid: str = "1.2.840.10008.5.1.4.1.1.4"
    frame_numbers: tuple[int, ...] = ()
    acquisition: Mapping[str, str] = field(default_factory=dict)
    contrast_told_by: str = "ImageType"
    contrast_evidence: Mapping[str, str | None] = field(default_factory=dict)
    contrast_agent: str = ""
    private_scale: float | None = None
    slice_axis: int = 0
    decoded: bool = True
    stand_in: bool = False

    def __post_init__(self) -> None:
        where = self.title
        if self.voxels.ndim != 3 or min(self.voxels.shape) < 2:
            raise GeometryError(
                where,
                f"{self.voxels.shape} voxels",
                "at least 2 slices, rows and columns, so that a station has a slice spacing",
                "Fetch the series again, or leave it out.",
            )
        if self.voxels.shape != self.grid.shape:
            raise InternalError(where, f"{self.voxels.shape} voxels", f"the grid's {self.grid.shape}")

    def without_voxels(self) -> Station:
        """The same station with `decoded` False and without the memory of its voxels."""
        nothing = np.broadcast_to(np.float32(np.nan), self.grid.shape)
        return replace(self, voxels=nothing, decoded=False)

    @property
    def title(self) -> str:
        """Its name in messages. The series description is not used: an operator may have typed a patient's name."""
        return f"series {self.series_number} ({self.contrast.value})"

    @property
    def z_range_mm(self) -> tuple[float, float]:
        """LPS z of the lowest and the highest voxel centre (over the eight corners)."""
        z, y, x = self.grid.shape
        corners = np.array([[i, j, k, 1.0] for i in (0, x - 1) for j in (0, y - 1) for k in (0, z - 1)])
        heights = corners @ self.grid.affine[2]
        return float(heights.min()), float(heights.max())


@dataclass(frozen=True)
class Study:
    """One Dixon study: every station of every contrast that could be read.

    Attributes
    ----------
    stations : tuple of Station
        In no particular order; `operators.station_fusion` chooses among them.
    study_uid : str
    pseudonym : str
        The eid of a UK Biobank file name, or else a digest of the study UID; never a PatientID.
    height_m : float or None
        PatientSize (0010,1020) when present and plausible.
    patient : mapping of str to str
        Attributes of the patient and study modules by DICOM keyword, for the
        DICOM objects that we write. They are never logged or reported.
    flags : tuple of QualityFlag
    deidentified : tuple of str
        Codes of the confidentiality profile and options that were applied
        (PS3.16 CID 7050); empty for a study that was not de-identified.
    visit : str or None
        The instance in a UK Biobank file name, for example ``2`` for the first imaging visit.
    fused_elsewhere : bool
        Whether the stations are whole volumes, one for each contrast, that another program fused (NIfTI). Such a study
        names no patient and no DICOM series, so that no DICOM can be written for it.
    """

    stations: tuple[Station, ...]
    study_uid: str
    pseudonym: str
    height_m: float | None = None
    patient: Mapping[str, str] = field(default_factory=dict, repr=False)
    flags: tuple[QualityFlag, ...] = ()
    deidentified: tuple[str, ...] = ()
    visit: str | None = None
    fused_elsewhere: bool = False


@dataclass(frozen=True)
class Fused:
    """The fused study: four contrasts, body mask and fat fraction on one grid.

    Attributes
    ----------
    water, fat, in_phase, opposed : ndarray, shape (z, y, x), float32
        Of a contrast in `absent`, what stands in for it.
    grid : Grid
        Axis-aligned with the stations; its extent is the union of the stations.
    body : ndarray, shape (z, y, x), bool
        Body mask.
    fat_fraction : ndarray, shape (z, y, x), float32
        F / (W + F) inside the body, 0 outside.
    stations : tuple of Station
        The stations that were fused, superior to inferior.
    overlaps : tuple of mapping
        For each pair of neighbouring stations, how well they agree where
        they overlap: ``upper``, ``lower`` (indices into the station table),
        ``overlap_mm``, ``mean_absolute_difference`` (fraction of the mean
        in-phase signal there), ``gain_ratio`` (upper over lower).
    flags : tuple of QualityFlag
    label_slices : tuple of int or None
        First slice, and one past the last, that show pelvis to knee, where the
        volumes show more: only there may a network name structures. None for all.
    absent : frozenset of Contrast
        Contrasts that the study does not have: in-phase, opposed-phase or both, or all but water. They are not
        written. They are shown to a network only if its model card says that it can do without (`fat_stand_in`).
    engine : str
        What resampled the stations, for the report; empty when nothing did.
    """

    water: NDArray[np.float32]
    fat: NDArray[np.float32]
    in_phase: NDArray[np.float32]
    opposed: NDArray[np.float32]
    grid: Grid
    body: NDArray[np.bool_]
    fat_fraction: NDArray[np.float32]
    stations: tuple[Station, ...]
    overlaps: tuple[Mapping[str, float], ...] = ()
    flags: tuple[QualityFlag, ...] = ()
    label_slices: tuple[int, int] | None = None
    absent: frozenset[Contrast] = frozenset()
    engine: str = ""

    def volumes(self) -> dict[str, Volume]:
        """The volumes by the stem of their file (``fused/<stem>.nrrd``): six, without those of absent contrasts."""
        volumes = {
            "in": Volume(self.in_phase, self.grid),
            "opp": Volume(self.opposed, self.grid),
            "water": Volume(self.water, self.grid),
            "fat": Volume(self.fat, self.grid),
            "fat_fraction": Volume(self.fat_fraction, self.grid),
            "body": Volume(self.body.astype(np.uint8), self.grid),
        }
        no_fraction = {"fat_fraction"} if Contrast.FAT in self.absent else set()
        return {stem: volume for stem, volume in volumes.items() if stem not in {*self.absent, *no_fraction}}
