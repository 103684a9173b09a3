"""``python -m app``: one study, door to door."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
import warnings
from pathlib import Path

from app.interrupt import clean_up_when_interrupted, let_interruption_finish
from operators.core.errors import SarcoMapError, UsageError

__all__ = ["main"]

EXIT_CODES = """\
exit codes:
  0 done   2 usage   3 input cannot be used   4 could not segment   5 could not write   1 a defect of ours
  130, 143 interrupted (Ctrl-C, SIGTERM): nothing is left behind

environment (MONAI Deploy's own names; arguments win):
  HOLOSCAN_INPUT_PATH, HOLOSCAN_OUTPUT_PATH, HOLOSCAN_MODEL_PATH, HOLOSCAN_LOG_LEVEL

examples:
  python -m app -i 1000123_20201_2_0.zip -o out/1000123
  python -m app -i dicom_folder -o out --stations all --device cpu
  python -m app --dicomweb https://pacs.example/dicom-web --study-uid 1.2.3 --stow -o out --dicomweb-auth login.yaml
"""

_STAGES = {
    "load": "Reading DICOM",
    "fuse": "Fusing stations",
    "segment": "Segmenting",
    "write": "Writing DICOM-SEG",
    "report": "Measuring and reporting",
}


def main(argv: list[str] | None = None) -> int:
    """Run one study; returns the exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=arguments.log_level, format="%(levelname)s %(message)s")
    debug = arguments.log_level == "DEBUG"
    if not debug:
        logging.getLogger("highdicom").setLevel(logging.ERROR)  # it warns of an empty segmentation, which is flagged
        warnings.filterwarnings("ignore")  # of MONAI about itself; nothing that a user can act on
    try:
        _run(arguments)
    except Exception as error:
        let_interruption_finish()
        if debug:
            traceback.print_exc()
        if isinstance(error, SarcoMapError):
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            return error.exit_code
        print(
            f"error: a defect of SarcoMAP ({type(error).__name__}); nothing was written. "
            "Run again with --log-level DEBUG and report what it prints.",
            file=sys.stderr,
        )
        return 1
    return 0


def _run(arguments: argparse.Namespace) -> None:
    from app.from_server import access_from, fetched, send_back

    access = access_from(arguments)
    if (arguments.input is None and access is None) or arguments.output is None:
        raise UsageError(
            "command line",
            "no " + ("--output" if arguments.input is not None or access is not None else "--input"),
            "both",
            "See --help.",
        )
    if access is None:
        _run_input(arguments, arguments.input)
        return
    with fetched(access, arguments.study_uid, arguments.output, arguments.quiet) as folder:
        _run_input(arguments, folder)
    if arguments.stow:
        send_back(access, arguments.output, arguments.quiet)


def _run_input(arguments: argparse.Namespace, source: Path) -> None:
    # Imported here: --help, usage errors and a wrong path should not wait for torch and Holoscan.
    from app.options import options_from
    from operators.dicom_loader.source import DEFAULT_LIMITS, open_source

    options = options_from(arguments)
    with open_source(source, DEFAULT_LIMITS):
        pass
    from app.run import run_study

    run_study(
        source,
        arguments.output,
        options,
        model_folder=arguments.model,
        stage_names=_STAGES,
        quiet=arguments.quiet,
    )


def _parser() -> argparse.ArgumentParser:
    # Imported here: numpy starts threads, and signals must be blocked before any; see `clean_up_when_interrupted`.
    from app.from_server import add_dicomweb_arguments
    from app.options import add_study_arguments

    def path_from(variable: str) -> Path | None:
        return Path(os.environ[variable]) if os.environ.get(variable) else None

    parser = argparse.ArgumentParser(
        prog="python -m app",
        description="One neck-to-knee Dixon study (zip or folder of DICOM) in; fused volumes, a segmentation of 27 "
        "pelvic-thigh structures, DICOM-SEG, DICOM SR and a phenotype report out.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-i", "--input", type=Path, default=path_from("HOLOSCAN_INPUT_PATH"), help="zip or folder")
    parser.add_argument("-o", "--output", type=Path, default=path_from("HOLOSCAN_OUTPUT_PATH"), help="output folder")
    parser.add_argument(
        "-m",
        "--model",
        type=Path,
        default=path_from("HOLOSCAN_MODEL_PATH"),
        help="folder of a MONAI bundle (default: the one that ships, with demonstration weights)",
    )
    parser.add_argument("-w", "--workdir", type=Path, help="accepted for MONAI Deploy; not needed")
    parser.add_argument(
        "-l",
        "--log-level",
        type=str.upper,
        default="WARNING",
        choices=["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        help="default: WARNING; DEBUG also shows tracebacks",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress; errors only")
    add_dicomweb_arguments(parser)
    add_study_arguments(parser)
    return parser


if __name__ == "__main__":
    clean_up_when_interrupted()
    sys.exit(main())
