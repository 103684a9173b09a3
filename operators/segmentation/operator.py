"""The MONAI Deploy shell around `segment`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from operators.deploy import ExecutionContext, Fragment, InputContext, Operator, OperatorSpec, OutputContext
from operators.nrrd_files import write_segmentation
from operators.segmentation.bundle_model import SegmentationModel
from operators.segmentation.options import SegmentationOptions
from operators.segmentation.segment import DEFAULT_OPTIONS, segment

__all__ = ["SegmentationOperator"]


class SegmentationOperator(Operator):
    """Fused volumes in, a label map out; see `segment`.

    Receives a `Fused` on ``fused``; emits the label map (`Volume`) on
    ``labels`` and the `ModelCard` on ``model``.

    Parameters
    ----------
    fragment : Fragment
    model : SegmentationModel
    output_folder : Path
        Where ``segmentation.seg.nrrd`` is written.
    options : SegmentationOptions
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        model: SegmentationModel,
        output_folder: Path,
        options: SegmentationOptions = DEFAULT_OPTIONS,
        **kwargs: Any,
    ) -> None:
        self.options = options
        self.model = model
        self.output_folder = Path(output_folder)
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        spec.input("fused")
        spec.output("labels")
        spec.output("model")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Label one fused study, write the label map, pass it on."""
        labels = segment(op_input.receive("fused"), self.model, self.options)
        write_segmentation(self.output_folder / "segmentation.seg.nrrd", labels)
        op_output.emit(labels, "labels")
        op_output.emit(self.model.card, "model")
