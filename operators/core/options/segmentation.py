"""Options of the segmentation: how the network runs, or which label maps replace its labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from operators.core.label_file_names import check_label_file_name
from operators.core.label_schemes import LabelSource, load_scheme, scheme_names
from operators.core.options.declaration import Flag, OptionError, check_choices, section
from operators.core.options.fusion import Device
from operators.core.segmenters import Segmenter, load_segmenter, segmenter_names

__all__ = ["SEGMENTATION", "Backend", "LabelOptions", "Precision", "SegmentationOptions"]

SEGMENTATION = section("Segmentation", 30)

Backend = Literal["auto", "torch", "onnxruntime", "openvino"]
Precision = Literal["auto", "fp32", "bf16"]

_IN_SECTION = Parameter(group=SEGMENTATION)


@dataclass(frozen=True)
class SegmentationOptions:
    """How the network runs and how its scores become labels.

    Attributes
    ----------
    backend : {"auto", "torch", "onnxruntime", "openvino"}
        What runs the network. auto takes the fastest that is installed.
    precision : {"auto", "fp32", "bf16"}
        Precision of the network's arithmetic. auto takes bf16 if the model's card says that it costs less than 0.002
        of Dice and the processor has instructions for it.
    device : {"auto", "cpu", "cuda"}
        Where the network runs.
    mirror : bool
        Average the scores of each window and its mirror image. This takes twice as long.
    clean_up : bool
        Change small islands of a label to the label around them.
    confidence : bool
        Also write segmentation_confidence.nrrd, the probability of each voxel's label.
    no_confidence : bool
        Do not compute how sure the network is; the report then does not have it for each structure.
    batch_size : int or None
        Windows per batch. None: one on a CPU, as many as have room on a GPU.

    Raises
    ------
    OptionError
        For a value that cannot be used.
    """

    backend: Annotated[Backend, _IN_SECTION] = "auto"
    precision: Annotated[Precision, _IN_SECTION] = "auto"
    device: Annotated[Device, Parameter(parse=False)] = "auto"
    mirror: Annotated[bool, Flag, _IN_SECTION] = False
    clean_up: Annotated[bool, Flag, _IN_SECTION] = False
    confidence: Annotated[bool, Flag, _IN_SECTION] = False
    no_confidence: Annotated[bool, Flag, _IN_SECTION] = False
    batch_size: Annotated[int | None, Parameter(parse=False)] = None

    def __post_init__(self) -> None:
        check_choices(self)
        if self.confidence and self.no_confidence:
            raise OptionError("no_confidence", "given with confidence", "one of the two", "Leave one out.")
        if self.batch_size is not None and self.batch_size < 1:
            raise OptionError("batch_size", str(self.batch_size), "1 or more", "Leave it out to have it chosen.")


@dataclass(frozen=True)
class LabelOptions:
    """Label maps that another tool or a person made.

    Attributes
    ----------
    segmentation : tuple of Path
        Labels made elsewhere that replace the network's: a NIfTI or NRRD file, or a folder with one mask for each
        structure, as TotalSegmentator writes it. Needs --scheme. Repeat both for more.
    scheme : tuple of str
        What the numbers in each file mean: the name of a scheme, or a .yaml file. With `segmenter`, one that replaces
        the scheme of that tool.
    segmenter : str or None
        A tool of another maker that labels the fused study in place of our network. It must be installed.
    segmenter_model : Path or None
        What that tool needs besides: the folder of a trained nnU-Net (nnunet), an ONNX file with its description beside
        it (onnx), or the folder of the tool's scripts (vibesegmentator).
    segmenter_minutes : float
        How long that tool may take.
    segmenter_memory_gb : float
        How much memory that tool may hold.

    Raises
    ------
    OptionError
        When a file is missing, a scheme is unknown, or there are more of one than of the other.
    """

    segmentation: Annotated[
        tuple[Path, ...], Parameter(negative="", show_default=False, metavar="FILE"), _IN_SECTION
    ] = ()
    scheme: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            metavar="NAME",
            help=f"What the numbers in the file mean: {', '.join(scheme_names())}, a .yaml file of your own, or "
            "an nnU-Net's dataset.json.",
        ),
        _IN_SECTION,
    ] = ()
    segmenter: Annotated[
        str | None,
        Parameter(
            show_default=False,
            metavar="NAME",
            help=f"A tool of another maker that labels the fused study in place of our network: "
            f"{', '.join(segmenter_names())}, or a .yaml file that describes one. It must be installed.",
        ),
        _IN_SECTION,
    ] = None
    segmenter_model: Annotated[Path | None, Parameter(show_default=False, metavar="PATH"), _IN_SECTION] = None
    segmenter_minutes: Annotated[float, _IN_SECTION] = 60.0
    segmenter_memory_gb: Annotated[float, _IN_SECTION] = 32.0

    def __post_init__(self) -> None:
        if self.segmenter_model is not None and self.segmenter is None:
            raise OptionError("segmenter_model", "given without a tool", "both", "Add --segmenter NAME.")
        for name in ("segmenter_minutes", "segmenter_memory_gb"):
            if not 0 < getattr(self, name) < float("inf"):
                raise OptionError(name, f"{getattr(self, name):g}", "more than 0", "Give a limit.")
        if isinstance(self.segmentation, str | Path) or isinstance(self.scheme, str):
            raise OptionError("segmentation", "one value", "a tuple of files and a tuple of schemes", "Add the commas.")
        object.__setattr__(self, "segmentation", tuple(Path(file) for file in self.segmentation))
        object.__setattr__(self, "scheme", tuple(self.scheme))
        if self.segmenter is not None:
            if self.segmentation:
                raise OptionError("segmenter", "given with label maps", "one of the two", "Leave one out.")
            if len(self.scheme) > 1:
                raise OptionError("scheme", f"{len(self.scheme)} for one tool", "one", "Leave the others out.")
            self.tool()
            return
        if self.scheme and not self.segmentation:
            raise OptionError("scheme", "given without a label map", "both or neither", "Add --segmentation FILE.")
        if len(self.segmentation) != len(self.scheme):
            raise OptionError(
                "segmentation",
                f"{len(self.segmentation)} label maps and {len(self.scheme)} schemes",
                "one scheme for each label map",
                f"Say what the labels mean: {', '.join(scheme_names())}, or a .yaml file.",
            )
        for file in self.segmentation:
            if not file.exists():
                raise OptionError("segmentation", f"no file or folder {file.name}", "a label map", "Check the path.")
            check_label_file_name(file)
        for name in self.scheme:
            load_scheme(name)

    @property
    def replace_network(self) -> bool:
        """Whether the labels come from elsewhere, so that no network of ours is needed."""
        return bool(self.segmentation) or self.segmenter is not None

    def tool(self) -> Segmenter | None:
        """The tool of another maker; None when none is named."""
        if self.segmenter is None:
            return None
        return load_segmenter(self.segmenter, self.segmenter_model, self.scheme[0] if self.scheme else None)

    def sources(self) -> tuple[LabelSource, ...]:
        """The files, each with its scheme."""
        pairs = zip(self.segmentation, self.scheme, strict=True)
        return tuple(LabelSource(file, load_scheme(scheme)) for file, scheme in pairs)
