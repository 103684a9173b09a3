"""The MONAI Deploy application: the chain of operators."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from operators.core.options import RunOptions
from operators.core.stage_clock import StageClock
from operators.core.volume import Contrast, Study
from operators.deploy import Application
from operators.deploy.timed_operator import timed
from operators.dicom_loader.operator import DicomLoaderOperator
from operators.dicom_seg_writer.operator import DicomSegWriterOperator
from operators.phenotype_report.operator import PhenotypeReportOperator
from operators.segmentation.bundle_model import SegmentationModel
from operators.segmentation.operator import ImportedLabelsOperator, SegmentationOperator
from operators.station_fusion import stations_to_fuse
from operators.station_fusion.operator import StationFusionOperator

__all__ = ["SarcoMapApp"]


class SarcoMapApp(Application):
    """One Dixon study in; fused volumes, segmentation, DICOM-SEG and reports out.

    Parameters
    ----------
    input_path : Path
        Zip or folder of one study.
    output_folder : Path
    model : SegmentationModel or None
        None if ``options.labels`` replace it.
    options : RunOptions
    clock : StageClock
        Receives the seconds of each stage, and any error.
    check : callable, optional
        Called with the loaded study; may refuse it.
    progress : callable, optional
        Called by the loader with files read and files in all.
    """

    def __init__(
        self,
        input_path: Path,
        output_folder: Path,
        model: SegmentationModel | None,
        options: RunOptions,
        clock: StageClock,
        progress: Callable[[int, int], None] | None = None,
        check: Callable[[Study], None] | None = None,
    ) -> None:
        self.input_path = input_path
        self.output_folder = output_folder
        self.model = model
        self.run_options = options
        self.clock = clock
        self.progress = progress
        self.check = check
        super().__init__([])

    def compose(self) -> None:
        """Load, fuse, segment, write, report."""
        options, clock, model, out = self.run_options, self.clock, self.model, self.output_folder
        load = timed(DicomLoaderOperator, "load", clock)(
            self,
            name="load",
            input_path=self.input_path,
            allow_missing_slices=options.reading.allow_missing_slices,
            one_frame_of_reference=options.reading.one_frame_of_reference,
            study_uid=options.reading.study_uid,
            progress=self.progress,
            check=self.check,
            select=partial(stations_to_fuse, choice=options.fusion.stations),
            deidentification=options.deidentification.chosen(),
        )
        fuse = timed(StationFusionOperator, "fuse", clock)(
            self,
            name="fuse",
            output_folder=out,
            options=options.fusion,
        )
        contrasts = model.contrasts if model else (Contrast.WATER,)
        if model is None:
            segment = timed(ImportedLabelsOperator, "segment", clock)(
                self, name="segment", sources=options.labels.sources(), output_folder=out
            )
        else:
            segment = timed(SegmentationOperator, "segment", clock)(
                self, name="segment", model=model, output_folder=out, options=options.segmentation
            )
        write = timed(DicomSegWriterOperator, "write", clock)(
            self, name="write", output_folder=out, contrasts=contrasts, options=options.dicom
        )
        report = timed(PhenotypeReportOperator, "report", clock)(
            self, name="report", output_folder=out, timings_s=clock.seconds, options=options
        )
        self.add_flow(load, fuse, {("study", "study")})
        self.add_flow(fuse, segment, {("fused", "fused")})
        for writer in (write, report):
            self.add_flow(load, writer, {("study", "study")})
            self.add_flow(fuse, writer, {("fused", "fused")})
            self.add_flow(segment, writer, {("labels", "labels"), ("model", "model")})
        self.add_flow(write, report, {("segmentation", "segmentation")})
