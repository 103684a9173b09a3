"""GE: classic MR images, one series for each contrast, the contrast in front of the description.

Sources
-------
- Descriptions ``WATER: ...``, ``FAT: ...``, ``InPhase: ...``, ``OutPhase: ...``: the GE sites of a multi-centre study
  (openmiblab/ppln-ibeat-dixon, src/ibeat_dixon/stage_2_data_harmonization.py).
- ImageType ``DERIVED\\PRIMARY\\DIXON\\WATER`` with FAT, IN_PHASE and OUT_PHASE beside it, on SIGNA Artist and SIGNA
  Explorer with the sequence ``efgre3d``: public notes on a set of 608 GE LAVA Dixon volumes. Whether the acquired
  echoes say ORIGINAL is our choice.
- Manufacturer, 16 bits stored and signed, series and acquisition time alike, no rescale slope: header listing in
  nih-fmrif/ge_test_dataset (20180907-26974/mr_0004/README-Series.txt).
- (0043,102F), 0 for a magnitude: dcm2niix, GE/README.md; names of the private elements: pydicom's dictionary.
- Series numbers, a hundred for each acquisition, are our choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydicom.dataset import Dataset

from operators.core.volume import Contrast
from phantom.dicom_series import CONTRAST_ORDER, Series
from phantom.vendors.vendor import Vendor, synthetic_model

__all__ = ["GE"]

_IN_FRONT = {
    Contrast.WATER: "WATER: ",
    Contrast.FAT: "FAT: ",
    Contrast.IN: "InPhase: ",
    Contrast.OPPOSED: "OutPhase: ",
}
_IMAGE_TYPE = {
    Contrast.WATER: ["DERIVED", "PRIMARY", "DIXON", "WATER"],
    Contrast.FAT: ["DERIVED", "PRIMARY", "DIXON", "FAT"],
    Contrast.IN: ["ORIGINAL", "PRIMARY", "DIXON", "IN_PHASE"],
    Contrast.OPPOSED: ["ORIGINAL", "PRIMARY", "DIXON", "OUT_PHASE"],
}


def _arrange(series: Sequence[Series]) -> list[Series]:
    return [
        replace(
            one,
            number=100 * (one.station + 1) + CONTRAST_ORDER.index(one.contrast),
            description=f"{_IN_FRONT[one.contrast]}Ax LAVA-Flex",
            instance_numbers=tuple(range(1, len(one.voxels) + 1)),
            file_numbers=tuple(range(1, len(one.voxels) + 1)),
        )
        for one in series
    ]


def _dress(header: Dataset, series: Series, k: int) -> None:
    header.Manufacturer = "GE MEDICAL SYSTEMS"
    header.ManufacturerModelName = synthetic_model("SIGNA Artist")
    header.SoftwareVersions = "phantom 1"
    header.ProtocolName = "Ax LAVA-Flex"
    header.ImageType = _IMAGE_TYPE[series.contrast]
    header.ScanOptions = ["FAST_GEMS", "EDR_GEMS"]
    header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 15, 1
    for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue"):
        header[keyword].VR = "SS"  # of the pixels' own type (PS3.3 C.7.6.3.1)
    header.private_block(0x0019, "GEMS_ACQU_01", create=True).add_new(0x9C, "LO", "efgre3d")
    header.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", 0)


GE = Vendor(_arrange, _dress)
