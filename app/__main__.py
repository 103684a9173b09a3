"""``python -m app``: one study as a MONAI Deploy application."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from app.interrupt import clean_up_when_interrupted, let_interruption_finish
from app.progress import Progress, headline
from app.study_command import StudyCommand, dicomweb_access, refuse_early, set_up_logging, with_study
from operators.core.command_line import EXIT_CODES, new_app, run_command
from operators.core.errors import UsageError
from operators.core.options import RunOptions
from operators.core.options.declaration import TogetherWith, section

__all__ = ["command", "main"]

_HELP = (
    "One neck-to-knee Dixon study (a zip or a folder of DICOM) in; fused volumes, a segmentation of the pelvic-thigh "
    "structures, DICOM-SEG, DICOM SR and a phenotype report out. This runs the MONAI Deploy application; `sarcomap "
    "run` gives the same results without MONAI Deploy."
)
_EXAMPLES = f"""\
{EXIT_CODES}

Environment (MONAI Deploy's own names; arguments win):
  HOLOSCAN_INPUT_PATH, HOLOSCAN_OUTPUT_PATH, HOLOSCAN_MODEL_PATH, HOLOSCAN_LOG_LEVEL

Examples:
  python -m app -i 1000123_20201_2_0.zip -o out/1000123
  python -m app -i dicom_folder -o out --stations all --device cpu
  python -m app --dicomweb https://pacs.example/dicom-web --study-uid 1.2.3 -o out --stow"""

command = new_app("python -m app", _HELP, _EXAMPLES)

_FILES = Parameter(group=section("Input and output", -10))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one study; returns the exit code."""
    return run_command(command, arguments, options=(RunOptions, StudyCommand), before_error=let_interruption_finish)


@command.default
def _run(
    *,
    input_path: Annotated[
        Path | None,
        Parameter(name=("-i", "--input"), env_var="HOLOSCAN_INPUT_PATH", help="Zip or folder, or NIfTI."),
        _FILES,
    ] = None,
    output: Annotated[
        Path | None, Parameter(name=("-o", "--output"), env_var="HOLOSCAN_OUTPUT_PATH", help="Output folder."), _FILES
    ] = None,
    workdir: Annotated[
        Path | None, Parameter(name=("-w", "--workdir"), help="Accepted for MONAI Deploy; not needed."), _FILES
    ] = None,
    how: Annotated[StudyCommand, TogetherWith] = StudyCommand(),  # noqa: B008 (frozen)
    options: Annotated[RunOptions, TogetherWith] = RunOptions(),  # noqa: B008 (frozen)
) -> None:
    set_up_logging(how.log_level)
    from_server = how.dicomweb.dicomweb is not None
    if output is None or (input_path is None and not from_server):
        absent = "--output" if input_path is not None or from_server else "--input"
        raise UsageError("command line", f"no {absent}", "an input and an output", "See `python -m app --help`.")
    # A container always sets the variable; an --input that somebody typed is a contradiction.
    if from_server and input_path is not None and str(input_path) != os.environ.get("HOLOSCAN_INPUT_PATH"):
        raise UsageError("command line", "--input and --dicomweb", "one of the two", "Leave one out.")
    refuse_early(options, how, None if from_server else input_path)
    access = dicomweb_access(how.dicomweb)
    show = Progress(how.quiet)
    if access is None:
        assert input_path is not None
        _process(input_path, output, with_study(options, how), how, show)
        return
    from app.from_server import fetched, send_back

    with fetched(access, str(how.dicomweb.study_uid), output, how.quiet) as folder:
        _process(folder, output, options, how, show)
    if how.dicomweb.stow:
        send_back(access, output, how.quiet)


def _process(source: Path, output: Path, options: RunOptions, how: StudyCommand, show: Progress) -> None:
    # Imported here so that help, usage errors and a wrong path do not wait for PyTorch and Holoscan.
    from app.run import run_study

    try:
        result = run_study(source, output, options, model=how.model, on_stage=show.stage, on_progress=show.files)
    finally:
        show.close()
    if not how.quiet:
        print(headline(result.report, output), file=sys.stderr)


if __name__ == "__main__":
    clean_up_when_interrupted()
    sys.exit(main())
