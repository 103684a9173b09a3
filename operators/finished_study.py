"""Reading back the output folder of a finished run, so that it can be measured again without the source images."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operators.core.calibration import Calibration
from operators.core.contrast import Contrast
from operators.core.errors import InputError, SarcoMapError
from operators.core.label_map import LABELLING_FLAGS
from operators.core.model_card import ModelCard
from operators.core.options import DicomOptions
from operators.core.output_folder import DICOM_FILES, FUSED_FILES, absent_in, missing, without
from operators.core.volume import Fused, QualityFlag, Study

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from operators.derived_series import SeriesHeaders

__all__ = ["FinishedStudy", "check_finished", "read_finished", "read_from_nifti"]

_RUN_AGAIN = "Process the study again with `sarcomap run`."


@dataclass(frozen=True)
class FinishedStudy:
    """The outputs of a run that are needed for measuring and writing again.

    Attributes
    ----------
    report : mapping
        The content of ``report.json``.
    study : Study
        Without stations. UID, patient and de-identification come from the
        derived series, the pseudonym from the report. A de-identified study
        stays de-identified.
    fused : Fused
        Without stations, but with the report's overlaps and flags of loading
        and fusion.
    derived : tuple of SeriesHeaders
        In the order of the run's options.
    dicom : DicomOptions
        Options of the run.
    card : ModelCard
        Model card of the labels.
    labelling_flags : tuple of QualityFlag
        The report's flags of labelling, without those of measuring.
    """

    report: Mapping[str, Any]
    study: Study
    fused: Fused
    derived: tuple[SeriesHeaders, ...]
    dicom: DicomOptions
    card: ModelCard
    labelling_flags: tuple[QualityFlag, ...]


def check_finished(folder: Path, further: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Check quickly that a folder holds a finished run, and return its report.

    Parameters
    ----------
    folder : Path
    further : tuple of str
        Files that must exist besides the fused volumes and the derived series.

    Raises
    ------
    InputError
        When there is no report, it has another version, or a file is missing.
    """
    report = _report(folder)
    derived = tuple(f"derived/{contrast.value}/0001.dcm" for contrast in _derived(report))
    if read_from_nifti(report):
        further = tuple(name for name in further if name not in DICOM_FILES)
    if absent := missing(folder, (*without(FUSED_FILES, absent_in(report)), *derived, *further)):
        raise InputError(folder.name, f"no {', '.join(absent)}", "every file of a finished run", _RUN_AGAIN)
    return report


def read_finished(folder: Path, report: Mapping[str, Any]) -> FinishedStudy:
    """Read a finished run's files.

    Parameters
    ----------
    folder : Path
    report : mapping
        From `check_finished`.

    Raises
    ------
    InputError
        When a file is damaged, or the files are not from one run.
    """
    # Imported here, so that a wrong folder is reported before NumPy's compilers are loaded.
    from operators.derived_series import read_headers
    from operators.phenotype_report.measurements import MEASURING_FLAGS
    from operators.station_fusion import read_fused

    try:
        options = report["options"]["dicom"]
        contrasts = _derived(report)
        dicom = DicomOptions(options["seg_type"], options["compression"], contrasts or (Contrast.WATER,))
        calibration = report["calibration"]
        card = ModelCard(
            **report["model"], calibration=None if calibration is None else Calibration.of_record(calibration)
        )
        flags = tuple(_flag(flag) for flag in report["quality"]["flags"])
        overlaps = tuple(report["quality"]["overlaps"])
    except (KeyError, TypeError, ValueError, SarcoMapError) as error:
        raise _no_report(f"not what a run writes ({type(error).__name__})") from error
    fused = read_fused(folder)
    derived = tuple(read_headers(folder / "derived" / c.value, c, fused.grid) for c in contrasts)
    header = derived[0].headers[0] if derived else None
    if header is not None and header.StudyInstanceUID != report["study"]["study_uid"]:
        raise InputError("derived/", "images of another study than report.json", "files of one run", _RUN_AGAIN)
    # Flags that neither labelling nor measuring declares are those of loading and fusion. Labelling and measuring
    # check that all their flags are declared.
    stay = tuple(flag for flag in flags if flag.code not in LABELLING_FLAGS | MEASURING_FLAGS)
    return FinishedStudy(
        report=report,
        study=_study_of_nifti(report) if header is None else _study(header, report),
        fused=replace(fused, overlaps=overlaps, flags=stay, engine=_fusion_engine(report)),
        derived=derived,
        dicom=dicom,
        card=card,
        labelling_flags=tuple(flag for flag in flags if flag.code in LABELLING_FLAGS),
    )


