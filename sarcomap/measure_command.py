"""``sarcomap measure``: measure a finished study again, with edited labels or another tool's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from app.progress import Progress, headline
from app.study_command import LogLevel, set_up_logging
from operators.core.command_line import EXIT_CODES, new_app
from operators.core.label_file_names import check_label_file_name
from operators.core.label_schemes import scheme_names
from operators.core.options import LabelOptions, OptionError, ReportOptions
from operators.core.options.declaration import Flag, TogetherWith, section

__all__ = ["command"]

_LABELS = Parameter(group=section("Labels", -10))
_GENERAL = Parameter(group=section("General", 0))
_STAGES = {"load": "Reading the study", "segment": "Reading labels"}
_EXAMPLES = f"""\
{EXIT_CODES}

Examples:
  sarcomap measure out/1000123        after its segmentation.seg.nrrd was edited
  sarcomap measure out/1000123 --segmentation edited.seg.nrrd
  sarcomap measure out/1000123 --segmentation labels.nii.gz --scheme musclemap"""

command = new_app(
    "measure",
    "Measure a finished study again, after its labels were edited or with another tool's.\n\n"
    "The source DICOM is not read. segmentation.seg.nrrd, segmentation.dcm, report.sr.dcm, report.json and report.html "
    "are rewritten. After an error the folder is unchanged. If labels were edited, every output says so.",
    _EXAMPLES,
)


@command.default
def _measure(
    folder: Annotated[Path, Parameter(name="OUT", help="Output folder of a finished run."), _LABELS],
    /,
    *,
    segmentation: Annotated[
        tuple[Path, ...],
        Parameter(
            negative="",
            show_default=False,
            metavar="FILE",
            help="Labels to measure. Without --scheme: an edited copy of the run's own. "
            "Default: segmentation.seg.nrrd in OUT.",
        ),
        _LABELS,
    ] = (),
    scheme: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            metavar="NAME",
            help="Label scheme of another tool's labels, i.e. what the numbers in the file mean: "
            f"{', '.join(scheme_names())}, or your own .yaml file. Repeat both options for more files.",
        ),
        _LABELS,
    ] = (),
    page: Annotated[ReportOptions, TogetherWith] = ReportOptions(),  # noqa: B008 (frozen)
    log_level: Annotated[
        LogLevel,
        Parameter(
            name=("-l", "--log-level"),
            converter=lambda _, tokens: tokens[0].value.upper(),
            help="DEBUG also shows tracebacks.",
        ),
        _GENERAL,
    ] = "WARNING",
    quiet: Annotated[
        bool, Flag, Parameter(name=("-q", "--quiet"), help="Show no progress and no summary, errors only."), _GENERAL
    ] = False,
) -> int:
    set_up_logging(log_level)
    labels = _labels(segmentation, scheme)
    show = Progress(quiet, _STAGES)
    show.start(f"SarcoMAP: measuring {folder.name} again")
    # Imported here so that help and usage errors do not wait for it.
    from operators.remeasure import measure_study

    try:
        result = measure_study(folder, labels, page=page, on_stage=show.stage)
    finally:
        show.close()
    if not quiet:
        print(headline(result.report, folder))
    return 0


def _labels(segmentation: tuple[Path, ...], scheme: tuple[str, ...]) -> Path | LabelOptions | None:
    if scheme or len(segmentation) > 1:
        return LabelOptions(segmentation, scheme)
    for file in segmentation:
        if not file.exists():
            raise OptionError("segmentation", f"no file or folder {file.name}", "a label map", "Check the path.")
        check_label_file_name(file)
        return file
    return None
