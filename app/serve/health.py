"""``python -m app.serve.health NOTE``: check the health of the service whose arguments are in the file NOTE."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from app.serve.command import settings_from
from operators.core.errors import SarcoMapError

__all__ = ["ask"]


def ask(arguments: Sequence[str], timeout_s: float = 5.0) -> str:
    """What is wrong with the service; empty if nothing is.

    Parameters
    ----------
    arguments : sequence of str
        Those of ``python -m app.serve``.
    timeout_s : float
    """
    try:
        http = settings_from(arguments).http
    except SarcoMapError as error:
        return f"error: {error}"
    if not http.port:
        return ""  # the health port is switched off
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(http.host, http.host)
    try:
        urllib.request.urlopen(f"http://{host}:{http.port}/health", timeout=timeout_s).close()
    except OSError as error:  # HTTPError is an OSError: 503 names the part that fails
        return f"error: service: no healthy answer ({error}); expected 200. See its log."
    return ""


if __name__ == "__main__":
    sys.exit(ask(Path(sys.argv[1]).read_text(encoding="utf-8").split("\0")[:-1]) or 0)
