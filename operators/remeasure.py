"""Measuring a finished study again, with edited labels or with those of another tool.

The source DICOM is not read. Everything that is needed is in the run's output
folder: the fused volumes, the derived series and the report.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operators.core.contrast import Contrast
from operators.core.errors import InputError, InternalError
from operators.core.label_map import LabelMap, label_digest
from operators.core.model_card import ModelCard
from operators.core.options import LabelOptions, ReportOptions, recorded
from operators.core.output_folder import DICOM_FILES, PDF_FILES, missing, staged
from operators.core.stage_clock import StageClock
from operators.core.volume import QualityFlag, Volume
from operators.finished_study import FinishedStudy, check_finished, read_finished
from operators.pipeline import StudyResult
from operators.segmentation.label_map_files import CONFIDENCE_FILE, SEGMENTATION_FILE, SIDES_FILE, write_label_map

if TYPE_CHECKING:
    from operators.derived_series import SeriesHeaders

__all__ = ["REWRITTEN", "measure_study"]

REWRITTEN = (SEGMENTATION_FILE, "segmentation.dcm", "report.sr.dcm", "report.html", "report.json")
"""Files that measuring again writes. Fused volumes and derived series are not changed."""

#: Properties of labels made elsewhere that segmentation.seg.nrrd cannot hold.
_LOST = {
    "merged-structures": "structures that are labelled only together",
    "partial-labels": "labels that cover only a part of the body",
}


def measure_study(
    folder: Path | str,
    labels: Path | str | LabelOptions | None = None,
    *,
    page: ReportOptions | None = None,
    on_stage: Callable[[str, float | None], None] | None = None,
) -> StudyResult:
    """Measure a finished study again, and rewrite its segmentation and reports.

    Parameters
    ----------
    folder : Path or str
        Output folder of a run. Its files are replaced together when all new
        ones are complete. After an error, the folder is as it was before.
    labels : Path or LabelOptions, optional
        The labels to measure. None takes the folder's own
        ``segmentation.seg.nrrd`` as it is now, a path an edited copy of it, and
        options label maps that another tool made. The outputs still name the
        origin of edited labels (weights, training data), and say that they were
        edited by hand.
    page : ReportOptions, optional
        What the page shows besides the results; by default, a viewer if the run's page had one, and a PDF if the run
        wrote one.
    on_stage : callable, optional
        As for `operators.pipeline.process_study`: load, segment, write, report.

    Returns
    -------
    StudyResult

    Raises
    ------
    InputError
        When the folder is not that of a finished run, a file is missing or
        damaged, or the labels do not fit the fused volumes.
    SarcoMapError
        When labelling or writing fails.

    Examples
    --------
    >>> measure_study("out/1000123").phenotypes["tmv_cm3"]  # doctest: +SKIP
    7702.4
    """
    folder = Path(folder)
    labels = _edited_copy(Path(labels) if isinstance(labels, str) else labels)
    report = check_finished(folder, _needed(labels))
    if not isinstance(labels, LabelOptions):
        _check_own_labels(report)
    clock = StageClock(on_stage)
    with staged(folder, stale=(CONFIDENCE_FILE, SIDES_FILE, "nifti/segmentation*", *PDF_FILES)) as staging:
        finished = clock.run("load", partial(read_finished, folder, report))
        label_map, card = clock.run("segment", partial(_label, folder, finished, labels))
        clock.run("write", partial(_write, staging, folder, finished, label_map, card, labels))
        page = _page(report, page)
        options = _options(report, labels, page)
        clock.run("report", partial(_report, staging, finished, label_map, card, options, page, clock.seconds))
        names = (*REWRITTEN, *(PDF_FILES if page.pdf else ()))
        written = [name for name in names if not (finished.study.fused_elsewhere and name in DICOM_FILES)]
        if absent := missing(staging, tuple(written)):
            raise InternalError("measure", f"it ended without {', '.join(absent)}", "every report of a study")
    return StudyResult(folder, json.loads((folder / "report.json").read_text(encoding="utf-8")), clock.seconds)


def _edited_copy(labels: Path | LabelOptions | None) -> Path | LabelOptions | None:
    """Treat labels with our own scheme as the network's, edited, so that the outputs still name its training data."""
    if isinstance(labels, LabelOptions):
        if not labels.segmentation:
            return None
        if labels.scheme == ("ours",):
            return labels.segmentation[0]
    return labels


def _needed(labels: Path | LabelOptions | None) -> tuple[str, ...]:
    if isinstance(labels, LabelOptions):
        return ()
    return ("segmentation.dcm",) if labels else ("segmentation.dcm", SEGMENTATION_FILE)


def _check_own_labels(report: Mapping[str, Any]) -> None:
    codes = {flag["code"] for flag in report["quality"]["flags"]}
    if lost := [what for code, what in _LOST.items() if code in codes]:
        raise InputError(
            SEGMENTATION_FILE,
            f"it does not hold all that was measured: the run was given {' and '.join(lost)}",
            "a file that holds the labels as they were measured",
            "Edit the label map that the run was given, and give its scheme: --segmentation FILE --scheme NAME.",
        )


# Each stage imports what it needs, so that a folder that cannot be measured is refused at once.


