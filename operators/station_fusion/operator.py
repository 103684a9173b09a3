"""The MONAI Deploy shell around `fuse`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from operators.core.nrrd_files import write_volumes
from operators.deploy import ExecutionContext, Fragment, InputContext, Operator, OperatorSpec, OutputContext
from operators.station_fusion.fuse import fuse
from operators.station_fusion.options import FusionOptions

__all__ = ["StationFusionOperator"]


class StationFusionOperator(Operator):
    """Stations in, fused volumes out; see `fuse`.

    Receives a `Study` on ``study`` and emits a `Fused` on ``fused``.

    Parameters
    ----------
    fragment : Fragment
    output_folder : Path, optional
        Where ``in.nrrd``, ``opp.nrrd``, ``water.nrrd``, ``fat.nrrd``,
        ``fat_fraction.nrrd`` and ``body.nrrd`` are written; None writes nothing.
    options : FusionOptions, optional
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        output_folder: Path | None = None,
        options: FusionOptions | None = None,
        **kwargs: Any,
    ) -> None:
        self.output_folder = output_folder
        self.options = options
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        spec.input("study")
        spec.output("fused")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Fuse one study, write its volumes, pass them on."""
        fused = fuse(op_input.receive("study"), self.options)
        if self.output_folder is not None:
            write_volumes(self.output_folder, fused.volumes())
        op_output.emit(fused, "fused")
