"""``python -m phantom``: make synthetic Dixon studies with known truth."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from operators.core.errors import SarcoMapError
from phantom.faults import FAULTS
from phantom.participant import draw_participant
from phantom.study import COMPRESSED, WrittenStudy, write_study
from phantom.table import draw_cohort, write_cohort
from phantom.training_set import TRAINING_SPACING_MM, write_training_set

_STUDY_DESCRIPTION = """\
Make one synthetic participant: a neck-to-knee two-point Dixon MRI study in the
UK Biobank's format, and its exact truth (label map and volumes). What you do
not state is drawn from the published cohort, by the seed.
"""
_STUDY_EXAMPLES = """\
examples:
  python -m phantom study --out demo --seed 7
  python -m phantom study --out demo --sex F --age 72 --pa-ratio 0.38 --zip --compress
  python -m phantom study --out broken --fault duplicate-station --fault shuffled-slices

output:
  OUT/dicom/<series>/<slice>.dcm      or, with --zip, OUT/<eid>_20201_2_0.zip
  OUT/truth/labels.seg.nrrd           label map; opens in 3D Slicer
  OUT/truth/truth.json                volumes, phenotypes, grid, faults
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except SarcoMapError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m phantom", description="Synthetic Dixon MRI participants with exact ground truth."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    study = commands.add_parser(
        "study",
        help="one participant's DICOM and truth",
        description=_STUDY_DESCRIPTION,
        epilog=_STUDY_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    study.set_defaults(run=_study)
    study.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write into; made if absent")
    study.add_argument("--seed", type=_in(int, 0, 2**31), default=0, metavar="N", help="decides all that is not stated")
    study.add_argument("--sex", choices=("M", "F"), help="default: drawn")
    study.add_argument("--age", type=_in(float, 18, 100), metavar="Y", help="years; default: drawn")
    study.add_argument("--height-cm", type=_in(float, 130, 215), metavar="H", help="default: drawn")
    study.add_argument("--bmi", type=_in(float, 14, 55), metavar="B", help="kg/m2; default: drawn")
    study.add_argument(
        "--tmv-cm3", type=_in(float, 2500, 20000), metavar="V", help="total muscle volume; default: drawn"
    )
    study.add_argument(
        "--pa-ratio", type=_in(float, 0.2, 0.9), metavar="R", help="hamstrings over quadriceps; default: drawn"
    )
    study.add_argument(
        "--stations", type=_in(int, 1, 6), default=6, metavar="N", help="only the lowest N of the six (default: 6)"
    )
    study.add_argument(
        "--fault",
        action="append",
        default=[],
        choices=sorted([*FAULTS, COMPRESSED]),
        metavar="NAME",
        help=f"spoil the study as archives are spoilt; repeatable. One of: {', '.join(sorted([*FAULTS, COMPRESSED]))}",
    )
    study.add_argument("--zip", action="store_true", help="one zip with a manifest, in the archive's naming")
    study.add_argument("--compress", action="store_true", help="JPEG lossless pixel data, as the archive's")
    study.add_argument("--quiet", action="store_true", help="no progress bar")
    training = commands.add_parser(
        "training-set",
        help="pairs of image and label map to train a network on",
        description="Many participants as coarse volumes, without DICOM: OUT/<seed>/{water,fat,labels}.nrrd. "
        "Participants that are there already are kept, so an interrupted run goes on where it stopped.",
    )
    training.set_defaults(run=_training_set)
    training.add_argument("--out", type=Path, required=True, metavar="DIR")
    training.add_argument("--n", type=_in(int, 1, 10**6), required=True, metavar="N", help="participants")
    training.add_argument("--seed", type=_in(int, 0, 2**31), default=100000, metavar="N", help="the first one's")
    training.add_argument(
        "--spacing",
        type=_in(float, 1, 20),
        nargs=3,
        default=TRAINING_SPACING_MM,
        metavar=("X", "Y", "Z"),
        help="mm; default: the demo network's",
    )
    training.add_argument(
        "--varied",
        action="store_true",
        help="P/A ratio, asymmetry and single muscles differ far more than between people, so that a network has to "
        "look where a border is and cannot lean on where it usually lies",
    )
    table = commands.add_parser(
        "table",
        help="a cohort's tables, without images, and their true effects",
        description="A cohort calibrated to the published one, whose odds ratios, correlations and slopes are known: "
        "OUT/phenotypes.csv and OUT/participants.csv for `python -m analysis run`, and OUT/truth.json.",
        epilog="example:\n  python -m phantom table --out cohort --n 5000 --seed 1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    table.set_defaults(run=_table)
    table.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write into; made if absent")
    table.add_argument("--n", type=_in(int, 3, 5_000_000), required=True, metavar="N", help="eligible participants")
    table.add_argument("--seed", type=_in(int, 0, 2**31), default=0, metavar="N")
    table.add_argument(
        "--ineligible",
        type=_in(float, 0, 1),
        default=0.08,
        metavar="SHARE",
        help="people added that the analysis must exclude, as a share of N (default: 0.08)",
    )
    return parser


def _table(options: argparse.Namespace) -> int:
    phenotypes, participants, truth = write_cohort(
        options.out, draw_cohort(options.n, options.seed, ineligible=options.ineligible)
    )
    print(f"{options.n} synthetic participants: {phenotypes}, {participants}; true effects: {truth}")
    return 0


def _training_set(options: argparse.Namespace) -> int:
    with tqdm(total=options.n, unit="participant", disable=not sys.stderr.isatty()) as bar:
        x, y, z = options.spacing
        write_training_set(
            options.out,
            range(options.seed, options.seed + options.n),
            spacing_mm=(x, y, z),
            varied=options.varied,
            progress=lambda done, total: bar.update(done - bar.n) and None,
        )
    print(f"{options.n} participants in {options.out}")
    return 0


def _study(options: argparse.Namespace) -> int:
    participant = draw_participant(
        options.seed,
        sex=options.sex,
        age_years=options.age,
        height_cm=options.height_cm,
        bmi=options.bmi,
        tmv_cm3=options.tmv_cm3,
        pa_ratio=options.pa_ratio,
    )
    written = write_study(
        options.out,
        participant=participant,
        stations=options.stations,
        faults=options.fault,
        zip_archive=options.zip,
        compress=options.compress,
        show_progress=not options.quiet and sys.stderr.isatty(),
    )
    print(_summary(written))
    return 0


def _summary(written: WrittenStudy) -> str:
    person, truth = written.participant, written.truth
    who = "man" if person.sex == "M" else "woman"
    muscle = f"{truth.volumes.tmv_cm3:8.0f} cm3 ({truth.covered_volumes.tmv_cm3:.0f} cm3 between pelvis and knee)"
    lines = [
        f"Synthetic participant {written.eid}: {who}, {int(person.age_years)} years, {person.height_cm:.0f} cm",
        f"  total muscle volume  {muscle}",
        f"  P/A ratio            {truth.volumes.pa_ratio:8.3f}",
        *(f"  fault                {fault.name}: {fault.detail}" for fault in written.faults),
        f"  DICOM                {written.dicom}",
        f"  truth                {written.truth_folder}",
    ]
    return "\n".join(lines)


def _in(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], float]:
    """An argparse type: a number of ``kind`` within bounds."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value:g} is outside {low:g} to {high:g}")
        return value

    return parse


if __name__ == "__main__":
    sys.exit(main())
