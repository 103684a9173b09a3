"""The MONAI Deploy shell around `derive` and `write_derived`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from operators.deploy import ExecutionContext, Fragment, InputContext, Operator, OperatorSpec, OutputContext
from operators.derived_series.series import derive, write_derived
from operators.dicom_options import DicomOptions

__all__ = ["DerivedSeriesOperator"]


class DerivedSeriesOperator(Operator):
    """A fused study in, its derived MR series out; see `derive` and `write_derived`.

    Receives ``fused`` (`Fused`) and ``study`` (`Study`); emits on ``derived``
    a tuple of `DerivedSeries`, in the order of ``options.derived``.

    Parameters
    ----------
    fragment : Fragment
    output_folder : Path
        Each series is written into a folder below it, named after its contrast.
    options : DicomOptions
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        output_folder: Path,
        options: DicomOptions = DicomOptions(),  # noqa: B008 (frozen)
        **kwargs: Any,
    ) -> None:
        self.output_folder = Path(output_folder)
        self.options = options
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        spec.input("fused")
        spec.input("study")
        spec.output("derived")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Write one series for each contrast that is asked for."""
        fused, study = op_input.receive("fused"), op_input.receive("study")
        made = []
        for contrast in self.options.derived:
            series = derive(fused, study, contrast)
            write_derived(self.output_folder / contrast.value, series, self.options.derived_transfer_syntax)
            made.append(series)
        op_output.emit(tuple(made), "derived")
