"""The MONAI Deploy shell around `fuse`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from operators.deploy import ExecutionContext, Fragment, InputContext, Operator, OperatorSpec, OutputContext
from operators.nrrd_files import write_volumes
from operators.station_fusion.bias_field import BiasCorrection
from operators.station_fusion.blending import Blend
from operators.station_fusion.fuse import fuse
from operators.station_fusion.positions import StationChoice
from operators.station_fusion.resample import Device

__all__ = ["StationFusionOperator"]


class StationFusionOperator(Operator):
    """Stations in, fused volumes out; see `fuse`.

    Receives a `Study` on ``study`` and emits a `Fused` on ``fused``.

    Parameters
    ----------
    fragment : Fragment
    output_folder : Path, optional
        Where ``in.nrrd``, ``opp.nrrd``, ``water.nrrd``, ``fat.nrrd`` and
        ``fat_fraction.nrrd`` are written; None writes nothing.
    spacing_mm, device, stations, blend, match_intensity, bias_correction, fix_swaps, trim_slices
        See `fuse`.
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        output_folder: Path | None = None,
        spacing_mm: tuple[float, float, float] | None = None,
        device: Device = "auto",
        stations: StationChoice = "pelvis-to-knee",
        blend: Blend = "average",
        match_intensity: bool = False,
        bias_correction: BiasCorrection = "none",
        fix_swaps: bool = False,
        trim_slices: int = 0,
        **kwargs: Any,
    ) -> None:
        self.output_folder = output_folder
        self.spacing_mm = spacing_mm
        self.device: Device = device
        self.stations: StationChoice = stations
        self.blend: Blend = blend
        self.match_intensity = match_intensity
        self.bias_correction: BiasCorrection = bias_correction
        self.fix_swaps = fix_swaps
        self.trim_slices = trim_slices
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        spec.input("study")
        spec.output("fused")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Fuse one study, write its volumes, pass them on."""
        study = op_input.receive("study")
        fused = fuse(
            study,
            spacing_mm=self.spacing_mm,
            device=self.device,
            stations=self.stations,
            blend=self.blend,
            match_intensity=self.match_intensity,
            bias_correction=self.bias_correction,
            fix_swaps=self.fix_swaps,
            trim_slices=self.trim_slices,
        )
        if self.output_folder is not None:
            write_volumes(self.output_folder, fused.volumes())
        op_output.emit(fused, "fused")
