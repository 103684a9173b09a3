"""Processing of one study as plain calls: load, fuse, segment, write DICOM, measure and report.

It needs neither MONAI Deploy nor Holoscan. The MONAI Deploy application
(`app.application`) calls the same five functions from its operators and writes
the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operators.core.contrast import Contrast
from operators.core.cuda_driver import driver_sees_device
from operators.core.errors import InternalError
from operators.core.model_card import SHIPPED_BUNDLE
from operators.core.options import RunOptions
from operators.core.output_folder import (
    DICOM_FILES,
    FUSED_FILES,
    OUTPUT_FILES,
    PDF_FILES,
    missing,
    refuse_other_study,
    staged,
    without,
)
from operators.core.quiet_dicom import dicom_is_quiet
from operators.core.stage_clock import StageClock

if TYPE_CHECKING:
    from operators.core.label_map import LabelMap
    from operators.core.model_card import ModelCard
    from operators.core.volume import Fused, Study
    from operators.segmentation import SegmentationModel

__all__ = ["StudyResult", "expected_files", "fuse_study", "model_of", "process_study"]

OnStage = Callable[[str, float | None], None]
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class StudyResult:
    """The result of a run: its output folder, report and timings.

    Attributes
    ----------
    folder : Path
    report : mapping
        The content of ``report.json``; empty for a study that was only fused.
    seconds : mapping of str to float
        Duration of each stage.

    Examples
    --------
    >>> StudyResult(Path("out"), {"phenotypes": {"tmv_cm3": 7738.0}}, {}).phenotypes["tmv_cm3"]
    7738.0
    """

    folder: Path
    report: Mapping[str, Any]
    seconds: Mapping[str, float]

    @property
    def phenotypes(self) -> Mapping[str, float | None]:
        """Phenotypes by key; None for a value that is not given."""
        found: Mapping[str, float | None] = self.report.get("phenotypes", {})
        return found

    @property
    def flags(self) -> tuple[Mapping[str, str], ...]:
        """Quality flags, most severe first, each with ``code``, ``severity`` and ``message``."""
        return tuple(self.report.get("quality", {}).get("flags", ()))


def process_study(
    source: Path | str,
    output: Path | str,
    options: RunOptions | None = None,
    *,
    model: SegmentationModel | Path | str | None = None,
    on_stage: OnStage | None = None,
    on_progress: OnProgress | None = None,
    gpu_turn: AbstractContextManager[None] | None = None,
) -> StudyResult:
    """Load, fuse, segment, write and report one study.

    Parameters
    ----------
    source : Path or str
        A zip (UK Biobank field 20201) or a folder of DICOM files; or volumes fused elsewhere, as NIfTI: the water
        image, or a folder with one file for each contrast.
    output : Path or str
        Folder for the results. They appear together when all are complete.
        After an error, the folder is as it was before.
    options : RunOptions, optional
    model : SegmentationModel or Path, optional
        A model from `model_of` or `load_model`, which can be used for many
        studies, or the folder of a MONAI bundle. Default: the shipped
        bundle. Not used if ``options.labels`` names label maps.
    on_stage : callable, optional
        Called with a stage's name and None when the stage starts, and with its
        name and duration in seconds when it ends. The stages are load, fuse,
        segment, write and report.
    on_progress : callable, optional
        Called while files are read, with the number of reads done and the total.
    gpu_turn : context manager, optional
        Entered around the labelling, the only stage that needs much of a GPU's memory; other studies that are
        processed at the same time wait there. See `operators.study_stream`.

    Returns
    -------
    StudyResult

    Raises
    ------
    SarcoMapError
        When a stage fails.

    Examples
    --------
    >>> result = process_study("1000123_20201_2_0.zip", "out/1000123")  # doctest: +SKIP
    >>> result.phenotypes["tmv_cm3"]  # doctest: +SKIP
    7738.1
    """
    options, output = options or RunOptions(), Path(output)
    with dicom_is_quiet(), staged(output) as folder, _beside(options) as beside:
        network = model_of(model, options)
        clock = StageClock(on_stage)
        study = clock.run("load", partial(_load, Path(source), options, on_progress))
        refuse_other_study(output, study.study_uid, overwrite=options.overwrite)
        _check_page(study, options)
        fused = clock.run("fuse", partial(_fuse, folder, study, options, beside))
        study, fused = _without_station_voxels(study, fused)
        with gpu_turn or nullcontext():
            labels, card = clock.run("segment", partial(_segment, folder, fused, network, options))
        beside.finish()
        segmentation = clock.run("write", partial(_write, folder, labels, fused, study, card, network, options))
        clock.run("report", partial(_report, folder, labels, fused, study, card, segmentation, options, clock.seconds))
        _check_whole(folder, expected_files(options, fused.absent, dicom=not study.fused_elsewhere))
    return StudyResult(output, json.loads((output / "report.json").read_text(encoding="utf-8")), clock.seconds)


def fuse_study(
    source: Path | str,
    output: Path | str,
    options: RunOptions | None = None,
    *,
    on_stage: OnStage | None = None,
    on_progress: OnProgress | None = None,
) -> StudyResult:
    """Load and fuse one study, and write its fused volumes only.

    Parameters and errors are those of `process_study`.
    """
    options, output = options or RunOptions(), Path(output)
    with dicom_is_quiet(), staged(output) as folder:
        clock = StageClock(on_stage)
        study = clock.run("load", partial(_load, Path(source), options, on_progress))
        refuse_other_study(output, study.study_uid, overwrite=options.overwrite)
        fused = clock.run("fuse", partial(_fuse, folder, study, options, _Beside(None)))
        if options.nifti:
            clock.run("write", partial(_write_copies, folder, fused))
        _check_whole(folder, without(FUSED_FILES, fused.absent))
    return StudyResult(output, {}, clock.seconds)


def model_of(model: SegmentationModel | Path | str | None, options: RunOptions) -> SegmentationModel | None:
    """The network to run: the given one, or loaded from a bundle; None if labels made elsewhere replace it."""
    if options.labels.replace_network:
        tool = options.labels.tool()
        if tool is not None:
            from operators.segmentation.other_tool import check_installed

            check_installed(tool)  # before the work, not after it
        return None
    if model is not None and not isinstance(model, Path | str):
        return model
    from operators.segmentation import load_model

    return load_model(Path(model or SHIPPED_BUNDLE), trusted=options.trust_bundle)


def expected_files(options: RunOptions, absent: Collection[str] = (), *, dicom: bool = True) -> tuple[str, ...]:
    """The files that every complete run with these options writes, for a study without the ``absent`` contrasts.

    Without ``dicom``, for a study that was read from NIfTI.
    """
    from operators.core.nifti_copies import nifti_names

    files = (*without(OUTPUT_FILES, absent), *(PDF_FILES if options.report.pdf else ()))
    copies = nifti_names(without(FUSED_FILES, absent)) if options.nifti else ()
    if not dicom:
        return (*(name for name in files if name not in DICOM_FILES), *copies)
    derived = tuple(f"derived/{contrast.value}/0001.dcm" for contrast in options.dicom.derived_without(absent))
    return (*files, *derived, *copies)


# Each stage imports what it needs, so that a run that fails early does not wait for PyTorch.


def _load(source: Path, options: RunOptions, on_progress: OnProgress | None) -> Study:
    from operators.core.options import with_person
    from operators.nifti_loader import is_nifti, load_nifti

    if is_nifti(source):
        return with_person(load_nifti(source, progress=on_progress), options.reading.person)
    from operators.dicom_loader import load_study
    from operators.station_fusion import stations_to_fuse

    study = load_study(
        source,
        progress=on_progress,
        allow_missing_slices=options.reading.allow_missing_slices,
        one_frame_of_reference=options.reading.one_frame_of_reference,
        study_uid=options.reading.study_uid,
        select=partial(stations_to_fuse, choice=options.fusion.stations),
        deidentification=options.deidentification.chosen(),
    )
    return with_person(study, options.reading.person)


def _check_page(study: Study, options: RunOptions) -> None:
    """Refuse what the page cannot be made with before the work that takes minutes."""
    if options.report.pdf:
        from operators.phenotype_report.pdf import check_pdf

        check_pdf()
    if options.report.reference is not None:
        from operators.core.dicom_objects import is_synthetic
        from operators.phenotype_report.percentiles import read_reference

        read_reference(options.report.reference, is_synthetic(study))


def _fuse(folder: Path, study: Study, options: RunOptions, beside: _Beside) -> Fused:
    from operators.station_fusion import fused_of, write_fused_volumes

    fused = fused_of(study, options.fusion)
    beside.do(partial(write_fused_volumes, folder, fused))
    return fused


class _Beside:
    """Work that is done at once, or beside what follows if there is a thread for it."""

    def __init__(self, pool: ThreadPoolExecutor | None) -> None:
        self._pool = pool
        self._begun: list[Future[object]] = []

    def do(self, work: Callable[[], object]) -> None:
        """Do the work, or begin it."""
        if self._pool is None:
            work()
        else:
            self._begun.append(self._pool.submit(work))

    def finish(self) -> None:
        """Wait for what was begun, and raise its error."""
        while self._begun:
            self._begun.pop().result()


@contextmanager
def _beside(options: RunOptions) -> Iterator[_Beside]:
    """Fused volumes are compressed while a GPU labels them; on the CPU, the network needs the cores itself."""
    if options.device == "cpu" or not driver_sees_device():
        yield _Beside(None)
        return
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield _Beside(pool)


def _without_station_voxels(study: Study, fused: Fused) -> tuple[Study, Fused]:
    """What the later stages need of the stations, which is their headers; their voxels would stay in memory."""
    stations = {id(station): station.without_voxels() for station in (*study.stations, *fused.stations)}
    return (
        replace(study, stations=tuple(stations[id(station)] for station in study.stations)),
        replace(fused, stations=tuple(stations[id(station)] for station in fused.stations)),
    )


def _segment(
    folder: Path, fused: Fused, network: SegmentationModel | None, options: RunOptions
) -> tuple[LabelMap, ModelCard]:
    from operators.segmentation import write_imported_labels, write_labels

    if network is None:
        return write_imported_labels(folder, fused, options.labels)
    return write_labels(folder, fused, network, options.segmentation)


def _write(
    folder: Path,
    labels: LabelMap,
    fused: Fused,
    study: Study,
    card: ModelCard,
    network: SegmentationModel | None,
    options: RunOptions,
) -> Path | None:
    from operators.dicom_seg_writer import write_dicom

    contrasts = network.contrasts if network else (Contrast.WATER,)
    return write_dicom(folder, labels, fused, study, card, contrasts, options.dicom, nifti=options.nifti).segmentation


def _write_copies(folder: Path, fused: Fused) -> None:
    from operators.core.nifti_copies import write_nifti_copies

    write_nifti_copies(folder, fused.volumes())


def _report(
    folder: Path,
    labels: LabelMap,
    fused: Fused,
    study: Study,
    card: ModelCard,
    segmentation: Path | None,
    options: RunOptions,
    seconds: Mapping[str, float],
) -> None:
    from operators.phenotype_report import write_reports

    write_reports(folder, labels, fused, study, card, segmentation, seconds, options)


def _check_whole(folder: Path, expected: tuple[str, ...]) -> None:
    if absent := missing(folder, expected):
        raise InternalError("run", f"it ended without {', '.join(absent)}", "every output of a study")
