"""A fused contrast as a derived MR series: one MR Image instance for each plane (PS3.3 A.4).

These are classic single-frame images, not an Enhanced MR, because every PACS
and viewer shows them as a stack and a segmentation can refer to each plane by
its own UID.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from operators.core import clock
from operators.core.dicom_objects import derived_uid, settle_dates, software_version
from operators.core.dicom_objects.encoding import encoded_elements, write_file
from operators.core.dicom_objects.planes import positions_mm
from operators.core.errors import OutputError
from operators.core.volume import Contrast, Fused, Grid, Station, Study
from operators.derived_series.headers import series_header
from operators.derived_series.sources import referenced_series, source_image_items, source_slices
from operators.derived_series.stored_values import StoredValues, stored_values

__all__ = ["DerivedSeries", "SeriesHeaders", "derive", "write_derived"]

_IMPLEMENTATION_UID = derived_uid("implementation")
_IMPLEMENTATION_NAME = "SARCOMAP"


@dataclass(frozen=True)
class SeriesHeaders:
    """The parts of a derived series that a segmentation needs: its grid and headers, without pixels.

    Attributes
    ----------
    contrast : Contrast
    grid : Grid
        Image n is plane n of this grid.
    headers : tuple of Dataset
        One for each plane, with all attributes except the pixels.
    """

    contrast: Contrast
    grid: Grid
    headers: tuple[Dataset, ...]

    @property
    def series_uid(self) -> str:
        """Series Instance UID."""
        return str(self.headers[0].SeriesInstanceUID)

    @property
    def sop_instance_uids(self) -> tuple[str, ...]:
        """SOP Instance UIDs, in the order of the grid's planes."""
        return tuple(str(header.SOPInstanceUID) for header in self.headers)


@dataclass(frozen=True)
class DerivedSeries(SeriesHeaders):
    """One contrast of the fused volume as DICOM images that have not been written yet.

    Attributes
    ----------
    values : StoredValues
        Pixels of all images.
    """

    values: StoredValues


def derive(
    fused: Fused, study: Study, contrast: Contrast = Contrast.WATER, created: datetime | None = None
) -> DerivedSeries:
    """Make the derived series of one contrast.

    All UIDs are derived from the study, the images that were fused, the fused
    voxels and our version, so the same input gives the same series again.

    Parameters
    ----------
    fused : Fused
    study : Study
    contrast : Contrast
    created : datetime, optional
        Now by default.

    Raises
    ------
    GeometryError
        When the grid's axes are not at right angles: DICOM images cannot express such a grid.
    OutputError
        When the stations have no SOP Instance UIDs.
    """
    stations = [station for station in fused.stations if station.contrast is contrast] or list(fused.stations)
    for station in stations:
        if not station.sop_instance_uids:
            raise OutputError(
                station.title,
                "no SOP Instance UID",
                "the UIDs of the images that were fused, for the DICOM objects to refer to",
                "Load the study from DICOM.",
            )
    volume = fused.volumes()[contrast.value]
    values = stored_values(volume, fused.body)
    identity = _identity(study, stations, contrast, volume.grid, values)
    header = series_header(study, stations, contrast, volume.grid, values, derived_uid("derived-series", *identity))
    settle_dates(header, study, created or clock.now())
    return DerivedSeries(contrast, volume.grid, _headers(header, volume.grid, stations, identity), values)


