"""What the header pass finds: the headers of Dixon images, and of other objects beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from operators.core.errors import SarcoMapError
from operators.dicom_loader.elements import PixelElement
from operators.dicom_loader.frames import Frame
from operators.dicom_loader.stored_values import Encoding

__all__ = ["ImageFile", "OtherFile", "Part"]


class Part(NamedTuple):
    """Which part of a multi-frame object a file is, where the object was divided (PS3.3 C.7.6.16.2.2.4).

    Attributes
    ----------
    whole_uid : str
        ConcatenationUID, the same in all parts.
    number, total : int
        Counted from 1; 0 where the file does not say it.
    """

    whole_uid: str
    number: int
    total: int


@dataclass(frozen=True)
class OtherFile:
    """A DICOM object that is not a Dixon magnitude image as acquired.

    Attributes
    ----------
    series_uid : str
        Empty when the object has none.
    kind : {"phase", "composed", "other"}
    untold : ImageFile or None
        An MR image of which no header says what contrast it shows; that of its frame means nothing.
    composed : ImageFile or None
        A Dixon image that was composed of several stations or reformatted.
    error : SarcoMapError or None
        Why a composed one, or one in colour, cannot be read.
    storage : str
        What the standard calls its storage class, where that is none of MR images; empty where it is.
    part : Part or None
        Which part of a divided object it is.
    """

    series_uid: str
    kind: str
    untold: ImageFile | None = None
    composed: ImageFile | None = None
    error: SarcoMapError | None = None
    storage: str = ""
    part: Part | None = None


@dataclass(frozen=True)
class ImageFile:
    """The header of one MR object with at least one Dixon magnitude frame.

    Attributes
    ----------
    file : str
        Name relative to the input.
    frames : tuple of Frame
    acquired : datetime or None
        When the series began.
    scanned : datetime or None
        When the image itself was acquired, which tells scans in one series apart.
    pixels : PixelElement
        Position of its pixels in the file.
    pixel_options : mapping
        Options for pydicom's decoders.
    encoding : Encoding
        What the bits of a pixel mean.
    patient, acquisition : mapping of str to str
        `PATIENT_KEYWORDS` and `ACQUISITION_KEYWORDS` that have a value; several values are joined by a backslash.
    contrast_agent : {"", "ContrastBolusAgent", "description"}
        What says that it was acquired after a contrast agent.
    byte_swapped : bool
        Whether the bytes of its pixels are in another order than the transfer syntax says.
    part : Part or None
        Which part of a divided object it is.
    """

    file: str
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    series_number: int
    series_description: str
    frame_of_reference_uid: str
    transfer_syntax_uid: str
    acquired: datetime | None
    scanned: datetime | None
    frames: tuple[Frame, ...]
    pixels: PixelElement
    pixel_options: Mapping[str, Any]
    encoding: Encoding
    patient: Mapping[str, str]
    acquisition: Mapping[str, str] = field(default_factory=dict)
    contrast_agent: str = ""
    byte_swapped: bool = False
    part: Part | None = None
