"""The fused volume as MR images of its own, so that a segmentation of it has a series to lie on."""

from operators.derived_series.series import DerivedSeries, SeriesHeaders, derive, write_derived
from operators.derived_series.stored_values import StoredValues, stored_values
from operators.derived_series.written import read_headers

__all__ = [
    "DerivedSeries",
    "SeriesHeaders",
    "StoredValues",
    "derive",
    "read_headers",
    "stored_values",
    "write_derived",
]
