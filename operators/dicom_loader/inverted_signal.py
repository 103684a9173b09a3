"""Negatives: images whose stored values are large where there is no signal.

MONOCHROME1 only says that small values are to be shown bright, and the values of
scanners are signal all the same. Some converters turned the values over as well. Then
the air around the body has the largest ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import QualityFlag

__all__ = ["inverted_signal_flags", "undo_inversion"]

_BRIGHT = 0.5
"""Of the largest value: median of the outermost pixels of the slices, which show air. In an image that is no negative
it is a few per cent."""


def undo_inversion(stacked: NDArray[np.float32], photometric: str) -> bool:
    """Turn a negative back in place, so that the largest value becomes 0.

    Parameters
    ----------
    stacked : ndarray, shape (slice, row, column)
    photometric : str
        PhotometricInterpretation; only MONOCHROME1 can be a negative.

    Returns
    -------
    bool
        Whether it was one.
    """
    if photometric != "MONOCHROME1":
        return False
    largest = stacked.max()
    edges = (stacked[:, 0], stacked[:, -1], stacked[:, :, 0], stacked[:, :, -1])
    if largest <= 0 or np.median(np.concatenate([edge.ravel() for edge in edges])) <= _BRIGHT * largest:
        return False
    np.subtract(largest, stacked, out=stacked)
    return True


def inverted_signal_flags(titles: Sequence[str]) -> tuple[QualityFlag, ...]:
    """``inverted-signal`` (warning) for series that were negatives."""
    if not titles:
        return ()
    message = (
        f"{', '.join(titles)}: negatives (MONOCHROME1, and air has the largest values); they were turned back, so that "
        "their signal counts from their largest value."
    )
    return (QualityFlag("inverted-signal", "warning", message),)
