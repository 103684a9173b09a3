"""What a run can be told, in Python and on the command line."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from operators.core.dicom_options import Deidentification, DicomOptions
from operators.core.errors import UsageError
from operators.core.volume import Contrast
from operators.segmentation import SegmentationOptions, load_scheme, scheme_names
from operators.station_fusion.options import FusionOptions

if TYPE_CHECKING:
    from operators.segmentation import LabelSource

__all__ = ["RunOptions", "add_study_arguments", "options_from"]


KEY_VARIABLE = "SARCOMAP_DEIDENTIFY_KEY"
WITHOUT_KEY = (
    "--deidentify without a secret key: whoever has the original UIDs can compute the new ones and so tell whose "
    f"results these are. Give --deidentify-key FILE or {KEY_VARIABLE}."
)


@dataclass(frozen=True)
class RunOptions:
    """Options of every stage.

    Attributes
    ----------
    allow_missing_slices : bool
        See `operators.dicom_loader.load_study`.
    fusion : FusionOptions
    segmentation : SegmentationOptions
    dicom : DicomOptions
    label_maps : tuple of LabelSource
        Label maps that were made elsewhere and take the place of the
        network's; empty runs the network.
    trust_bundle : bool
        See `operators.segmentation.load_model`.
    """

    allow_missing_slices: bool = False
    fusion: FusionOptions = field(default_factory=FusionOptions)
    segmentation: SegmentationOptions = field(default_factory=SegmentationOptions)
    dicom: DicomOptions = field(default_factory=DicomOptions)
    label_maps: tuple[LabelSource, ...] = ()
    trust_bundle: bool = False


def add_study_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a command line the options of `RunOptions`; `options_from` reads them back."""
    load = parser.add_argument_group("reading")
    load.add_argument(
        "--allow-missing-slices", action="store_true", help="interpolate up to two missing slices in a row, and flag it"
    )
    fusion = parser.add_argument_group("station fusion")
    fusion.add_argument(
        "--device",
        choices=["auto", "cpu", "cuda"],
        default="auto",
        help="where stations are fused and the network runs (default: auto)",
    )
    fusion.add_argument(
        "--spacing",
        type=float,
        nargs=3,
        metavar=("X", "Y", "Z"),
        help="spacing of the fused grid in mm (default: the finest of the stations along each axis)",
    )
    fusion.add_argument(
        "--stations",
        choices=["pelvis-to-knee", "all"],
        default="pelvis-to-knee",
        help="which table positions are fused (default: the lower four, pelvis to knee)",
    )
    fusion.add_argument(
        "--blend",
        choices=["average", "linear", "logistic"],
        default="average",
        help="how stations are joined where they overlap (default: average, as in the paper)",
    )
    fusion.add_argument(
        "--match-intensity", action="store_true", help="bring stations to one brightness before they are joined"
    )
    fusion.add_argument(
        "--bias-correction",
        choices=["none", "n4"],
        default="none",
        help="take coil brightness out of each station first; n4 takes about a minute (default: none)",
    )
    fusion.add_argument(
        "--fix-swaps",
        action="store_true",
        help="exchange water and fat of a station where the scanner swapped them (flagged either way)",
    )
    fusion.add_argument(
        "--trim-slices",
        type=int,
        default=0,
        metavar="N",
        help="leave out N slices at both ends of each station, where the slab folds over (default: 0)",
    )
    _add_segmentation_arguments(parser)
    _add_dicom_arguments(parser)


def _add_segmentation_arguments(parser: argparse.ArgumentParser) -> None:
    network = parser.add_argument_group("segmentation")
    network.add_argument(
        "--trust-bundle",
        action="store_true",
        help="run whatever the configs of the bundle say, as a program with your rights; read them first",
    )
    network.add_argument(
        "--backend",
        choices=["auto", "torch", "onnxruntime", "openvino"],
        default="auto",
        help="what runs the network (default: auto, the fastest that is installed)",
    )
    network.add_argument(
        "--precision",
        choices=["auto", "fp32", "bf16"],
        default="auto",
        help="of the network (default: auto, bf16 where the model's card says that it costs no accuracy)",
    )
    network.add_argument(
        "--mirror", action="store_true", help="average the scores of each window and its mirror image; twice as slow"
    )
    network.add_argument(
        "--clean-up", action="store_true", help="give small islands of a label to the label around them"
    )
    network.add_argument(
        "--confidence",
        action="store_true",
        help="also write segmentation_confidence.nrrd, the probability of each voxel's label",
    )
    network.add_argument(
        "--segmentation",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="labels made elsewhere (NIfTI or NRRD) instead of the network's; with --scheme; again for more files",
    )
    network.add_argument(
        "--scheme",
        action="append",
        default=[],
        metavar="NAME",
        help=f"what the numbers in FILE mean: {', '.join(scheme_names())}, or a .yaml file of your own",
    )


