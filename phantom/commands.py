"""The phantom's commands: ``study``, ``paint``, ``cohort``, ``training-set`` and ``table``.

They import what they need when they run, so that help and wrong values do not wait for the anatomy.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from operators.core.command_line import new_app
from operators.core.options.declaration import Flag, TogetherWith
from operators.core.output_files import check_writable
from phantom.options import CohortOptions, ImagedCohortOptions, PaintOptions, StudyOptions, TrainingSetOptions

if TYPE_CHECKING:
    from phantom.study import WrittenStudy

__all__ = ["command", "commands"]

_STUDY = """\
Make one synthetic participant's DICOM and truth.

A neck-to-knee two-point Dixon MRI study in the UK Biobank's format, with its exact truth (label map and volumes). \
Values that you do not give are drawn from the published cohort; the seed decides them."""
_STUDY_EXAMPLES = """\
Output:
  DIR/dicom/<series>/<slice>.dcm      or, with --zip, DIR/<eid>_20201_2_0.zip
  DIR/truth/labels.seg.nrrd           label map; opens in 3D Slicer
  DIR/truth/truth.json                volumes, phenotypes, grid, faults

Examples:
  sarcomap phantom study --out demo --seed 7
  sarcomap phantom study --out demo --sex F --age 72 --pa-ratio 0.38 --zip
  sarcomap phantom study --out philips --vendor philips-enhanced
  sarcomap phantom study --out coronal --orientation coronal --stations 2
  sarcomap phantom study --out broken --fault duplicate-station"""
_TRAINING_SET = """\
Make pairs of image and label map to train a network on.

Many participants as coarse volumes, without DICOM: DIR/<seed>/{water,fat,labels,fine_labels}.nrrd. Participants that \
exist already are kept, so an interrupted run continues where it stopped."""
_PAINT = """\
Paint a Dixon study into a label map: the anatomy of a person, images with known truth.

The map may be drawn by hand, come from CT, or be another tool's output or ours. Unlabelled tissue between skin and \
muscle is filled in. Writes DICOM and truth as `study` does, or with --n training pairs as `training-set` does."""
_PAINT_EXAMPLES = """\
Examples:
  sarcomap phantom paint --labels out/segmentation.seg.nrrd --out painted
  sarcomap phantom paint --labels ct_labels.nii.gz \\
      --scheme totalsegmentator_ct --out pairs --n 20"""
_COHORT = """\
Make a cohort with images: a zip for each participant, and a table of participants with outcomes.

Bodies and outcomes are drawn from the published cohort; the odds ratios of the P/A ratio are known. Participants that \
exist already are kept, so an interrupted run continues where it stopped."""
_COHORT_EXAMPLES = """\
Output:
  DIR/zips/<eid>_20201_2_0.zip    for `sarcomap cohort run`
  DIR/participants.csv            for `sarcomap analysis run`
  DIR/truth.csv, DIR/truth/<eid>  true volumes and label maps
  DIR/truth.json                  the odds ratios

Example:
  sarcomap phantom cohort --out made --n 20 --small
  sarcomap cohort run made/zips -o cohort"""
_TABLE = """\
Make a cohort's tables, without images, and their true effects.

The cohort is calibrated to the published one; its odds ratios, correlations and slopes are known. Writes \
DIR/phenotypes.csv and DIR/participants.csv for `sarcomap analysis run`, and DIR/truth.json."""
_TABLE_EXAMPLES = """\
Example:
  sarcomap phantom table --out cohort --n 5000 --seed 1"""

_MISSED = 0.05
"""Relative error above which a value counts as missed."""

_study_command = new_app("study", _STUDY, _STUDY_EXAMPLES)
_paint_command = new_app("paint", _PAINT, _PAINT_EXAMPLES)
_cohort_command = new_app("cohort", _COHORT, _COHORT_EXAMPLES)
_training_set_command = new_app("training-set", _TRAINING_SET)
_table_command = new_app("table", _TABLE, _TABLE_EXAMPLES)


def commands(name: str) -> App:
    """The commands, under the name that they are started with."""
    app = new_app(name, "Synthetic Dixon MRI participants with exact ground truth.")
    for one in (_study_command, _paint_command, _cohort_command, _training_set_command, _table_command):
        app.command(one)
    return app


command = commands("phantom")


