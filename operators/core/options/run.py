"""All options of one study's run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

from cyclopts import Parameter

from operators.core.options.declaration import Flag, OptionError, TogetherWith, check_choices
from operators.core.options.deidentification import DeidentificationOptions
from operators.core.options.dicom import DICOM, DicomOptions
from operators.core.options.fusion import Device, FusionOptions
from operators.core.options.reading import READING, ReadingOptions
from operators.core.options.report import ReportOptions
from operators.core.options.segmentation import SEGMENTATION, LabelOptions, SegmentationOptions

__all__ = ["RunOptions"]


@dataclass(frozen=True)
class RunOptions:
    """Options of every stage.

    Attributes
    ----------
    device : {"auto", "cpu", "cuda"} or None
        Where stations are fused and the network runs. Default: auto, a GPU if there is one.
    reading : ReadingOptions
    fusion : FusionOptions
    segmentation : SegmentationOptions
    labels : LabelOptions
        Label maps that replace the network's.
    overwrite : bool
        Replace the results of another study in the output folder. Earlier results of the same study are always
        replaced.
    trust_bundle : bool
        Run whatever code the bundle's configs name, with your permissions. Read them first.
    dicom : DicomOptions
    nifti : bool
        Also write copies of the fused volumes and the labels as NIfTI, in nifti/.
    report : ReportOptions
    deidentification : DeidentificationOptions

    Raises
    ------
    OptionError
        For a value that cannot be used.
    """

    device: Annotated[Device | None, Parameter(group=READING, show_default=False)] = None
    reading: Annotated[ReadingOptions, TogetherWith] = field(default_factory=ReadingOptions)
    fusion: Annotated[FusionOptions, TogetherWith] = field(default_factory=FusionOptions)
    segmentation: Annotated[SegmentationOptions, TogetherWith] = field(default_factory=SegmentationOptions)
    labels: Annotated[LabelOptions, TogetherWith] = field(default_factory=LabelOptions)
    overwrite: Annotated[bool, Flag, Parameter(group=READING)] = False
    trust_bundle: Annotated[bool, Flag, Parameter(group=SEGMENTATION)] = False
    dicom: Annotated[DicomOptions, TogetherWith] = field(default_factory=DicomOptions)
    nifti: Annotated[bool, Flag, Parameter(group=DICOM)] = False
    report: Annotated[ReportOptions, TogetherWith] = field(default_factory=ReportOptions)
    deidentification: Annotated[DeidentificationOptions, TogetherWith] = field(default_factory=DeidentificationOptions)

    def __post_init__(self) -> None:
        check_choices(self)
        for name, kind in _STAGES.items():
            if not isinstance(getattr(self, name), kind):
                found = type(getattr(self, name)).__name__
                raise OptionError(name, f"a {found}", f"{kind.__name__}(...)", "Give an object of that class.")
        if self.device is not None:  # one option for both stages that can use a GPU
            object.__setattr__(self, "fusion", replace(self.fusion, device=self.device))
            object.__setattr__(self, "segmentation", replace(self.segmentation, device=self.device))


_STAGES: dict[str, type] = {
    "reading": ReadingOptions,
    "fusion": FusionOptions,
    "segmentation": SegmentationOptions,
    "labels": LabelOptions,
    "dicom": DicomOptions,
    "report": ReportOptions,
    "deidentification": DeidentificationOptions,
}
