"""The MONAI Deploy shell around `write_seg`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from operators.deploy import ExecutionContext, Fragment, InputContext, Operator, OperatorSpec, OutputContext
from operators.dicom_seg_writer.writer import write_seg
from operators.volume import Contrast

__all__ = ["DicomSegWriterOperator"]


class DicomSegWriterOperator(Operator):
    """A label map in, a DICOM-SEG file out; see `write_seg`.

    Receives ``labels`` (`Volume`), ``fused`` (`Fused`), ``study`` (`Study`)
    and ``model`` (`ModelCard`); emits the file's path on ``segmentation``.

    Parameters
    ----------
    fragment : Fragment
    output_folder : Path
        Where ``segmentation.dcm`` is written.
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
        for name in ("labels", "fused", "study", "model"):
            spec.input(name)
        spec.output("segmentation")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Write one DICOM-SEG and pass its path on."""
        path = write_seg(
            self.output_folder / "segmentation.dcm",
            op_input.receive("labels"),
            op_input.receive("fused"),
            op_input.receive("study"),
            op_input.receive("model"),
            self.contrasts,
        )
        op_output.emit(path, "segmentation")
