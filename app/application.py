"""The chain of operators, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.clock import StageClock, timed
from operators.deploy import Application
from operators.dicom_loader.operator import DicomLoaderOperator
from operators.dicom_seg_writer.operator import DicomSegWriterOperator
from operators.phenotype_report.operator import PhenotypeReportOperator
from operators.segmentation.bundle_model import SegmentationModel
from operators.segmentation.operator import SegmentationOperator
from operators.station_fusion.blending import Blend
from operators.station_fusion.operator import StationFusionOperator
from operators.station_fusion.positions import StationChoice
from operators.station_fusion.resample import Device

__all__ = ["RunOptions", "SarcoMapApp"]


@dataclass(frozen=True)
class RunOptions:
    """What a run is told.

    Attributes
    ----------
    input_path : Path
        Zip or folder of one study.
    output_folder : Path
    model : SegmentationModel
    device : {"auto", "cpu", "cuda"}
        Of the fusion.
    spacing_mm : tuple of float or None
        Fused grid's spacing (x, y, z); None takes the finest of the stations.
    stations : {"pelvis-to-knee", "all"}
    blend, match_intensity, fix_swaps
        See `operators.station_fusion.fuse`.
    allow_missing_slices : bool
        See `operators.dicom_loader.load_study`.
    """

    input_path: Path
    output_folder: Path
    model: SegmentationModel
    device: Device = "auto"
    spacing_mm: tuple[float, float, float] | None = None
    stations: StationChoice = "pelvis-to-knee"
    blend: Blend = "average"
    match_intensity: bool = False
    fix_swaps: bool = False
    allow_missing_slices: bool = False


class SarcoMapApp(Application):
    """One Dixon study in; fused volumes, segmentation, DICOM-SEG and reports out.

    Parameters
    ----------
    options : RunOptions
    clock : StageClock
        Filled with the seconds of each stage, and with what went wrong.
    progress : callable, optional
        For the loader: files read, files in all.
    """

    def __init__(
        self, options: RunOptions, clock: StageClock, progress: Callable[[int, int], None] | None = None
    ) -> None:
        self.run_options = options
        self.clock = clock
        self.progress = progress
        super().__init__([])

    def compose(self) -> None:
        """Load, fuse, segment, write, report."""
        options, clock = self.run_options, self.clock
        out = options.output_folder
        load = timed(DicomLoaderOperator, "load", clock)(
            self,
            name="load",
            input_path=options.input_path,
            allow_missing_slices=options.allow_missing_slices,
            progress=self.progress,
        )
        fuse = timed(StationFusionOperator, "fuse", clock)(
            self,
            name="fuse",
            output_folder=out / "fused",
            spacing_mm=options.spacing_mm,
            device=options.device,
            stations=options.stations,
            blend=options.blend,
            match_intensity=options.match_intensity,
            fix_swaps=options.fix_swaps,
        )
        segment = timed(SegmentationOperator, "segment", clock)(
            self, name="segment", model=options.model, output_folder=out
        )
        write = timed(DicomSegWriterOperator, "write", clock)(
            self, name="write", output_folder=out, contrasts=options.model.contrasts
        )
        report = timed(PhenotypeReportOperator, "report", clock)(
            self, name="report", output_folder=out, contrasts=options.model.contrasts, timings_s=clock.seconds
        )
        self.add_flow(load, fuse, {("study", "study")})
        self.add_flow(fuse, segment, {("fused", "fused")})
        for writer in (write, report):
            self.add_flow(load, writer, {("study", "study")})
            self.add_flow(fuse, writer, {("fused", "fused")})
            self.add_flow(segment, writer, {("labels", "labels"), ("model", "model")})
        self.add_flow(write, report, {("segmentation", "segmentation")})
