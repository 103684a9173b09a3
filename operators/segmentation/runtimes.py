"""ONNX Runtime and OpenVINO, imported so that they send nothing.

Their builds report their use over the network unless they are told not to: ONNX Runtime (1.32, on Linux) sends
events to Microsoft and keeps them in ``~/.cache/Microsoft``; the import of OpenVINO sends one to Google Analytics and
writes to ``~/intel``. We import the two only through this module.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

__all__ = ["NO_TELEMETRY", "import_onnxruntime", "import_openvino"]

NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"
"""ONNX Runtime reads this variable when it is imported (its Privacy.md, "Disabling Telemetry")."""

_SENDER = "openvino_telemetry"


def import_onnxruntime() -> Any:
    """The module ``onnxruntime``, with its telemetry off unless the user has set the variable."""
    os.environ.setdefault(NO_TELEMETRY, "1")
    return import_module("onnxruntime")


def import_openvino() -> Any:
    """The module ``openvino``, without its package for telemetry: it then uses a stub of its own that sends nothing."""
    absent = _SENDER not in sys.modules
    if absent:
        sys.modules[_SENDER] = None  # type: ignore[assignment]  # None means "not importable"
    try:
        return import_module("openvino")
    finally:
        if absent:
            sys.modules.pop(_SENDER, None)
