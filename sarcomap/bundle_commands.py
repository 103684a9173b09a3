"""`sarcomap bundle`: list training pairs, release weights as a bundle, check a bundle.

Each command imports what it needs when it runs, so that help is quick.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from operators.core.command_line import EXIT_CODES, new_app
from operators.core.options.declaration import Flag, WholeNumber

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check", "command", "datalist", "release"]

_EXAMPLES = f"""\
{EXIT_CODES}

Examples, in the order of docs/training.md:
  sarcomap bundle datalist annotated --folds 5
  python -m monai.bundle run --config_file bundle/configs/train.yaml ...
  sarcomap bundle release best.pt -o mine --name Thighs --real ...
  sarcomap bundle check mine
  sarcomap run study.zip -o out -m mine"""

command = new_app("bundle", "List training data, release trained weights as a bundle, and check a bundle.", _EXAMPLES)


@command.command
def datalist(
    folder: Annotated[Path, Parameter(help="Folder with one folder for each participant.")],
    /,
    *,
    out: Annotated[
        Path | None, Parameter(help="File for the list. Default: FOLDER/datalist.json.", metavar="FILE")
    ] = None,
    folds: Annotated[int, WholeNumber, Parameter(help="Number of folds for cross-validation.", metavar="N")] = 5,
    group_by: Annotated[
        str,
        Parameter(
            help="What folds must not split: the word participant, or a CSV file with columns folder and group.",
            metavar="WHAT",
        ),
    ] = "participant",
    images: Annotated[
        list[str] | None,
        Parameter(
            help="File names of the images, one for each input channel of the network. Default: water.nrrd.",
            metavar="NAME",
            consume_multiple=True,
            negative="",
        ),
    ] = None,
    label: Annotated[
        str | None, Parameter(help="File name of the labels. Default: the only .seg.nrrd.", metavar="NAME")
    ] = None,
    scheme: Annotated[
        str | None,
        Parameter(help="What the numbers in a plain label map mean: ours, or a label scheme.", metavar="NAME"),
    ] = None,
    weak: Annotated[bool, Flag, Parameter(help="All labels come from another program, not from an annotator.")] = False,
    weak_folder: Annotated[
        list[str] | None,
        Parameter(help="The labels of this folder come from another program. Repeatable.", metavar="NAME", negative=""),
    ] = None,
    ignore_segment: Annotated[
        list[str] | None, Parameter(help="Leave out this segment. Repeatable.", metavar="NAME", negative="")
    ] = None,
    seed: Annotated[int, WholeNumber, Parameter(help="Seed of the random assignment to folds.", metavar="N")] = 0,
) -> None:
    """List the images and annotations to train on, in folds that do not split a participant."""
    from operators.core.errors import InputError, UsageError

    if not folder.is_dir():
        raise InputError(str(folder), "no such folder", "a folder with one folder per participant", "Check the path.")
    if folds < 2:
        raise UsageError("--folds", f"{folds}", "2 or more", "Give another number.")
    _silence_imports()
    from bundle.scripts.datalist import write_datalist

    write_datalist(
        folder,
        out,
        folds=folds,
        group_by=group_by,
        images=images or ["water.nrrd"],
        label=label,
        scheme=scheme,
        weak=weak,
        weak_folders=weak_folder or [],
        ignore=ignore_segment or [],
        seed=seed,
    )


@command.command
def release(
    checkpoint: Annotated[
        Path, Parameter(help="Checkpoint of the training: best.pt or training_checkpoint_epoch=N.pt.")
    ],
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Folder for the new bundle.", metavar="DIR")],
    name: Annotated[str, Parameter(help="Name of the model.", metavar="TEXT")],
    version: Annotated[str, Parameter(help="Version of the model, e.g. 1.0.0.", metavar="X.Y.Z")],
    training_data: Annotated[str, Parameter(help="One sentence: what it was trained on.", metavar="TEXT")],
    intended_use: Annotated[str, Parameter(help="One sentence: what it may be used for.", metavar="TEXT")],
    synthetic: Annotated[
        bool,
        Flag,
        Parameter(
            help="The weights were trained on synthetic images and not validated on people: every output says so."
        ),
    ] = False,
    real: Annotated[bool, Flag, Parameter(help="The weights were trained on images of people.")] = False,
    metrics: Annotated[
        Path | None,
        Parameter(help="Output folder of evaluate.yaml, whose figures the model card then states.", metavar="DIR"),
    ] = None,
    config: Annotated[
        list[Path] | None,
        Parameter(
            help="A config file of the training. Repeatable, in the training's order. Default: train.yaml.",
            metavar="FILE",
            negative="",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        Parameter(
            name="--set",
            help="A setting that was given on the training's command line. Repeatable.",
            metavar="KEY=VALUE",
            negative="",
        ),
    ] = None,
    authors: Annotated[str, Parameter(help="Who made the model.", metavar="TEXT")] = "Not stated",
    data_license: Annotated[
        Path | None, Parameter(help="Text file that says what the terms of the training data allow.", metavar="FILE")
    ] = None,
    bf16_dice_loss: Annotated[
        float | None, Parameter(help="Measured loss of mean Dice with bfloat16, 0 to 1.", metavar="LOSS")
    ] = None,
    training_signal: Annotated[
        tuple[float, float, float] | None,
        Parameter(
            help="Water signal of lean muscle in the training images: typical, lowest, highest.",
            metavar="TYPICAL LOW HIGH",
            negative="",
        ),
    ] = None,
    can_lack: Annotated[
        list[str] | None,
        Parameter(
            help="An input image that the network can do without, such as fat. Repeatable.",
            metavar="CONTRAST",
            negative="",
        ),
    ] = None,
) -> None:
    """Make a bundle from a training's checkpoint, for `sarcomap run -m`.

    Give --synthetic or --real: no weights are taken for either by default.
    """
    from operators.core.output_files import require_new

    _check_release(
        checkpoint,
        synthetic=synthetic,
        real=real,
        metrics=metrics,
        data_license=data_license,
        bf16_dice_loss=bf16_dice_loss,
    )
    require_new(output)
    _silence_imports()
    from bundle.scripts.checkpoints import load_checkpoint

    load_checkpoint(checkpoint)  # refused here, before MONAI's slow import, if it cannot be read
    from bundle.scripts.release import TRAIN_CONFIG
    from bundle.scripts.release import release as make_bundle
    from operators.segmentation import load_model

    made = make_bundle(
        checkpoint,
        output,
        name=name,
        version=version,
        training_data=training_data,
        intended_use=intended_use,
        synthetic=synthetic,
        metrics=metrics,
        configs=config or [TRAIN_CONFIG],
        overrides=_settings(set_ or []),
        bf16_dice_loss=bf16_dice_loss,
        training_signal=training_signal,
        can_lack=can_lack or [],
        authors=authors,
        data_license=data_license,
        verify=load_model,
    )
    print(f"{made}: {name} {version}. Check it with `sarcomap bundle check {made}`.")


@command.command
def check(
    folder: Annotated[Path, Parameter(help="Folder of a bundle.")],
    /,
    *,
    trust_bundle: Annotated[
        bool,
        Flag,
        Parameter(help="Run whatever code the bundle's configs name, with your permissions. Read them first."),
    ] = False,
    coarse: Annotated[bool, Flag, Parameter(help="Use a phantom at a quarter of the resolution.")] = False,
) -> None:
    """Check a bundle: verify its metadata, load its model, and label one phantom with it.

    Prints the structures that were found, their Dice, and the error of total muscle volume.
    """
    from operators.core.errors import SegmentationError

    if not (folder / "models" / "shipped.json").is_file():
        raise SegmentationError(
            str(folder), "no models/shipped.json", "a bundle", "Make one with `sarcomap bundle release`."
        )
    print("Checking metadata, loading the model, labelling one phantom: about a minute.", file=sys.stderr, flush=True)
    _silence_imports()
    from sarcomap.bundle_check import check as check_bundle

    print(check_bundle(folder, trusted=trust_bundle, coarse=coarse).summary())


def _check_release(
    checkpoint: Path,
    *,
    synthetic: bool,
    real: bool,
    metrics: Path | None,
    data_license: Path | None,
    bf16_dice_loss: float | None,
) -> None:
    """Refuse arguments of `release` that cannot be right, before the slow imports."""
    from operators.core.errors import InputError, UsageError

    if synthetic == real:
        raise UsageError(
            "--synthetic or --real",
            "both" if synthetic else "neither",
            "one of them",
            "State what the weights were trained on: every report made with them repeats it.",
        )
    if not checkpoint.is_file():
        raise InputError(str(checkpoint), "no such file", "a training checkpoint", "Check the path.")
    if metrics is not None and not metrics.is_dir():
        raise InputError(
            f"--metrics {metrics}", "no such folder", "the output folder of evaluate.yaml", "Check the path."
        )
    if data_license is not None and not data_license.is_file():
        raise InputError(str(data_license), "no such file", "a text file", "Check --data-license.")
    if bf16_dice_loss is not None and not 0 <= bf16_dice_loss < 1:
        raise UsageError("--bf16-dice-loss", f"{bf16_dice_loss:g}", "a loss of mean Dice, 0 to 1", "Measure it.")


def _silence_imports() -> None:
    """MONAI imports all of itself in training code, Holoscan too, which warns of the stack size: no study runs here."""
    import warnings

    warnings.filterwarnings("ignore", category=RuntimeWarning, module="holoscan")


def _settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Parse KEY=VALUE pairs into config keys and values."""
    import yaml

    from operators.core.errors import UsageError

    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        try:
            settings[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            equals = ""
        if not key or not equals:
            raise UsageError(f"--set {pair}", "not KEY=VALUE", "e.g. --set spacing_mm=[1.5,1.5,2.0]", "Quote it.")
    return settings
