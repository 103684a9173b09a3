"""What a vendor's module says: how series are arranged, and what their headers say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from phantom.dicom_files import Dress
from phantom.dicom_series import Series

__all__ = ["EnhancedWriting", "Vendor", "as_is", "synthetic_model"]


@dataclass(frozen=True)
class EnhancedWriting:
    """How a vendor writes Enhanced MR.

    Attributes
    ----------
    together : callable
        Key of a series; series of one key are written into one object.
    dress_object : callable
        Changes the attributes of a whole object: header, its series.
    dress_frame : callable
        Changes the per-frame functional groups of one slice.
    """

    together: Callable[[Series], object]
    dress_object: Callable[[Dataset, Sequence[Series]], None]
    dress_frame: Dress


@dataclass(frozen=True)
class Vendor:
    """One vendor's way to write a study.

    Attributes
    ----------
    arrange : callable
        Series as the vendor numbers, names and divides them, in the order of their numbers.
    dress : callable
        Changes the header of one slice; for Enhanced MR, that of the object before its groups are made.
    enhanced : EnhancedWriting or None
        None for a vendor that writes classic MR images.
    """

    arrange: Callable[[Sequence[Series]], list[Series]]
    dress: Dress
    enhanced: EnhancedWriting | None = None


def as_is(series: Sequence[Series]) -> list[Series]:
    """Series as the phantom numbers and names them."""
    return list(series)


def synthetic_model(model: str) -> str:
    """A vendor's model name that does not pass for a real scanner."""
    return f"{model} (SarcoMAP phantom)"
