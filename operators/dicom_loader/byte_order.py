"""Pixels whose bytes are in another order than the transfer syntax says.

Converters that change the byte order of a file may leave that of its pixels, or the
other way round. Of the two bytes of a value, the low one changes from pixel to pixel with
the noise, and the high one with the tissue only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UID, RLELossless

from operators.core.volume import QualityFlag
from operators.dicom_loader.image_file import ImageFile

__all__ = ["byte_order_flags", "has_byte_order", "is_byte_swapped"]

_FEWER = 3.0
"""Of two bytes of a value, the low one changes so many times as much from pixel to pixel, at least: 30 in images of few
hundred grey values, 10 in those of 16 bits with little noise, and 1 in noise over all bits."""


def has_byte_order(file: ImageFile) -> bool:
    """Whether its pixels have two bytes, in an encoding that does not say itself in which order."""
    syntax = UID(file.transfer_syntax_uid)
    if int(file.pixel_options["bits_allocated"]) != 16 or not syntax.is_transfer_syntax:
        return False
    return not syntax.is_compressed or syntax == RLELossless


def is_byte_swapped(frames: Sequence[NDArray[np.integer]]) -> bool:
    """Whether in most frames the high byte changes much more from pixel to pixel than the low one.

    Parameters
    ----------
    frames : sequence of ndarray, shape (rows, columns), integer
        Stored values of one stack.
    """
    swapped = 0
    for frame in frames:
        low, high = _change(frame & 0xFF), _change((frame >> 8) & 0xFF)
        # A low byte that is nowhere used is that of values that were moved up.
        swapped += bool((frame & 0xFF).any()) and high > _FEWER * low
    return 2 * swapped > len(frames)


def byte_order_flags(titles: Sequence[str]) -> tuple[QualityFlag, ...]:
    """A ``byte-order-repaired`` warning that names the series."""
    if not titles:
        return ()
    message = (
        f"{', '.join(dict.fromkeys(titles))}: pixels whose bytes are not in the order that the transfer syntax says; "
        "they were read in the other order, in which neighbouring pixels are alike."
    )
    return (QualityFlag("byte-order-repaired", "warning", message),)


def _change(byte: NDArray[np.integer]) -> float:
    """Mean difference of neighbours; 255 is next to 0, because values around zero may have a sign."""
    steps = np.diff(byte.astype(np.uint8), axis=1).view(np.int8)
    return float(np.abs(steps.astype(np.int16)).mean())
