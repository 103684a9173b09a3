"""Write one synthetic participant's study: the DICOM and the truth."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from operators.core.errors import OutputError, UsageError
from operators.core.nrrd_files import write_segmentation
from operators.core.output_files import check_writable, new_folder
from operators.core.volume import Grid, Volume
from phantom.acquisition import StationImages, acquire_study
from phantom.anatomy import Tissues, body_grid, build_tissues
from phantom.archive import write_folder, write_zip, zip_name
from phantom.composing import composed_series
from phantom.dicom_files import SYNTHETIC_STATEMENT, DicomFile, dicom_files
from phantom.dicom_series import Patient, Series, series_of_study
from phantom.dixon_signal import AcquisitionOptions
from phantom.faults import FAULTS, FaultRecord, apply_faults
from phantom.options import COMPRESSED, Composed, VendorName
from phantom.participant import Participant, draw_participant
from phantom.planes import Plane
from phantom.station_geometry import StationGeometry, coverage_mm, in_plane, stations_of
from phantom.truth import Truth, Volumes, count_volumes, mean_fat_fractions
from phantom.vendors.files import VENDORS, vendor_files
from phantom.vendors.vendor import Vendor

__all__ = ["SIDES_UNKNOWN", "WrittenStudy", "eid_of", "write_study"]

SIDES_UNKNOWN = (
    "No volume by side where left and right cannot be told apart: the map shows too little of two legs, "
    "and the names of its labels do not state the side."
)
_TRUTH_VERSION = "1.0"


@dataclass(frozen=True)
class WrittenStudy:
    """The study that `write_study` made.

    Attributes
    ----------
    dicom : Path
        The folder of series, or the zip.
    truth_folder : Path
        Holds ``labels.seg.nrrd`` and ``truth.json``.
    truth : Truth
    participant : Participant
    eid : str
    faults : tuple of FaultRecord
    """

    dicom: Path
    truth_folder: Path
    truth: Truth
    participant: Participant
    eid: str
    faults: tuple[FaultRecord, ...]


def eid_of(seed: int) -> str:
    """A participant identifier in the archive's format, in a range (from 9 million) that the archive does not use."""
    return str(9_000_000 + seed % 1_000_000)


def write_study(
    out: Path | str,
    *,
    seed: int = 0,
    participant: Participant | None = None,
    stations: int | Sequence[StationGeometry] = 6,
    orientation: Plane = "axial",
    composed: Composed | None = None,
    vendor: VendorName | None = None,
    faults: Sequence[str] = (),
    zip_archive: bool = False,
    compress: bool = False,
    options: AcquisitionOptions = AcquisitionOptions(),  # noqa: B008 - frozen
    tissue_spacing_mm: tuple[float, float, float] = (2.0, 2.0, 2.0),
    show_progress: bool = False,
    tissues: Tissues | None = None,
) -> WrittenStudy:
    """Make one participant and write the study and its truth.

    Parameters
    ----------
    out : path
        ``out/dicom/<series>/<slice>.dcm`` or ``out/<eid>_20201_2_0.zip``, and
        ``out/truth/{labels.seg.nrrd, truth.json}``.
    seed : int
        Seed of the participant, if none is given.
    participant : Participant, optional
        Its own seed also decides the scan.
    stations : int or sequence of StationGeometry
        4 to 6 are the lowest of the archive's six; 3, 2 and 1 are as many large ones over pelvis to knee. Or other
        stations, superior to inferior.
    orientation : {"axial", "coronal", "sagittal"}
        Plane in which they are acquired.
    composed : {"only", "beside", "mpr"}, optional
        Also write the volume that a scanner composes of the stations (``beside`` them), write it instead of them
        (``only``), or instead of them a volume reformatted in another plane (``mpr``).
    vendor : str, optional
        Name from `phantom.vendors.files.VENDORS`, or ``composed``, which is ``composed="only"``. By default, the
        archive's way of writing.
    faults : sequence of str
        Names from `phantom.faults.FAULTS`, or ``compressed``.
    zip_archive : bool
    compress : bool
        Compress pixel data with JPEG lossless.
    options : AcquisitionOptions
    tissue_spacing_mm : tuple of float, (x, y, z)
        Spacing of the tissue and truth grid.
    show_progress : bool
        Show a progress bar on standard error.
    tissues : Tissues, optional
        The body to scan, such as one of `phantom.painting.paint`. Default: the participant's own.

    Returns
    -------
    WrittenStudy

    Raises
    ------
    UsageError
        If a fault is unknown, or the study is too small for it.
    OutputError
        If the output exists already or cannot be written.
    """
    out = Path(out)
    if vendor == "composed":
        vendor, composed = None, composed or "only"
    known = [name for name in faults if name != COMPRESSED]
    _check_faults(known)
    if composed is not None and vendor not in (None, "siemens"):
        raise UsageError("--composed", f"with --vendor {vendor}", "no vendor, or siemens", "Leave one of the two out.")
    compress = compress or COMPRESSED in faults
    person = draw_participant(seed) if participant is None else participant
    eid = eid_of(person.seed)
    geometry = (
        stations_of(stations, orientation) if isinstance(stations, int) else in_plane(tuple(stations), orientation)
    )
    target = out / (zip_name(eid) if zip_archive else "dicom")
    truth_folder = out / "truth"
    for path in (target, truth_folder):
        if path.exists():
            raise OutputError(str(path), "it exists already", "a new name", "Remove it, or choose another --out.")
    check_writable(out)

    with tqdm(total=3 + 5 * len(geometry), disable=not show_progress, unit="step", leave=False) as bar:
        bar.set_description("body")
        if tissues is None:
            tissues = build_tissues(person, body_grid(person, tissue_spacing_mm))
        bar.update(2)
        bar.set_description("truth")
        truth = _truth_of(tissues, geometry)
        bar.update()
        bar.set_description("scan")
        scanned = acquire_study(tissues, geometry, options, person.seed, lambda items: _counted(items, bar))
        del tissues  # frees the largest arrays; writing needs only the images
        as_vendor = None if vendor is None else VENDORS[vendor]
        series = _series(scanned, person.seed, composed)
        series, records = apply_faults(as_vendor.arrange(series) if as_vendor else series, known, person.seed)
        if COMPRESSED in faults:
            records += (FaultRecord(COMPRESSED, "pixel data are JPEG lossless (process 14, selection value 1)"),)
        patient = Patient(eid, person.sex, person.age_years, person.height_cm, person.weight_kg)
        bar.set_description("write")
        _write_truth(truth_folder, truth, _truth_json(truth, person, eid, scanned, records, options))
        files = _files(series, patient, compress, bar, as_vendor)
        try:
            if zip_archive:
                write_zip(files, target, deflate=not compress)
            else:
                write_folder(files, target)
        except BaseException:
            shutil.rmtree(truth_folder, ignore_errors=True)  # we made it, and a truth without a study is useless
            raise
    return WrittenStudy(target, truth_folder, truth, person, eid, records)