def read_from_nifti(report: Mapping[str, Any]) -> bool:
    """Whether a run read NIfTI, so that it wrote no DICOM."""
    return any(flag["code"] == "nifti-input" for flag in report["quality"]["flags"])


def _derived(report: Mapping[str, Any]) -> tuple[Contrast, ...]:
    """The contrasts that were written as DICOM series: none of a study that was read from NIfTI."""
    if read_from_nifti(report):
        return ()
    asked = tuple(Contrast(name) for name in report["options"]["dicom"]["derived"])
    return DicomOptions(derived=asked).derived_without(absent_in(report))


def _flag(entry: Mapping[str, Any]) -> QualityFlag:
    low, high = entry.get("z_mm") or (None, None)
    return QualityFlag(
        entry["code"],
        entry["severity"],
        entry["message"],
        z_mm=None if low is None or high is None else (low, high),
        structures=tuple(entry.get("structures", ())),
        quantities=tuple(entry.get("quantities", ("volume", "fat"))),
    )


def _report(folder: Path) -> Mapping[str, Any]:
    if not folder.is_dir():
        raise InputError(str(folder), "no such folder", "the output folder of `sarcomap run`", "Check the path.")
    path = folder / "report.json"
    if not path.is_file():
        if not missing(folder, FUSED_FILES):
            raise InputError(
                str(folder),
                "fused volumes only",
                "a finished run",
                "Process the study again without --fuse-only; --segmentation and --scheme take labels made elsewhere.",
            )
        raise InputError(str(folder), "no report.json", "the output folder of a finished run", "Check the path.")
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        version = report["schema_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_report(f"not readable ({type(error).__name__})") from error
    _check(report, version)
    checked: Mapping[str, Any] = report
    return checked


def _check(report: Mapping[str, Any], version: object) -> None:
    from operators.core.report_schema import schema_version

    if version != schema_version():
        raise _no_report(f"version {version}", f"version {schema_version()}, which this SarcoMAP writes")
    from operators.phenotype_report.report import validate

    try:
        validate(report)
    except SarcoMapError as error:
        raise _no_report(error.found) from error
    if "options" not in report or not report.get("segmentation", {}).get("labels_sha256"):
        raise _no_report("neither options nor a digest of the labels: an older SarcoMAP wrote it")


def _no_report(found: str, expected: str = "the report of a finished run") -> InputError:
    return InputError("report.json", found, expected, _RUN_AGAIN)


def _study(header: Dataset, report: Mapping[str, Any]) -> Study:
    from operators.core.dicom_objects import deidentification_codes, patient_of
    from operators.core.standing_height import height_of

    patient = patient_of(header)
    return Study(
        stations=(),
        study_uid=str(header.StudyInstanceUID),
        pseudonym=report["study"]["pseudonym"],
        visit=report["study"].get("visit"),
        height_m=height_of(patient) or _height_of_index(report["phenotypes"]),
        patient=patient,
        deidentified=deidentification_codes(header),
    )


def _study_of_nifti(report: Mapping[str, Any]) -> Study:
    return Study(
        stations=(),
        study_uid=report["study"]["study_uid"],
        pseudonym=report["study"]["pseudonym"],
        height_m=_height_of_index(report["phenotypes"]),
        fused_elsewhere=True,
    )


def _height_of_index(phenotypes: Mapping[str, float | None]) -> float | None:
    """The height from which the earlier index was computed; it may come from an image whose header was not kept."""
    volume, index = phenotypes["tmv_cm3"], phenotypes["tvi_cm3_per_cm2"]
    return round(math.sqrt(volume / index) / 100.0, 4) if volume and index else None


def _fusion_engine(report: Mapping[str, Any]) -> str:
    """What resampled the stations; empty for a report that does not say."""
    return str((report.get("fusion") or {}).get("engine") or "")