def _label(folder: Path, finished: FinishedStudy, labels: Path | LabelOptions | None) -> tuple[LabelMap, ModelCard]:
    from operators.segmentation.edited import read_edited_labels
    from operators.segmentation.exchanged_labels import exchanged_flags
    from operators.segmentation.made_elsewhere import import_labels
    from operators.segmentation.plausible_anatomy import anatomy_flags

    if isinstance(labels, LabelOptions):
        return import_labels(finished.fused, labels.sources())
    grid = finished.fused.grid
    voxels, flags = read_edited_labels(labels or folder / SEGMENTATION_FILE, grid)
    earlier, known = finished.report["segmentation"], finished.labelling_flags
    card, confidence, by_label = finished.card, None, {}
    if label_digest(Volume(voxels, grid)) == earlier["labels_sha256"]:
        confidence = _confidence(folder, finished)
        by_label = _confidence_by_label(finished.report)
    else:
        card = card.after_editing()
        edited = f"The labels of {card.name} {card.version} were edited by hand after the run."
        doubts = (*anatomy_flags(LabelMap(voxels, grid), finished.fused), *exchanged_flags(voxels, grid))
        flags = (QualityFlag("labels-edited", "info", edited), *flags, *doubts)
        known = tuple(flag for flag in known if flag.code != "implausible-anatomy")  # it was of the earlier labels
    flags = tuple(dict.fromkeys((*known, *flags)))
    sides = _stated_sides(folder, finished)
    engine = earlier["engine"] or ""
    return LabelMap(voxels, grid, confidence, by_label, sides=sides, engine=engine, flags=flags), card


def _stated_sides(folder: Path, finished: FinishedStudy) -> Volume | None:
    """Left and right as the run's labels stated them. The middle divides voxels that were labelled since then."""
    from operators.core.nrrd_files import read_volume

    path = folder / SIDES_FILE
    if finished.report["quality"]["sides_from"] != "labels" or not path.is_file():
        return None
    sides = read_volume(path)
    return sides if sides.grid.same_as(finished.fused.grid) else None


def _confidence_by_label(report: Mapping[str, Any]) -> dict[int, tuple[float, float]]:
    """What the report says of the confidence of the same labels."""
    return {
        one["index"]: (one["confidence_mean"], one["confidence_low"])
        for one in report["structures"]
        if one.get("confidence_mean") is not None and one.get("confidence_low") is not None
    }


def _confidence(folder: Path, finished: FinishedStudy) -> Volume | None:
    """The network's confidence for these labels. A file is ignored if the run did not request it: it may be older."""
    from operators.core.nrrd_files import read_volume

    path = folder / CONFIDENCE_FILE
    if not finished.report["options"]["segmentation"]["confidence"] or not path.is_file():
        return None
    return read_volume(path)


def _write(
    staging: Path,
    folder: Path,
    finished: FinishedStudy,
    label_map: LabelMap,
    card: ModelCard,
    labels: Path | LabelOptions | None,
) -> None:
    from operators.core.nifti_copies import label_copies, write_nifti_copies
    from operators.dicom_seg_writer import write_seg

    write_label_map(staging, label_map)
    if finished.report["options"].get("nifti"):
        write_nifti_copies(staging, label_copies(label_map))
    if finished.study.fused_elsewhere:
        return
    read = _read_by_labels(folder, finished, labels)
    write_seg(staging / "segmentation.dcm", label_map, read, finished.study, card, finished.dicom)


def _read_by_labels(
    folder: Path, finished: FinishedStudy, labels: Path | LabelOptions | None
) -> tuple[SeriesHeaders, ...]:
    """The derived series that the segmentation refers to: the same as before, or water for labels of another tool."""
    if isinstance(labels, LabelOptions):
        chosen = tuple(series for series in finished.derived if series.contrast is Contrast.WATER)
    else:
        uids = _referenced(folder / "segmentation.dcm")
        chosen = tuple(series for series in finished.derived if series.series_uid in uids)
    return chosen or finished.derived


def _referenced(segmentation: Path) -> set[str]:
    import pydicom

    try:
        header = pydicom.dcmread(segmentation, stop_before_pixels=True)
        return {str(item.SeriesInstanceUID) for item in header.ReferencedSeriesSequence}
    except (OSError, AttributeError, pydicom.errors.InvalidDicomError) as error:
        raise InputError(
            segmentation.name,
            f"not readable ({type(error).__name__})",
            "the DICOM SEG of a finished run",
            "Process the study again with `sarcomap run`.",
        ) from error


def _page(report: Mapping[str, Any], page: ReportOptions | None) -> ReportOptions:
    page = page or ReportOptions()
    earlier = report["options"].get("report", {})
    viewer = earlier.get("viewer", "auto") if page.viewer == "auto" else page.viewer
    return replace(page, viewer=viewer, pdf=page.pdf or earlier.get("pdf", False))


def _options(report: Mapping[str, Any], labels: Path | LabelOptions | None, page: ReportOptions) -> dict[str, Any]:
    options = {**report["options"], "report": recorded(page)}
    if isinstance(labels, LabelOptions):
        options["labels"] = recorded(labels)
    return options


def _report(
    staging: Path,
    finished: FinishedStudy,
    label_map: LabelMap,
    card: ModelCard,
    options: Mapping[str, Any],
    page: ReportOptions,
    seconds: Mapping[str, float],
) -> None:
    from operators.phenotype_report import write_reports

    write_reports(
        staging,
        label_map,
        finished.fused,
        finished.study,
        card,
        None if finished.study.fused_elsewhere else staging / "segmentation.dcm",
        seconds,
        options,
        station_table=finished.report["quality"]["stations"],
        page=page,
    )