def _series(scanned: Sequence[StationImages], seed: int, composed: Composed | None) -> list[Series]:
    stations = [] if composed in ("only", "mpr") else series_of_study(scanned, seed)
    if composed is None:
        return stations
    return [*stations, *composed_series(scanned, seed, "mpr" if composed == "mpr" else "composed")]


def _check_faults(names: Sequence[str]) -> None:
    """Check the arguments, before minutes are spent on a study that cannot be made."""
    for name in names:
        if name not in FAULTS:
            choices = ", ".join(sorted([*FAULTS, COMPRESSED]))
            raise UsageError("--fault", repr(name), f"one of {choices}", "Check the spelling.")


def _counted(items: Sequence[StationGeometry], bar: tqdm[Any]) -> Iterator[StationGeometry]:
    for item in items:
        yield item
        bar.update()


def _files(
    series: Sequence[Series], patient: Patient, compress: bool, bar: tqdm[Any], vendor: Vendor | None
) -> Iterator[DicomFile]:
    if vendor is not None:
        yield from vendor_files(series, patient, vendor, compress=compress)
        return
    for one in series:
        yield from dicom_files(one, patient, compress=compress)
        bar.update()


def _truth_of(tissues: Tissues, stations: Sequence[StationGeometry]) -> Truth:
    labels, grid = tissues.labels, tissues.grid
    return Truth(
        labels=Volume(labels, grid),
        volumes=count_volumes(labels, grid, sides=tissues.sides),
        covered_volumes=count_volumes(labels, grid, coverage_mm(stations), tissues.sides),
        fat_fractions=mean_fat_fractions(labels, tissues.water, tissues.fat),
        body=tissues.body,
    )


def _write_truth(folder: Path, truth: Truth, facts: dict[str, Any]) -> None:
    """Write both truth files, complete or not at all."""
    with new_folder(folder) as partial:
        write_segmentation(partial / "labels.seg.nrrd", truth.labels)
        (partial / "truth.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _truth_json(
    truth: Truth,
    participant: Participant,
    eid: str,
    scanned: Sequence[StationImages],
    faults: Sequence[FaultRecord],
    options: AcquisitionOptions,
) -> dict[str, Any]:
    whole, covered = truth.volumes, truth.covered_volumes
    return {
        "truth_version": _TRUTH_VERSION,
        "statement": SYNTHETIC_STATEMENT,
        "eid": eid,
        "participant": {**asdict(participant), "weight_kg": round(participant.weight_kg, 3)},
        "faults": [asdict(fault) for fault in faults],
        "grid": _grid_json(truth.labels.grid),
        "acquisition": {
            "options": asdict(options),
            "stations": [
                {
                    "station": number,
                    "name": station.geometry.name,
                    "plane": station.geometry.plane,
                    "grid": _grid_json(station.geometry.grid),
                    "z_edges_mm": list(station.geometry.z_edges_mm),
                    "gain": station.gain,
                    "shift_mm": list(station.shift_mm),
                }
                for number, station in enumerate(scanned, start=1)
            ],
        },
        "z_mm": list(whole.z_mm),
        **({} if whole.sided else {"sides_unknown": SIDES_UNKNOWN}),
        **_volumes_json(whole, "", participant.height_cm / 100),
        "covered_z_mm": list(covered.z_mm),
        **_volumes_json(covered, "covered_", participant.height_cm / 100),
        "fat_fractions": dict(truth.fat_fractions),
    }


def _volumes_json(volumes: Volumes, prefix: str, height_m: float) -> dict[str, Any]:
    return {
        f"{prefix}volumes_cm3": {
            name: {"left": v.left_cm3, "right": v.right_cm3, "total": v.total_cm3}
            for name, v in volumes.structures.items()
        },
        f"{prefix}compartments_cm3": volumes.compartments_cm3(),
        f"{prefix}tmv_cm3": volumes.tmv_cm3,
        f"{prefix}pa_ratio": volumes.pa_ratio,
        f"{prefix}lr_asymmetry": volumes.lr_asymmetry,
        f"{prefix}phenotypes": volumes.phenotypes(height_m),
    }


def _grid_json(grid: Grid) -> dict[str, Any]:
    return {
        "space": "left-posterior-superior",
        "shape_zyx": list(grid.shape),
        "spacing_mm_xyz": list(grid.spacing_mm),
        "origin_mm_xyz": grid.origin_mm.tolist(),
        "affine": grid.affine.tolist(),
    }
