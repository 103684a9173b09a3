"""``sarcomap run``: process one study or a few, without MONAI Deploy."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from app.interrupt import let_interruption_finish
from app.progress import Progress, headline
from app.study_command import StudyCommand, dicomweb_access, refuse_early, set_up_logging, with_study
from operators.core.command_line import EXIT_CODES, new_app, report_error
from operators.core.errors import SarcoMapError, UsageError
from operators.core.options import RunOptions
from operators.core.options.declaration import Flag, TogetherWith, section

if TYPE_CHECKING:
    from operators.pipeline import StudyResult
    from operators.segmentation import SegmentationModel

__all__ = ["command", "output_folders"]

_FILES = Parameter(group=section("Input and output", -10))
_EXAMPLES = f"""\
{EXIT_CODES}

Examples:
  sarcomap run 1000123_20201_2_0.zip -o out/1000123
  sarcomap run dicom_folder -o out --device cpu --confidence
  sarcomap run archive/*.zip -o out             each into out/<name of the zip>
  sarcomap run water.nii.gz -o out --sex F --age 63 --height-cm 165
  sarcomap run study.zip -o out --segmentation labels.nii.gz --scheme musclemap
  sarcomap run --dicomweb https://pacs.example/dicom-web --study-uid 1.2 -o out"""

command = new_app(
    "run",
    "Process one study or a few: fused volumes, segmentation, DICOM-SEG, SR and report.\n\n"
    "If a study fails, the others are still processed, and its output folder stays as it was.",
    _EXAMPLES,
)


@command.default
def _run(
    studies: Annotated[
        tuple[Path, ...],
        Parameter(
            name="STUDY",
            negative="",
            show_default=False,
            help="Zips or folders of DICOM, or NIfTI that was fused elsewhere: the water image, or a folder with one "
            "file for each contrast. One study each.",
        ),
        _FILES,
    ] = (),
    /,
    *,
    output: Annotated[
        Path,
        Parameter(
            name=("-o", "--output"),
            metavar="DIR",
            help="Folder for the results. Several studies each get a subfolder with the study's name.",
        ),
        _FILES,
    ],
    fuse_only: Annotated[
        bool, Flag, Parameter(help="Stop after fusion: write the fused volumes only."), _FILES
    ] = False,
    how: Annotated[StudyCommand, TogetherWith] = StudyCommand(),  # noqa: B008 (frozen)
    options: Annotated[RunOptions, TogetherWith] = RunOptions(),  # noqa: B008 (frozen)
) -> int:
    set_up_logging(how.log_level)
    access = dicomweb_access(how.dicomweb)
    if access is not None and studies:
        raise UsageError("sarcomap run", "a study and --dicomweb", "one of the two", "Leave one out.")
    if access is None and not studies:
        raise UsageError(
            "sarcomap run", "no study given", "a zip, a folder or NIfTI", "Try `sarcomap run study.zip -o out`."
        )
    places = output_folders(studies, output)
    show = Progress(how.quiet)
    first = studies[0] if len(studies) == 1 else None
    show.start(
        f"SarcoMAP: {first.name if first else 'a study from the server' if access else f'{len(studies)} studies'}"
    )
    refuse_early(options, how, first)
    if access is not None:
        from app.from_server import fetched, send_back

        with fetched(access, str(how.dicomweb.study_uid), output, how.quiet) as folder:
            _one(folder, output, options, how.model, fuse_only, show)
        if how.dicomweb.stow and not fuse_only:
            send_back(access, output, how.quiet)
        return 0
    options = with_study(options, how)
    if first is not None:
        _one(first, output, options, how.model, fuse_only, show)
        return 0
    return _several(studies, places, options, how, fuse_only, show)


def output_folders(studies: Sequence[Path], output: Path) -> tuple[Path, ...]:
    """Output folder of each study: ``output`` itself for one study, a subfolder each for several.

    Raises
    ------
    UsageError
        If two studies would share a folder.

    Examples
    --------
    >>> [str(path) for path in output_folders([Path("a/1.zip"), Path("b/2")], Path("out"))]
    ['out/1', 'out/2']
    """
    if len(studies) < 2:
        return (output,) * len(studies)
    names = [re.sub(r"(?i)\.(zip|nii|nii\.gz)$", "", study.resolve().name) for study in studies]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            "sarcomap run",
            f"{len(twice)} names are shared by several studies, for example {twice[0]}",
            "studies whose zips or folders have different names",
            "Run them one by one, each with its own -o.",
        )
    return tuple(output / name for name in names)


def _several(
    studies: Sequence[Path],
    places: Sequence[Path],
    options: RunOptions,
    how: StudyCommand,
    fuse_only: bool,
    show: Progress,
) -> int:
    network: SegmentationModel | Path | None = how.model
    if not fuse_only:
        from operators.pipeline import model_of

        network = model_of(how.model, options)  # loaded once for all studies
    worst, failed = 0, 0
    for number, (study, place) in enumerate(zip(studies, places, strict=True), start=1):
        show.start(f"{number} of {len(studies)}: {study.name}")
        try:
            _one(study, place, options, network, fuse_only, show)
        except SarcoMapError as error:
            let_interruption_finish()
            worst, failed = max(worst, report_error(error)), failed + 1
    if failed:
        print(f"{failed} of {len(studies)} studies failed; the messages above say why.", file=sys.stderr)
    return worst


def _one(
    source: Path,
    output: Path,
    options: RunOptions,
    network: SegmentationModel | Path | None,
    fuse_only: bool,
    show: Progress,
) -> None:
    # Imported here so that help, usage errors and a wrong path do not wait for it.
    from operators.pipeline import fuse_study, process_study

    result: StudyResult
    try:
        if fuse_only:
            result = fuse_study(source, output, options, on_stage=show.stage, on_progress=show.files)
        else:
            result = process_study(source, output, options, model=network, on_stage=show.stage, on_progress=show.files)
    finally:
        show.close()
    if show.quiet:
        return
    print(f"Fused volumes written to {output / 'fused'}" if fuse_only else headline(result.report, output))
