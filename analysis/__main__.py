"""``python -m analysis``: run the epidemiology, collect reports, audit a published table."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from analysis.command_line import run_command
from analysis.commands import commands

__all__ = ["main"]

_command = commands("python -m analysis")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_command(_command, arguments)


if __name__ == "__main__":
    sys.exit(main())
