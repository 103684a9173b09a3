"""What the segmentation is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from operators.core.errors import UsageError

__all__ = ["Backend", "Device", "Precision", "SegmentationOptions"]

Backend = Literal["auto", "torch", "onnxruntime", "openvino"]
Precision = Literal["auto", "fp32", "bf16"]
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class SegmentationOptions:
    """How the network is run and what is made of its scores.

    Attributes
    ----------
    backend : {"auto", "torch", "onnxruntime", "openvino"}
        What runs the network; ``auto`` takes the fastest that is installed.
    precision : {"auto", "fp32", "bf16"}
        Of the network's arithmetic; ``auto`` takes bfloat16 only where the
        model's card says what it costs in Dice, that this is less than 0.002,
        and the processor has instructions for it.
    device : {"auto", "cpu", "cuda"}
    mirror : bool
        Also show the network each window's mirror image (left for right) and
        average the scores; takes twice as long.
    clean_up : bool
        Give islands of a label, far smaller than its largest part, to the
        label that surrounds them.
    confidence : bool
        Also give the probability of the label that won, voxel by voxel.
    batch_size : int or None
        Windows at a time; None: one on a CPU, four on a GPU.

    Raises
    ------
    UsageError
        For a value that is none of these.
    """

    backend: Backend = "auto"
    precision: Precision = "auto"
    device: Device = "auto"
    mirror: bool = False
    clean_up: bool = False
    confidence: bool = False
    batch_size: int | None = None

    def __post_init__(self) -> None:
        for name, kind in (("backend", Backend), ("precision", Precision), ("device", Device)):
            value, allowed = getattr(self, name), get_args(kind)
            if value not in allowed:
                raise UsageError(f"--{name}", repr(value), " or ".join(allowed), "See --help.")
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError("batch size", str(self.batch_size), "1 or more", "Leave it out to have it chosen.")
