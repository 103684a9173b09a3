"""Philips: all four contrasts of a station in one series, classic or Enhanced MR, with private scale slopes.

Sources
-------
- One series with ImageType ``DERIVED\\PRIMARY\\W\\W\\DERIVED``, and F, IP, OP: public readers of mDIXON series that
  sort by it. The same short code in (2005,1011): readers of Philips' Enhanced MR that tell frames apart by it.
- Enhanced: one object for each series (rordenlab/dcm2niix#962). Since release 12 FrameType spells the contrasts
  out (``ORIGINAL\\PRIMARY\\DIXON\\FAT``, ImageType ``ORIGINAL\\PRIMARY\\T1\\MIXED``, rordenlab/dcm2niix#1022), and the
  frame's classic header in (2005,140F) keeps the short code.
- Displayed value = stored x Rescale Slope; signal = displayed / (Rescale Slope x Scale Slope (2005,100E)):
  dcm2niix, Philips/README.md; values of the order of MRtrix3/mrtrix3#2499, with Rescale Type ``normalized``. Here
  every contrast has slopes of its own and the product is the same, so that displayed values are comparable.
- MetaboliteMapDescription WATER in every frame, whatever it shows: rordenlab/dcm2niix#1022, OHIF/Viewers#3185.
- Series numbers (101, 201, ...): series numbers in rordenlab/dcm2niix#189 and #345 (1201).
- Slices from the feet up, contrast after contrast: our choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from operators.core.volume import Contrast
from phantom.dicom_files import decimal
from phantom.dicom_series import Series, deterministic_uid
from phantom.vendors.vendor import EnhancedWriting, Vendor, synthetic_model

__all__ = ["PHILIPS", "PHILIPS_ENHANCED"]

_ORDER = (Contrast.WATER, Contrast.FAT, Contrast.IN, Contrast.OPPOSED)
_CODE = {Contrast.WATER: "W", Contrast.FAT: "F", Contrast.IN: "IP", Contrast.OPPOSED: "OP"}
_FRAME_TYPE = {
    Contrast.WATER: "WATER",
    Contrast.FAT: "FAT",
    Contrast.IN: "IN_PHASE",
    Contrast.OPPOSED: "OUT_OF_PHASE",
}
#: Displayed value of the highest of 12 bits, over that number.
_RESCALE_SLOPE = {
    Contrast.WATER: 2000 / 4095,
    Contrast.FAT: 2200 / 4095,
    Contrast.IN: 2500 / 4095,
    Contrast.OPPOSED: 2500 / 4095,
}
_SLOPES_TOGETHER = 1.08083028083028 * 0.0190212
"""Rescale Slope times Scale Slope, from MRtrix3/mrtrix3#2499."""


def _arrange(series: Sequence[Series]) -> list[Series]:
    arranged = []
    for one in sorted(series, key=lambda s: (s.station, s.acquired, _ORDER.index(s.contrast))):
        first = 1 + _ORDER.index(one.contrast) * len(one.voxels)
        numbers = tuple(range(first, first + len(one.voxels)))
        stored = np.clip(np.rint(one.voxels / _RESCALE_SLOPE[one.contrast]), 0, 4095).astype(np.uint16)
        arranged.append(
            replace(
                one,
                number=100 * one.station + 1,
                description="WB mDIXON",
                voxels=stored,
                instance_numbers=numbers,
                file_numbers=numbers,
            )
        )
    return arranged


def _dress(header: Dataset, series: Series, k: int) -> None:
    _say_who(header)
    code = _CODE[series.contrast]
    header.SeriesInstanceUID = deterministic_uid(series.study_uid, "philips series", series.number)
    header.ImageType = ["DERIVED", "PRIMARY", code, code, "DERIVED"]
    header.RescaleSlope, header.RescaleIntercept = decimal(_RESCALE_SLOPE[series.contrast]), "0"
    header.RescaleType = "normalized"
    _add_private(header, series)


def _say_who(header: Dataset) -> None:
    header.Manufacturer = "Philips Healthcare"
    header.ManufacturerModelName = synthetic_model("Ingenia")
    header.SoftwareVersions = ["5.7.1", "5.7.1.0"]
    header.ProtocolName = "WB mDIXON"


def _add_private(header: Dataset, series: Series) -> None:
    block = header.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    block.add_new(0x0D, "FL", 0.0)
    block.add_new(0x0E, "FL", _SLOPES_TOGETHER / _RESCALE_SLOPE[series.contrast])
    block.add_new(0x11, "CS", _CODE[series.contrast])
    block.add_new(0x6E, "CS", "FFE")


def _dress_object(header: Dataset, series: Sequence[Series]) -> None:
    header.SoftwareVersions = ["12.1.1", "12.1.1.0"]
    header.ImageType = ["ORIGINAL", "PRIMARY", "T1", "MIXED"]


def _dress_frame(groups: Dataset, series: Series, k: int) -> None:
    frame_type = groups.MRImageFrameTypeSequence[0]
    frame_type.FrameType = ["ORIGINAL", "PRIMARY", "DIXON", _FRAME_TYPE[series.contrast]]
    metabolite = Dataset()
    metabolite.MetaboliteMapDescription = "WATER"
    groups.MRMetaboliteMapSequence = Items([metabolite])
    scaled = groups.PixelValueTransformationSequence[0]
    scaled.RescaleSlope, scaled.RescaleType = decimal(_RESCALE_SLOPE[series.contrast]), "normalized"
    classic = Dataset()
    code = _CODE[series.contrast]
    classic.ImageType = ["DERIVED", "PRIMARY", code, code, "DERIVED"]
    _add_private(classic, series)
    groups.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x0F, "SQ", Items([classic]))


PHILIPS = Vendor(_arrange, _dress)
PHILIPS_ENHANCED = Vendor(
    _arrange, _dress, EnhancedWriting(lambda series: (series.station, series.number), _dress_object, _dress_frame)
)
