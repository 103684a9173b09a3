"""Siemens, syngo MR XA30: Enhanced MR, one object and one series for each contrast of each station.

Sources
-------
- One file for each volume, with the vendor's elements of a frame in (0021,11FE): rordenlab/dcm2niix#145 and #240,
  console/nii_dicom.cpp.
- Since XA30 the public image type says ``M`` and ``NONE`` only, and (0021,1175), of the block SIEMENS MR SDI 02, says
  the rest: rordenlab/dcm2niix#675, #851 and Siemens/README.md (issue 597).
- The image type itself, ``DERIVED\\PRIMARY\\DIXON\\WATER``, ``OPP_PHASE`` of opposed-phase images, and descriptions
  such as ``wholebody_t1_vibe_dixon_tra_mbh_dyn_W``: log of MuscleMap on an XA scanner (neurodesk/neurocontainers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from operators.core.volume import Contrast
from phantom.dicom_series import DESCRIPTION_SUFFIX, Series
from phantom.vendors.vendor import EnhancedWriting, Vendor, synthetic_model

__all__ = ["SIEMENS_XA"]

_IMAGE_TYPE = {
    Contrast.WATER: ["DERIVED", "PRIMARY", "DIXON", "WATER"],
    Contrast.FAT: ["DERIVED", "PRIMARY", "DIXON", "FAT"],
    Contrast.IN: ["ORIGINAL", "PRIMARY", "DIXON", "IN_PHASE"],
    Contrast.OPPOSED: ["ORIGINAL", "PRIMARY", "DIXON", "OPP_PHASE"],
}


def _arrange(series: Sequence[Series]) -> list[Series]:
    return [
        replace(one, description=f"wholebody_t1_vibe_dixon_tra_mbh{DESCRIPTION_SUFFIX[one.contrast]}") for one in series
    ]


def _dress(header: Dataset, series: Series, k: int) -> None:
    header.Manufacturer = "Siemens Healthineers"
    header.ManufacturerModelName = synthetic_model("MAGNETOM Sola")
    header.SoftwareVersions = "syngo MR XA30"
    header.ProtocolName = "wholebody_t1_vibe_dixon_tra_mbh"


def _dress_object(header: Dataset, series: Sequence[Series]) -> None:
    header.ImageType = [_IMAGE_TYPE[series[0].contrast][0], "PRIMARY", "M", "NONE"]


def _dress_frame(groups: Dataset, series: Series, k: int) -> None:
    groups.MRImageFrameTypeSequence[0].FrameType = [_IMAGE_TYPE[series.contrast][0], "PRIMARY", "M", "NONE"]
    private = Dataset()
    private.private_block(0x0021, "SIEMENS MR SDI 02", create=True).add_new(0x75, "CS", _IMAGE_TYPE[series.contrast])
    groups.private_block(0x0021, "SIEMENS MR SDI 02", create=True).add_new(0xFE, "SQ", Items([private]))


SIEMENS_XA = Vendor(_arrange, _dress, EnhancedWriting(lambda series: series.uid, _dress_object, _dress_frame))
