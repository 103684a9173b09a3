"""Canon: classic MR images whose headers do not say the contrast, each naming a series of its own.

Sources
-------
- A SeriesInstanceUID for each slice position, the last component counting slices, in one series number, which is a
  multiple of a thousand: rordenlab/dcm2niix#495 (software V6.0). Reported of series with several volumes; that Dixon
  series are written so is our choice.
- Manufacturer CANON_MEC: rordenlab/dcm2niix#388. Model ``Galan 3T``, software ``V6.0SP2000*``, ImageType
  ``ORIGINAL\\PRIMARY\\GDC``, the same text as description and protocol, AcquisitionNumber counting acquisitions:
  neurolabusc/dcm_qa_canon, Ref/DTI_AP-ortho_10000.json.
- No public source says how Canon's headers name the contrasts of a water-fat separation. So they do not, and four
  series numbers with one description are left to be told by their images: our choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydicom.dataset import Dataset

from phantom.dicom_series import CONTRAST_ORDER, Series
from phantom.vendors.vendor import Vendor, synthetic_model

__all__ = ["CANON"]


def _arrange(series: Sequence[Series]) -> list[Series]:
    return [
        replace(
            one,
            number=1000 * (4 * one.station + CONTRAST_ORDER.index(one.contrast)),
            description="FE3D_legs",
            instance_numbers=tuple(range(1, len(one.voxels) + 1)),
            file_numbers=tuple(range(1, len(one.voxels) + 1)),
        )
        for one in series
    ]


def _dress(header: Dataset, series: Series, k: int) -> None:
    header.Manufacturer = "CANON_MEC"
    header.ManufacturerModelName = synthetic_model("Galan 3T")
    header.SoftwareVersions = "V6.0SP2000*"
    header.ProtocolName = series.description
    header.ImageType = ["ORIGINAL", "PRIMARY", "GDC"]
    header.AcquisitionNumber = series.station
    # A UID of at most 64 characters: the phantom's are too long for another component.
    header.SeriesInstanceUID = f"{series.uid[:50]}.{k + 1}"


CANON = Vendor(_arrange, _dress)
