"""The values that pixels mean: high bit, bits stored, sign and padding (PS3.3 C.7.6.3, PS3.5 8.1.1).

A header may state fewer bits than the values have, bits that hold an overlay, or the
wrong sign. The values themselves tell: neighbouring tissue differs little, noise is
hardly below zero, and bright tissue has values of every size. Where the reading of the
values is not that of the header, the study says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.core.errors import DicomError
from operators.core.volume import QualityFlag
from operators.dicom_loader.elements import Values

__all__ = ["ENCODING_KEYWORDS", "Encoding", "Stored", "encoding_flags", "stored_values"]

ENCODING_KEYWORDS = ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue",
                     "PixelPaddingRangeLimit")  # fmt: skip

_NOISE = 0.25
"""Of the largest value: noise around zero is not deeper below zero."""

_NEAR_THE_TOP = 0.9
"""Of half the range of the bits: values that pass the half come this near to it on both sides."""

_FEWEST_VALUES = 8
"""Of different values beyond the half; fewer can be a padding that the header does not name."""


_LEAST_TOP = 255
"""Conversions cut off at 8 bits or more."""

_FEWEST_CLIPPED, _CLIPPED = 20, 0.002
"""Pixels of an image with the largest value: so many, and this share, are no single bright vessel."""

_SAMPLED = 8
"""Every so many values or rows are enough for a first look."""


@dataclass(frozen=True)
class Encoding:
    """How a header says that values lie in their bits.

    Attributes
    ----------
    stored, high_bit : int
        Number of bits of a value, and the place of the highest, counted from 0.
    signed : bool
    padding : tuple of int or None
        Lowest and highest stored value that means "no image here".
    """

    stored: int
    high_bit: int
    signed: bool
    padding: tuple[int, int] | None = None

    @property
    def plain(self) -> bool:
        """Whether values are unsigned, lie in the lowest bits, and none is padding."""
        return not self.signed and self.high_bit == self.stored - 1 and self.padding is None

    @classmethod
    def of(cls, header: Values, where: str) -> Encoding:
        """Read it from a header.

        Raises
        ------
        DicomError
            When bits and high bit contradict each other.
        """
        allocated = int(header.get("BitsAllocated") or 16)
        stored = int(header.get("BitsStored") or allocated)
        given = header.get("HighBit")
        high = stored - 1 if given is None else int(given)
        if not (1 <= stored <= high + 1 <= allocated):
            raise DicomError(
                where,
                f"{stored} bits stored and high bit {high} of {allocated} bits allocated",
                "a high bit of bits stored - 1",
                "Export the series again.",
            )
        padding = _integer(header.get("PixelPaddingValue"))
        limit = _integer(header.get("PixelPaddingRangeLimit"))
        last = padding if limit is None else limit
        bounds = None if padding is None or last is None else (min(padding, last), max(padding, last))
        if bounds == (0, 0) and not header.get("RescaleIntercept") and "PerFrameFunctionalGroupsSequence" not in header:
            bounds = None  # such pixels have no signal already
        return cls(stored, high, int(header.get("PixelRepresentation") or 0) == 1, bounds)


def _integer(value: Any) -> int | None:
    """A number whose representation is "US or SS", which pydicom leaves as bytes in implicit VR."""
    if isinstance(value, bytes):
        return int.from_bytes(value[:2], "little") if len(value) >= 2 else None
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


@dataclass(frozen=True)
class Stored:
    """The values of one frame.

    Attributes
    ----------
    values : ndarray, shape (rows, columns), integer
    padding : ndarray of bool, or None
        Pixels outside the image; None when there are none.
    notes : frozenset of str
        Codes of `encoding_flags`.
    """

    values: NDArray[Any]
    padding: NDArray[np.bool_] | None = None
    notes: frozenset[str] = frozenset()


def stored_values(pixels: NDArray[Any], encoding: Encoding) -> Stored:
    """The values of a frame from its allocated bits.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns), integer
        As a decoder gives them, with whatever the unused bits hold.
    encoding : Encoding
    """
    if pixels.dtype.kind not in "iu":
        return Stored(pixels)
    if not pixels.dtype.isnative:  # Explicit VR Big Endian
        pixels = pixels.astype(pixels.dtype.newbyteorder("="))
    width = 8 * pixels.itemsize
    stored, high = min(encoding.stored, width), min(encoding.high_bit, width - 1)
    raw = pixels.view(f"u{pixels.itemsize}")
    if encoding.plain and not _is_clipped(raw) and int(raw.max(initial=0)) >> (stored - 1) == 0:
        return Stored(raw)  # most images: no bit is used that could mean something else
    notes = set()
    unused = (1 << (high + 1 - stored)) - 1
    if unused and (raw & raw.dtype.type(unused)).any() and not (raw >> stored).any():
        high, notes = stored - 1, {"other-high-bit-than-stated"}
    values = _within(raw, stored, high, encoding.signed)
    padding = _padding(raw, values, encoding, width)
    here, bits = (values, raw) if padding is None else (values[~padding], raw[~padding])
    if not encoding.signed and high + 1 < width and int(bits.max(initial=0)) >> (high + 1):
        if _continues(raw >> (high + 1), values, stored):
            values = raw >> (high + 1 - stored)
            notes.add("more-bits-than-stated")
        else:
            notes.add("unused-bits")
    elif _sign_is_wrong(here, stored, encoding.signed):
        values = _within(raw, stored, high, not encoding.signed)
        notes.add("other-sign-than-stated")
    if padding is not None:
        notes.add("pixel-padding")
    if _is_clipped(values if padding is None else values[~padding]):
        notes.add("clipped-signal")
    return Stored(values, padding, frozenset(notes))


def _within(raw: NDArray[Any], stored: int, high: int, signed: bool) -> NDArray[Any]:
    """The bits of the values alone, with their sign."""
    width = 8 * raw.itemsize
    if stored == width:
        return raw.view(f"i{raw.itemsize}") if signed else raw
    left, right = width - 1 - high, width - stored
    moved = raw << left if left else raw
    return (moved.view(f"i{raw.itemsize}") if signed else moved) >> right


def _continues(beyond: NDArray[Any], values: NDArray[Any], stored: int) -> bool:
    """Whether bits beyond the stored ones go on with the values, as an overlay does not."""
    steps = np.unique(beyond)
    if steps[-1] != len(steps) - 1:  # bits of overlays leave numbers out, values do not
        return False
    change = beyond[:, 1:] != beyond[:, :-1]
    if not change.any():
        return False
    inside = values.astype(np.int64)
    whole = inside + (beyond.astype(np.int64) << stored)
    with_them, without = (float(np.median(np.abs(np.diff(v, axis=1))[change])) for v in (whole, inside))
    return with_them < without


def _sign_is_wrong(values: NDArray[Any], stored: int, signed: bool) -> bool:
    """Whether unsigned values are noise around zero, or signed values are bright tissue beyond half the range."""
    half = 1 << (stored - 1)
    if not values.size:
        return False
    if signed:
        low, top = int(values.min()), int(values.max())
        if low >= -_NEAR_THE_TOP * half or top <= _NEAR_THE_TOP * half:
            return False
        return len(np.unique(values[values < 0])) >= _FEWEST_VALUES
    if int(values.max()) < half:
        return False
    some = values[::_SAMPLED]
    if ((some >= half) & (some < half + half // 2)).any():
        return False  # far deeper below zero than noise is; told from a few values, because many images are bright
    large = values >= half
    deepest = 2 * half - int(values[large].min())
    return deepest <= _NOISE * int(values[~large].max(initial=0))


def _is_clipped(values: NDArray[Any]) -> bool:
    """Whether many pixels have the largest value of some number of bits, as where a conversion cut bright fat off."""
    top = int(values.max(initial=0))
    if top < _LEAST_TOP or top & (top + 1):
        return False
    return bool(np.count_nonzero(values == top) >= max(_FEWEST_CLIPPED, _CLIPPED * values.size))


def _padding(raw: NDArray[Any], values: NDArray[Any], encoding: Encoding, width: int) -> NDArray[np.bool_] | None:
    if encoding.padding is None:
        return None
    low, high = encoding.padding
    if low == high:
        # The value may be written with all allocated bits, or as a signed number in an unsigned element.
        bits = encoding.stored if -(1 << (encoding.stored - 1)) <= low < 1 << encoding.stored else width
        mask = (1 << bits) - 1
        found = (raw if bits == width else values.view(raw.dtype)) & raw.dtype.type(mask) == low & mask
    else:
        found = (values >= low) & (values <= high)
    return found if found.any() else None


_MESSAGES = {
    "other-high-bit-than-stated": "have values in lower bits than HighBit says; they were read there.",
    "unused-bits": "hold something (an overlay) in bits that no value uses; it was left out.",
    "more-bits-than-stated": "have values of more bits than BitsStored says; all their bits were read.",
    "other-sign-than-stated": "have values of another sign than PixelRepresentation says; they were read with "
    "that sign.",
    "clipped-signal": "have many pixels with the largest value that their bits hold; brighter signal was "
    "cut off, that of fat first, so fat fractions may be wrong.",
    "pixel-padding": "have pixels that PixelPaddingValue marks as outside the image; they were read as no signal.",
}
_INFO = ("unused-bits", "pixel-padding")


def encoding_flags(counts: Mapping[str, int]) -> tuple[QualityFlag, ...]:
    """Flags for what was unusual in a study's images; ``counts`` has the number of images of each note."""
    return tuple(
        QualityFlag(note, "info" if note in _INFO else "warning", f"{counts[note]} images {message}")
        for note, message in _MESSAGES.items()
        if counts.get(note)
    )
