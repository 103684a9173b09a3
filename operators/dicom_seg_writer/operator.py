"""The MONAI Deploy shell around `write_dicom`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from operators.core.options import DicomOptions
from operators.core.volume import Contrast
from operators.deploy import ExecutionContext, Fragment, InputContext, Operator, OperatorSpec, OutputContext
from operators.dicom_seg_writer.dicom_outputs import write_dicom

__all__ = ["DicomSegWriterOperator"]


class DicomSegWriterOperator(Operator):
    """Write a derived MR series, and a label map as a DICOM SEG that refers to it; see `write_dicom`.

    Receives ``labels`` (`Volume`), ``fused`` (`Fused`), ``study`` (`Study`)
    and ``model`` (`ModelCard`); emits the path of the DICOM SEG on ``segmentation``,
    or an empty text where none is written.

    Parameters
    ----------
    fragment : Fragment
    output_folder : Path
        Folder for ``derived/`` and ``segmentation.dcm``.
    contrasts : tuple of Contrast
        The network's input contrasts.
    options : DicomOptions
    nifti : bool
        See `write_dicom`.
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        output_folder: Path,
        contrasts: tuple[Contrast, ...] = (Contrast.WATER,),
        options: DicomOptions = DicomOptions(),  # noqa: B008 (frozen)
        nifti: bool = False,
        **kwargs: Any,
    ) -> None:
        self.output_folder = Path(output_folder)
        self.contrasts = contrasts
        self.options = options
        self.nifti = nifti
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        for name in ("labels", "fused", "study", "model"):
            spec.input(name)
        spec.output("segmentation")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Write the derived series and the DICOM SEG, and emit the path of the DICOM SEG."""
        files = write_dicom(
            self.output_folder,
            op_input.receive("labels"),
            op_input.receive("fused"),
            op_input.receive("study"),
            op_input.receive("model"),
            self.contrasts,
            self.options,
            nifti=self.nifti,
        )
        op_output.emit(files.segmentation or "", "segmentation")