@_study_command.default
def _study(
    *,
    options: Annotated[StudyOptions, TogetherWith],
    quiet: Annotated[bool, Flag, Parameter(help="Show no progress.")] = False,
) -> None:
    check_writable(options.out)
    from phantom.participant import draw_participant
    from phantom.study import write_study

    participant = draw_participant(
        options.seed,
        sex=options.sex,
        age_years=options.age_years,
        height_cm=options.height_cm,
        bmi=options.bmi,
        tmv_cm3=options.tmv_cm3,
        pa_ratio=options.pa_ratio,
    )
    written = write_study(
        options.out,
        participant=participant,
        stations=options.stations,
        vendor=options.vendor,
        orientation=options.orientation,
        composed=options.composed,
        faults=options.faults,
        zip_archive=options.zip_archive,
        compress=options.compress,
        show_progress=not quiet and sys.stderr.isatty(),
    )
    print(_summary(written, {"total muscle volume": options.tmv_cm3, "P/A ratio": options.pa_ratio}))


@_paint_command.default
def _paint(*, options: Annotated[PaintOptions, TogetherWith]) -> None:
    check_writable(options.out)
    from phantom.mapped_body import read_body
    from phantom.painted import map_name, write_painted_set, write_painted_study

    source = read_body(options.labels, options.scheme, options.outline)
    if options.n is None:
        print(_summary(write_painted_study(options.out, source, options.seed)))
        return
    from tqdm import tqdm

    with tqdm(total=options.n, unit="painting", disable=not sys.stderr.isatty()) as bar:
        write_painted_set(
            options.out,
            source,
            map_name(options.labels),
            range(options.seed, options.seed + options.n),
            spacing_mm=options.spacing_mm,
            water_alone=options.water_alone,
            progress=lambda done, total: bar.update(done - bar.n) and None,
        )
    print(f"{options.n} paintings of {options.labels.name} in {options.out}")


@_cohort_command.default
def _cohort(*, options: Annotated[ImagedCohortOptions, TogetherWith]) -> None:
    check_writable(options.out)
    from tqdm import tqdm

    from phantom.cohort import write_imaged_cohort

    with tqdm(total=options.n, unit="participant", disable=not sys.stderr.isatty()) as bar:
        written = write_imaged_cohort(
            options.out,
            options.n,
            options.seed,
            stations=options.stations,
            small=options.small,
            compress=options.compress,
            progress=lambda done: bar.update(done - bar.n) and None,
        )
    print(f"{options.n} participants in {written.zips}, their outcomes in {written.participants}")


@_training_set_command.default
def _training_set(*, options: Annotated[TrainingSetOptions, TogetherWith]) -> None:
    check_writable(options.out)
    from tqdm import tqdm

    from phantom.training_set import write_training_set

    with tqdm(total=options.n, unit="participant", disable=not sys.stderr.isatty()) as bar:
        write_training_set(
            options.out,
            range(options.seed, options.seed + options.n),
            spacing_mm=options.spacing_mm,
            varied=options.varied,
            progress=lambda done, total: bar.update(done - bar.n) and None,
        )
    print(f"{options.n} participants in {options.out}")


@_table_command.default
def _table(*, options: Annotated[CohortOptions, TogetherWith]) -> None:
    check_writable(options.out)
    from phantom.table import draw_cohort, write_cohort

    phenotypes, participants, truth = write_cohort(
        options.out, draw_cohort(options.n, options.seed, options.ineligible, options.pa_tmv_correlation)
    )
    print(f"{options.n} synthetic participants: {phenotypes}, {participants}; true effects: {truth}")


def _summary(written: WrittenStudy, asked: Mapping[str, float | None] = MappingProxyType({})) -> str:
    """What was written. ``asked`` holds values that the user gave; those that the body does not have are listed."""
    person, truth = written.participant, written.truth
    volumes = truth.volumes
    who = "man" if person.sex == "M" else "woman"
    muscle = f"{volumes.tmv_cm3:8.0f} cm3 ({truth.covered_volumes.tmv_cm3:.0f} cm3 between pelvis and knee)"
    lines = [
        f"Synthetic participant {written.eid}: {who}, {int(person.age_years)} years, {person.height_cm:.0f} cm",
        f"  total muscle volume  {muscle}",
        *([] if volumes.pa_ratio is None else [f"  P/A ratio            {volumes.pa_ratio:8.3f}"]),
        *_missed(asked, {"total muscle volume": volumes.tmv_cm3, "P/A ratio": volumes.pa_ratio}),
        *([] if volumes.sided else ["  left and right       not told apart: see sides_unknown in truth.json"]),
        *(f"  fault                {fault.name}: {fault.detail}" for fault in written.faults),
        f"  DICOM                {written.dicom}",
        f"  truth                {written.truth_folder}",
    ]
    return "\n".join(lines)


def _missed(asked: Mapping[str, float | None], found: Mapping[str, float | None]) -> Iterator[str]:
    for name, wanted in asked.items():
        value = found[name]
        if wanted is not None and value is not None and abs(value / wanted - 1) > _MISSED:
            text = f"{wanted:.3f}" if wanted < 1 else f"{wanted:.0f} cm3"
            yield f"  asked for            {name} {text}: no body of this size has it"
