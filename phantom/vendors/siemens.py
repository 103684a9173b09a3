"""Siemens, syngo MR E11: classic MR images, one series for each contrast.

ImageType and descriptions are those of the archive (method, section 2), which
was scanned on this software: ``DERIVED\\PRIMARY\\DIXON\\WATER``, ``Dixon_noBH_W``.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from phantom.dicom_series import Series
from phantom.vendors.vendor import Vendor, as_is, synthetic_model

__all__ = ["SIEMENS"]


def _dress(header: Dataset, series: Series, k: int) -> None:
    header.Manufacturer = "SIEMENS"
    header.ManufacturerModelName = synthetic_model("Aera")
    header.SoftwareVersions = "syngo MR E11"


SIEMENS = Vendor(as_is, _dress)
