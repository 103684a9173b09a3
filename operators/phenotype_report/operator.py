"""The MONAI Deploy shell around `write_reports`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from operators.deploy import ExecutionContext, Fragment, InputContext, Operator, OperatorSpec, OutputContext
from operators.phenotype_report.stage import write_reports
from operators.volume import Contrast

__all__ = ["PhenotypeReportOperator"]


class PhenotypeReportOperator(Operator):
    """A label map in, three reports out; see `write_reports`.

    Receives ``labels`` (`Volume`), ``fused`` (`Fused`), ``study`` (`Study`),
    ``model`` (`ModelCard`), ``segmentation`` (path of the DICOM-SEG) and
    ``timings`` (seconds by stage); emits `ReportFiles` on ``report``.

    Parameters
    ----------
    fragment : Fragment
    output_folder : Path
    contrasts : tuple of Contrast
        What the network reads.
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        output_folder: Path,
        contrasts: tuple[Contrast, ...] = (Contrast.WATER,),
        **kwargs: Any,
    ) -> None:
        self.output_folder = Path(output_folder)
        self.contrasts = contrasts
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        for name in ("labels", "fused", "study", "model", "segmentation", "timings"):
            spec.input(name)
        spec.output("report")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Measure one study, write its reports, pass on where they are."""
        files = write_reports(
            self.output_folder,
            op_input.receive("labels"),
            op_input.receive("fused"),
            op_input.receive("study"),
            op_input.receive("model"),
            op_input.receive("segmentation"),
            op_input.receive("timings"),
            self.contrasts,
        )
        op_output.emit(files, "report")
