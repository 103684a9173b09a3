"""UIDs of a DICOM file from an unknown source, without parsing the rest of it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info, read_partial
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from operators.core.errors import DicomError

__all__ = ["UNREADABLE", "Identity", "identity"]

#: The UIDs come long before this. Sequences before them take a hundred times their length in memory when parsed.
_HEADER_BYTES = 1024 * 1024
_SOP_INSTANCE_UID, _STUDY_INSTANCE_UID = BaseTag(0x00080018), BaseTag(0x0020000D)
_SERIES_INSTANCE_UID = BaseTag(0x0020000E)

UNREADABLE = (
    *(DicomError, InvalidDicomError, AttributeError, EOFError, KeyError),
    *(NotImplementedError, OSError, RecursionError, ValueError),
)
"""What `identity` raises, and what pydicom raises for bytes that are not a dataset."""


@dataclass(frozen=True)
class Identity:
    """Study, Series and SOP Instance UID of an object; none is empty.

    Raises
    ------
    ValueError
        If one is empty.
    """

    study_uid: str
    series_uid: str
    sop_uid: str

    def __post_init__(self) -> None:
        if not (self.study_uid and self.series_uid and self.sop_uid):
            raise ValueError("an empty UID")


def identity(file: Path) -> Identity:
    """The UIDs in a DICOM file.

    Raises
    ------
    DicomError
        If the dataset is deflated. It is refused before any of it is inflated, because pydicom sets no limit.
    One of UNREADABLE
        If the file cannot be read or a UID is absent.
    """
    if read_file_meta_info(file).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        raise DicomError(
            "a received object",
            "transfer syntax Deflated Explicit VR Little Endian",
            "a transfer syntax that can be read safely",
            "Store the study uncompressed.",
        )
    with file.open("rb") as stream:
        header = read_partial(
            io.BytesIO(stream.read(_HEADER_BYTES)),
            stop_when=lambda tag, _vr, _length: tag > _SERIES_INSTANCE_UID,
            specific_tags=[_SOP_INSTANCE_UID, _STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID],
        )
    return Identity(str(header.StudyInstanceUID), str(header.SeriesInstanceUID), str(header.SOPInstanceUID))