def write_derived(
    folder: Path | str, series: DerivedSeries, transfer_syntax: UID = ExplicitVRLittleEndian
) -> tuple[Path, ...]:
    """Write ``folder/0001.dcm`` and so on, in the order of the grid's planes; the folder appears when it is complete.

    An existing folder of that name is replaced as a whole, so no image of an
    earlier series is left.

    Parameters
    ----------
    folder : Path or str
    series : DerivedSeries
    transfer_syntax : UID
        Explicit VR Little Endian, RLE Lossless or JPEG-LS Lossless.

    Returns
    -------
    tuple of Path
        In the order of the grid's planes.

    Raises
    ------
    OutputError
        When it cannot be written; an existing folder is then unchanged.
    """
    folder = Path(folder)
    partial: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        partial.chmod(0o755)
        names = [f"{k + 1:04d}.dcm" for k in range(len(series.headers))]
        meta, shared = _file_meta(transfer_syntax), encoded_elements(*series.headers)
        for name, header, plane in zip(names, series.headers, series.values.stored, strict=True):
            pixels = np.ascontiguousarray(plane).astype("<u2", copy=False).tobytes()
            if transfer_syntax == ExplicitVRLittleEndian:
                write_file(partial / name, header, meta, pixels=pixels, known=shared)
            else:
                write_file(partial / name, _compressed(header, pixels, transfer_syntax), meta, known=shared)
        _put_in_place(partial, folder)
    except OSError as error:
        raise OutputError(
            str(folder),
            error.strerror or type(error).__name__,
            "a folder that can be written",
            "Check the folder's permissions and the free space, or choose another output folder.",
        ) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
    return tuple(folder / name for name in names)


def _identity(
    study: Study, stations: Sequence[Station], contrast: Contrast, grid: Grid, values: StoredValues
) -> tuple[str, ...]:
    digest = hashlib.sha256(np.ascontiguousarray(values.stored).data)
    digest.update(repr((values.slope, values.intercept)).encode())
    digest.update(np.round(grid.affine, 6).tobytes())
    for station in stations:
        digest.update("\0".join((station.series_uid, *station.sop_instance_uids)).encode())
        digest.update(repr(station.frame_numbers).encode() if station.frame_numbers else b"")
    return study.study_uid, contrast.value, software_version(), digest.hexdigest(), *study.deidentified


def _headers(
    shared: Dataset, grid: Grid, stations: Sequence[Station], identity: tuple[str, ...]
) -> tuple[Dataset, ...]:
    by_station = [source_slices(grid, station) for station in stations]
    normal = grid.affine[:3, 2] / np.linalg.norm(grid.affine[:3, 2])
    headers = []
    references: dict[tuple[range, ...], Dataset] = {}
    for k, position in enumerate(positions_mm(grid)):
        header = Dataset()
        header.update(shared)  # the planes share these element objects; those that are set below are new for each
        header.SOPInstanceUID = derived_uid("derived-instance", *identity, str(k))
        header.InstanceNumber = k + 1
        header.ImagePositionPatient = [format_number_as_ds(float(v)) for v in np.round(position, 9)]
        header.SliceLocation = format_number_as_ds(round(float(position @ normal), 6))
        reads = tuple(slices[k] for slices in by_station)
        if reads not in references:  # all planes through a coronal station read the same hundred images
            references[reads] = _references(stations, reads)
        header.update(references[reads])
        headers.append(header)
    return tuple(headers)


def _references(stations: Sequence[Station], reads: Sequence[range]) -> Dataset:
    """The two sequences that name the images of which a plane was made; none if there are none."""
    sources = [
        (station.series_uid, source_image_items(station, slices))
        for station, slices in zip(stations, reads, strict=True)
    ]
    found = Dataset()
    if items := [item for _, some in sources for item in some]:
        found.SourceImageSequence = items
        found.ReferencedSeriesSequence = referenced_series(sources)
    return found


def _file_meta(transfer_syntax: UID) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.ImplementationClassUID = UID(_IMPLEMENTATION_UID)
    meta.ImplementationVersionName = _IMPLEMENTATION_NAME
    meta.TransferSyntaxUID = transfer_syntax
    return meta


def _compressed(header: Dataset, pixels: bytes, transfer_syntax: UID) -> Dataset:
    image = Dataset()
    image.update(header)
    image.file_meta = _file_meta(ExplicitVRLittleEndian)
    image.PixelData = pixels
    image["PixelData"].VR = "OW"
    image.compress(transfer_syntax, generate_instance_uid=False)
    return image


def _put_in_place(partial: Path, folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        # A folder can only replace an empty one, so the old one is first renamed to a temporary name.
        old = partial.with_name(f"{partial.name}.old")
        folder.rename(old)
        try:
            partial.rename(folder)
        except OSError:
            old.rename(folder)
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        partial.rename(folder)
