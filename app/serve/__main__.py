"""``python -m app.serve``: receive studies by DICOM or from a folder, process them, send the results."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from operators.core.command_line import report_error, run_command

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; returns the exit code."""
    try:
        from app.serve.command import serve_app
    except ImportError as error:  # the extra service is missing
        return report_error(error)
    return run_command(serve_app("python -m app.serve"), arguments)


if __name__ == "__main__":
    sys.exit(main())
