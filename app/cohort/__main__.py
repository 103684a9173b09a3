"""``python -m app.cohort``: many studies."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from app.cohort.command import new_command
from app.cohort.options import CohortOptions
from app.interrupt import clean_up_when_interrupted
from app.study_command import GeneralOptions
from operators.core.command_line import run_command
from operators.core.options import RunOptions

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a cohort; returns the exit code."""
    return run_command(
        new_command("python -m app.cohort"), arguments, options=(RunOptions, CohortOptions, GeneralOptions)
    )


if __name__ == "__main__":
    clean_up_when_interrupted()
    sys.exit(main())
