"""The MONAI Deploy shell around `write_fused`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from operators.core.options import FusionOptions
from operators.deploy import ExecutionContext, Fragment, InputContext, Operator, OperatorSpec, OutputContext
from operators.station_fusion.fused_files import write_fused

__all__ = ["StationFusionOperator"]


class StationFusionOperator(Operator):
    """Fuse the stations of a study and write the volumes; see `write_fused`.

    Receives a `Study` on ``study`` and emits a `Fused` on ``fused``.

    Parameters
    ----------
    fragment : Fragment
    output_folder : Path
        Folder in which ``fused/`` is written.
    options : FusionOptions, optional
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        output_folder: Path,
        options: FusionOptions | None = None,
        **kwargs: Any,
    ) -> None:
        self.output_folder = Path(output_folder)
        self.options = options
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        spec.input("study")
        spec.output("fused")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Fuse one study, write its volumes and emit them."""
        op_output.emit(write_fused(self.output_folder, op_input.receive("study"), self.options), "fused")
