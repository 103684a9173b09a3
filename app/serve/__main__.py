"""``python -m app.serve``: receive studies by DICOM or from a folder, process them, send the results."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from app.serve.command import serve_app
from operators.core.command_line import run_command

__all__ = ["main"]

_command = serve_app("python -m app.serve")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; returns the exit code."""
    return run_command(_command, arguments)


if __name__ == "__main__":
    sys.exit(main())
