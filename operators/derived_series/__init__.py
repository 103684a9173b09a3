"""The fused volume as MR images of its own, so that a segmentation of it has a series to lie on."""

from operators.derived_series.series import DerivedSeries, derive, write_derived
from operators.derived_series.stored_values import StoredValues, stored_values

__all__ = ["DerivedSeries", "StoredValues", "derive", "stored_values", "write_derived"]