def _add_dicom_arguments(parser: argparse.ArgumentParser) -> None:
    dicom = parser.add_argument_group("DICOM outputs")
    dicom.add_argument(
        "--seg-type",
        choices=["binary", "labelmap"],
        default="binary",
        help="of segmentation.dcm; labelmap is smaller, and PACS before 2025 do not know it (default: binary)",
    )
    dicom.add_argument(
        "--dicom-compression",
        choices=["auto", "none", "rle", "jpeg-ls"],
        default="auto",
        help="of a labelmap and of the derived series (default: auto, RLE for a labelmap and none for the series)",
    )
    dicom.add_argument(
        "--derived",
        nargs="+",
        choices=[contrast.value for contrast in Contrast],
        default=[Contrast.WATER.value],
        metavar="CONTRAST",
        help="fused contrasts to write as DICOM series: in, opp, water, fat (default: water)",
    )
    dicom.add_argument(
        "--deidentify",
        action="store_true",
        help="no name, identifier, date or original UID in any output (DICOM PS3.15, Basic Profile)",
    )
    dicom.add_argument("--pseudonym", metavar="TEXT", help="with --deidentify: what takes the place of the patient")
    dicom.add_argument(
        "--keep-characteristics",
        action="store_true",
        help="with --deidentify: keep sex, age, size and weight; without them there is no TVI",
    )
    dicom.add_argument(
        "--deidentify-key",
        type=Path,
        metavar="FILE",
        help=f"with --deidentify: file with the secret that new UIDs are made with (or {KEY_VARIABLE})",
    )


def _deidentification(arguments: argparse.Namespace) -> Deidentification | None:
    if not arguments.deidentify:
        for option in ("pseudonym", "keep_characteristics", "deidentify_key"):
            if getattr(arguments, option):
                name = "--" + option.replace("_", "-")
                raise UsageError("command line", f"{name} without --deidentify", "both", "Add --deidentify.")
        return None
    key = os.environ.get(KEY_VARIABLE, "")
    if arguments.deidentify_key is not None:
        try:
            key = arguments.deidentify_key.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                "--deidentify-key", f"not readable ({type(error).__name__})", "a text file", "Check the path."
            ) from error
    if not key:
        print(f"warning: {WITHOUT_KEY}", file=sys.stderr)
    return Deidentification(arguments.pseudonym, key, arguments.keep_characteristics)


def _label_maps(arguments: argparse.Namespace) -> tuple[LabelSource, ...]:
    files, schemes = arguments.segmentation, arguments.scheme
    if len(files) != len(schemes):
        raise UsageError(
            "command line",
            f"{len(files)} --segmentation and {len(schemes)} --scheme",
            "one --scheme for each --segmentation",
            f"Say what the labels mean: {', '.join(scheme_names())} or a .yaml file.",
        )
    if not files:
        return ()
    from operators.segmentation import LabelSource

    for file in files:
        if not file.is_file():
            raise UsageError("--segmentation", f"no file {file.name}", "a label map", "Check the path.")
    return tuple(LabelSource(file, load_scheme(scheme)) for file, scheme in zip(files, schemes, strict=True))


def options_from(arguments: argparse.Namespace) -> RunOptions:
    """The options that a command line gave.

    Raises
    ------
    UsageError
        When one cannot be used.
    """
    return RunOptions(
        allow_missing_slices=arguments.allow_missing_slices,
        fusion=FusionOptions(
            spacing_mm=tuple(arguments.spacing) if arguments.spacing else None,
            device=arguments.device,
            stations=arguments.stations,
            blend=arguments.blend,
            match_intensity=arguments.match_intensity,
            bias_correction=arguments.bias_correction,
            fix_swaps=arguments.fix_swaps,
            trim_slices=arguments.trim_slices,
        ),
        segmentation=SegmentationOptions(
            backend=arguments.backend,
            precision=arguments.precision,
            device=arguments.device,
            mirror=arguments.mirror,
            clean_up=arguments.clean_up,
            confidence=arguments.confidence,
        ),
        dicom=DicomOptions(
            seg_type=arguments.seg_type,
            compression=arguments.dicom_compression,
            derived=tuple(Contrast(name) for name in arguments.derived),
            deidentify=_deidentification(arguments),
        ),
        label_maps=_label_maps(arguments),
        trust_bundle=arguments.trust_bundle,
    )
