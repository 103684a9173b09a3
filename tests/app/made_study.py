"""A synthetic participant at a quarter of the archive's resolution, and ways to run the application on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.__main__ import main
from operators.core.volume import Volume
from phantom.acquisition import acquire_study
from phantom.anatomy import body_grid, build_tissues
from phantom.archive import write_folder, write_zip
from phantom.dicom_files import DicomFile, dicom_files
from phantom.dicom_series import Patient, Series, series_of_study
from phantom.dixon_signal import AcquisitionOptions
from phantom.faults import apply_faults
from phantom.participant import draw_participant
from phantom.station_geometry import archive_stations, coarser, coverage_mm
from phantom.truth import Truth, count_volumes

__all__ = [
    "NAME",
    "PATIENT",
    "ROOT",
    "Scanned",
    "clean_environment",
    "contents",
    "linked_copy",
    "run_app",
    "run_here",
    "scan",
]

ROOT = Path(__file__).resolve().parents[2]
SEED = 11
PATIENT = Patient("9000011", "F", 71.6, 158.25, 61.3)
NAME = "PHANTOM"  # the patient's name in every header


@dataclass(frozen=True)
class Scanned:
    """A scanned study before it is written.

    Attributes
    ----------
    series : list of Series
        Six stations of four contrasts.
    truth : Truth
    """

    series: list[Series]
    truth: Truth

    def write_folder(self, folder: Path, faults: Sequence[str] = (), stations: int = 4) -> Path:
        """The lowest ``stations`` as a folder of series."""
        return write_folder(self._files(faults, stations), folder)

    def write_zip(self, path: Path, faults: Sequence[str] = (), stations: int = 4) -> Path:
        """The same as one zip."""
        return write_zip(self._files(faults, stations), path)

    def _files(self, faults: Sequence[str], stations: int) -> Iterator[DicomFile]:
        lowest = sorted({s.station for s in self.series})[-stations:]
        series, _ = apply_faults([s for s in self.series if s.station in lowest], faults, SEED)
        for one in series:
            yield from dicom_files(one, PATIENT)


def scan() -> Scanned:
    """Scan all six stations with noise, coil bias and gains."""
    stations = coarser(archive_stations(6))
    person = draw_participant(SEED)
    tissues = build_tissues(person, body_grid(person, (6.0, 6.0, 6.0)))
    volumes = count_volumes(tissues.labels, tissues.grid)
    covered = count_volumes(tissues.labels, tissues.grid, coverage_mm(stations))
    truth = Truth(Volume(tissues.labels, tissues.grid), volumes, covered, {}, tissues.body)
    return Scanned(series_of_study(acquire_study(tissues, stations, AcquisitionOptions(), SEED), SEED), truth)


def run_app(*arguments: object, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``python -m app`` in its own process."""
    return subprocess.run(
        [sys.executable, "-m", "app", *map(str, arguments)],
        cwd=ROOT,
        env=clean_environment() | dict(environment or {}),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def clean_environment() -> dict[str, str]:
    """The environment without variables that a user may have set for Holoscan."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HOLOSCAN_")}


def run_here(*arguments: object) -> int:
    """The same in this process, which saves the imports; returns the exit code."""
    with warnings.catch_warnings():
        return main([str(argument) for argument in arguments])


def linked_copy(study: Path, target: Path) -> Path:
    """A copy by hard links: tests must replace files and never change them in place."""
    shutil.copytree(study, target, copy_function=os.link)
    return target


def contents(folder: Path) -> dict[str, bytes] | None:
    """Every file below a folder with its bytes and every subfolder without; None if the folder does not exist."""
    if not folder.exists():
        return None
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }
