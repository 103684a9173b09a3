"""Derived MR series: the fused volume as DICOM images, to which a segmentation can refer."""

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
