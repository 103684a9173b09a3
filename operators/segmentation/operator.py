"""The MONAI Deploy shells around `segment` and `import_labels`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from operators.core.label_map import LabelMap
from operators.core.nrrd_files import write_segmentation, write_volume
from operators.deploy import ExecutionContext, Fragment, InputContext, Operator, OperatorSpec, OutputContext
from operators.segmentation.bundle_model import SegmentationModel
from operators.segmentation.inference import DEFAULT_OPTIONS, segment
from operators.segmentation.made_elsewhere import LabelSource, import_labels
from operators.segmentation.options import SegmentationOptions

__all__ = ["ImportedLabelsOperator", "SegmentationOperator"]


class SegmentationOperator(Operator):
    """Fused volumes in, a label map out; see `segment`.

    Receives a `Fused` on ``fused``; emits the label map (`Volume`) on
    ``labels`` and the `ModelCard` on ``model``.

    Parameters
    ----------
    fragment : Fragment
    model : SegmentationModel
    output_folder : Path
        Where ``segmentation.seg.nrrd`` is written, and ``segmentation_confidence.nrrd`` when asked for.
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
        _write(self.output_folder, labels)
        op_output.emit(labels, "labels")
        op_output.emit(self.model.card, "model")


class ImportedLabelsOperator(Operator):
    """Fused volumes in, a label map that was made elsewhere out; see `import_labels`.

    The ports are those of `SegmentationOperator`.

    Parameters
    ----------
    fragment : Fragment
    sources : sequence of LabelSource
    output_folder : Path
        Where ``segmentation.seg.nrrd`` is written.
    """

    def __init__(
        self, fragment: Fragment, *args: Any, sources: Sequence[LabelSource], output_folder: Path, **kwargs: Any
    ) -> None:
        self.sources = tuple(sources)
        self.output_folder = Path(output_folder)
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        spec.input("fused")
        spec.output("labels")
        spec.output("model")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Translate the labels of one study, write the label map, pass it on."""
        labels, card = import_labels(op_input.receive("fused"), self.sources)
        _write(self.output_folder, labels)
        op_output.emit(labels, "labels")
        op_output.emit(card, "model")


def _write(folder: Path, labels: LabelMap) -> None:
    write_segmentation(folder / "segmentation.seg.nrrd", labels)
    if labels.confidence is not None:
        write_volume(folder / "segmentation_confidence.nrrd", labels.confidence)
