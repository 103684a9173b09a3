"""Helpers of `multi_gpu_train.yaml`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from monai.handlers import StatsHandler, TensorBoardHandler

__all__ = ["local_rank", "without_logs"]


def local_rank() -> int:
    """This process's number on its machine, as torchrun sets it; 0 without torchrun."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def without_logs(handlers: Sequence[Any]) -> list[Any]:
    """Handlers without those that print or draw curves, because only one process does that."""
    return [handler for handler in handlers if not isinstance(handler, StatsHandler | TensorBoardHandler)]
