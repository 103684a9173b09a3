"""What pydicom and highdicom say about values stays inside: their warnings quote names and what was typed."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["dicom_is_quiet", "quiet_dicom"]

_PACKAGES = ("pydicom", "highdicom")
_MODULES = rf"({'|'.join(_PACKAGES)})(\.|$)"
_SILENT = logging.CRITICAL + 1


def quiet_dicom() -> None:
    """Keep both packages' warnings and log messages off the terminal and out of logs until the process ends."""
    warnings.filterwarnings("ignore", module=_MODULES)
    for package in _PACKAGES:
        logging.getLogger(package).setLevel(_SILENT)


class _Quiet:
    """Counts who needs quiet, since filters belong to the process and studies may be read on several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._levels: dict[str, int] = {}
        self._warnings = warnings.catch_warnings()

    def begin(self) -> None:
        with self._lock:
            self._holders += 1
            if self._holders > 1:
                return
            self._levels = {package: logging.getLogger(package).level for package in _PACKAGES}
            self._warnings = warnings.catch_warnings()
            self._warnings.__enter__()
            quiet_dicom()

    def end(self) -> None:
        with self._lock:
            self._holders -= 1
            if self._holders:
                return
            self._warnings.__exit__(None, None, None)
            for package, level in self._levels.items():
                logging.getLogger(package).setLevel(level)


_quiet = _Quiet()


@contextmanager
def dicom_is_quiet() -> Iterator[None]:
    """Within it, pydicom and highdicom warn and log nothing; afterwards they do as before.

    Examples
    --------
    >>> with dicom_is_quiet():
    ...     warnings.warn_explicit("Somebody^Secret", UserWarning, "valuerep.py", 1, module="pydicom.valuerep")
    """
    _quiet.begin()
    try:
        yield
    finally:
        _quiet.end()
