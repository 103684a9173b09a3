"""The whole fifth stage: measure, and write the report in its three forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.sr.codedict import codes

from operators.core import clock
from operators.core.dicom_objects import is_synthetic
from operators.core.errors import OutputError
from operators.core.label_map import label_digest
from operators.core.model_card import ModelCard
from operators.core.options import ReportOptions, RunOptions
from operators.core.output_files import replacing
from operators.core.volume import Fused, Study, Volume
from operators.phenotype_report.encapsulated_pdf import write_encapsulated_pdf
from operators.phenotype_report.html import PageContent, Picture, pictures_of, render_html, write_html
from operators.phenotype_report.measurements import Measurements
from operators.phenotype_report.page_content import page_content
from operators.phenotype_report.pdf import make_pdf
from operators.phenotype_report.phenotypes import measure
from operators.phenotype_report.report import build_report, unique_flags, write_report
from operators.phenotype_report.sr import write_sr
from operators.phenotype_report.uncertainty import with_intervals

__all__ = ["ReportFiles", "write_reports"]


@dataclass(frozen=True)
class ReportFiles:
    """The report files of a study, and the measurements in them.

    Attributes
    ----------
    json, html : Path
    sr : Path or None
        None for a study without DICOM.
    pdf, encapsulated_pdf : Path or None
        The printed page, if it was requested; inside a DICOM object, if the study has DICOM.
    measurements : Measurements
    """

    json: Path
    html: Path
    sr: Path | None
    measurements: Measurements
    pdf: Path | None = None
    encapsulated_pdf: Path | None = None


def write_reports(
    folder: Path | str,
    labels: Volume,
    fused: Fused,
    study: Study,
    model: ModelCard,
    segmentation: Path | str | None,
    timings_s: Mapping[str, float] | None = None,
    options: RunOptions | Mapping[str, Any] | None = None,
    *,
    station_table: Sequence[Mapping[str, Any]] | None = None,
    page: ReportOptions | None = None,
) -> ReportFiles:
    """Measure a label map and write ``report.json``, ``report.html`` and ``report.sr.dcm``; and the PDF if asked for.

    Parameters
    ----------
    folder : Path or str
    labels, fused, study, model
        See `measure` and `build_report`.
    segmentation : Path, str or None
        The DICOM SEG of ``labels``, which the SR refers to; without one (None or empty), no SR is written.
    timings_s : mapping of str to float, optional
        Seconds of the earlier stages. The time spent here before the JSON is
        written is added to ``write``.
    options, station_table
        See `build_report`.
    page : ReportOptions, optional
        What the page shows besides the results; by default, what ``options`` say.

    Raises
    ------
    InputError
        When the reference or the earlier report of ``page`` cannot be used.
    OutputError
        When a file cannot be written, or the DICOM SEG cannot be read back.
    UsageError
        When a PDF is asked for and WeasyPrint is missing.
    """
    start = clock.seconds()
    folder = Path(folder)
    measurements = measure(
        labels, fused, study.height_m, study.flags, sex=study.patient.get("PatientSex"), no_height=_no_height(study)
    )
    flags = unique_flags(study, fused, measurements)
    measurements = with_intervals(measurements, labels, fused, flags, model, options, synthetic=is_synthetic(study))
    header = _header(Path(segmentation)) if segmentation else None
    sr = None if header is None else write_sr(folder / "report.sr.dcm", measurements, header, fused, study, model)
    pictures = pictures_of(labels, fused, measurements)
    timings = dict(timings_s or {})
    timings["write"] = timings.get("write", 0.0) + clock.seconds() - start
    report = build_report(
        measurements,
        fused,
        study,
        model,
        timings,
        options,
        labels_sha256=label_digest(labels),
        station_table=station_table,
    )
    shown = page or _page_options(options)
    further = page_content(report, labels, fused, study, measurements, shown)
    html = write_html(folder / "report.html", report, pictures, further)
    printed = _write_pdf(folder, report, pictures, further, header, study) if shown.pdf else (None, None)
    # Written last, because programs that collect reports take its presence as the sign of a finished study.
    json = write_report(folder / "report.json", report)
    return ReportFiles(json, html, sr, measurements, *printed)


def _write_pdf(
    folder: Path,
    report: Mapping[str, Any],
    pictures: Sequence[Picture],
    further: PageContent,
    segmentation: pydicom.Dataset | None,
    study: Study,
) -> tuple[Path, Path | None]:
    pdf = make_pdf(render_html(report, pictures, further, still=True))
    with replacing(folder / "report.pdf") as temporary:
        temporary.write_bytes(pdf)
    if segmentation is None:
        return folder / "report.pdf", None
    path = write_encapsulated_pdf(folder / "report.pdf.dcm", pdf, report, segmentation, study, further)
    return folder / "report.pdf", path


def _no_height(study: Study) -> str | None:
    """Why there is no height, where de-identification is the reason."""
    if not study.deidentified or codes.DCM.RetainPatientCharacteristicsOption.value in study.deidentified:
        return None
    return "De-identification removed the standing height; --keep-characteristics keeps it."


def _page_options(options: RunOptions | Mapping[str, Any] | None) -> ReportOptions:
    return options.report if isinstance(options, RunOptions) else ReportOptions()


def _header(segmentation: Path) -> pydicom.Dataset:
    try:
        return pydicom.dcmread(segmentation, stop_before_pixels=True)
    except (OSError, pydicom.errors.InvalidDicomError) as error:
        raise OutputError(
            str(segmentation),
            f"cannot be read back ({type(error).__name__})",
            "the DICOM SEG that was just written",
            "Check the output folder, then run the study again.",
        ) from error
