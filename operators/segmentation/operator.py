"""The MONAI Deploy shells around `write_labels` and `write_imported_labels`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from operators.core.options import LabelOptions, SegmentationOptions
from operators.deploy import ExecutionContext, Fragment, InputContext, Operator, OperatorSpec, OutputContext
from operators.segmentation.bundle_model import SegmentationModel
from operators.segmentation.inference import DEFAULT_OPTIONS
from operators.segmentation.label_outputs import write_imported_labels, write_labels

__all__ = ["ImportedLabelsOperator", "SegmentationOperator"]


class SegmentationOperator(Operator):
    """Label the fused volumes with the network; see `write_labels`.

    Receives a `Fused` on ``fused``; emits the label map (`Volume`) on
    ``labels`` and the `ModelCard` on ``model``.

    Parameters
    ----------
    fragment : Fragment
    model : SegmentationModel
    output_folder : Path
        Folder for ``segmentation.seg.nrrd``, and for ``segmentation_confidence.nrrd`` if requested.
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
        """Label one fused study, write the label map and emit it."""
        labels, card = write_labels(self.output_folder, op_input.receive("fused"), self.model, self.options)
        op_output.emit(labels, "labels")
        op_output.emit(card, "model")


class ImportedLabelsOperator(Operator):
    """Import label maps that were made elsewhere; see `write_imported_labels`.

    The ports are those of `SegmentationOperator`.

    Parameters
    ----------
    fragment : Fragment
    options : LabelOptions
    output_folder : Path
        Folder for ``segmentation.seg.nrrd``.
    """

    def __init__(
        self, fragment: Fragment, *args: Any, options: LabelOptions, output_folder: Path, **kwargs: Any
    ) -> None:
        self.options = options
        self.output_folder = Path(output_folder)
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        spec.input("fused")
        spec.output("labels")
        spec.output("model")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Translate the labels of one study, write the label map and emit it."""
        labels, card = write_imported_labels(self.output_folder, op_input.receive("fused"), self.options)
        op_output.emit(labels, "labels")
        op_output.emit(card, "model")
