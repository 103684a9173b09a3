"""The MONAI Deploy shell around `write_reports`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from operators.core.options import RunOptions
from operators.deploy import ExecutionContext, Fragment, InputContext, Operator, OperatorSpec, OutputContext
from operators.phenotype_report.report_files import ReportFiles, write_reports

__all__ = ["PhenotypeReportOperator"]


class PhenotypeReportOperator(Operator):
    """Measure a label map and write the three reports; see `write_reports`.

    Receives ``labels`` (`Volume`), ``fused`` (`Fused`), ``study`` (`Study`),
    ``model`` (`ModelCard`) and ``segmentation`` (path of the DICOM SEG).
    It is the last operator, so it emits nothing and stores its `ReportFiles` in
    ``files``.

    Parameters
    ----------
    fragment : Fragment
    output_folder : Path
    timings_s : mapping of str to float, optional
        Seconds of the earlier stages. It is read when the report is written, so
        the application may fill it until then.
    options : RunOptions, optional
        Options of the run, for the record in ``report.json``.
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        output_folder: Path,
        timings_s: Mapping[str, float] | None = None,
        options: RunOptions | None = None,
        **kwargs: Any,
    ) -> None:
        self.timings_s = timings_s
        self.options = options
        self.files: ReportFiles | None = None
        self.output_folder = Path(output_folder)
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        for name in ("labels", "fused", "study", "model", "segmentation"):
            spec.input(name)

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Measure one study and write its reports."""
        self.files = write_reports(
            self.output_folder,
            op_input.receive("labels"),
            op_input.receive("fused"),
            op_input.receive("study"),
            op_input.receive("model"),
            op_input.receive("segmentation"),
            self.timings_s,
            self.options,
        )
