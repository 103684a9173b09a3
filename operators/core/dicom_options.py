"""What a user may choose about the DICOM objects that are written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, get_args

from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from operators.core.errors import UsageError
from operators.core.volume import Contrast

__all__ = ["Compression", "Deidentification", "DicomOptions", "SegType"]

SegType = Literal["binary", "labelmap"]
Compression = Literal["auto", "none", "rle", "jpeg-ls"]

_TRANSFER_SYNTAX = {"none": ExplicitVRLittleEndian, "rle": RLELossless, "jpeg-ls": JPEGLSLossless}
#: What fits a PatientID (LO) and a PatientName (PN) without a delimiter of either, and a file name.
_PSEUDONYM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class Deidentification:
    """How outputs are de-identified (PS3.15 annex E, Basic Application Confidentiality Profile).

    Attributes
    ----------
    pseudonym : str or None
        Takes the place of the patient's name and identifier; None makes one
        from the study's UID and ``key``.
    key : str
        Secret that new UIDs and pseudonyms are made with (HMAC-SHA256). The
        same key and study give the same identifiers; without the key nobody
        can try whether an identifier belongs to a study of theirs. With an
        empty key whoever knows the original UIDs can.
    keep_characteristics : bool
        Keep sex, age, size and weight (Retain Patient Characteristics
        Option). Without them no index by height can be given.

    Raises
    ------
    UsageError
        For a pseudonym that a PatientID or a file name cannot hold.
    """

    pseudonym: str | None = None
    key: str = field(default="", repr=False)
    keep_characteristics: bool = False

    def __post_init__(self) -> None:
        if self.pseudonym is not None and not _PSEUDONYM.fullmatch(self.pseudonym):
            raise UsageError(
                "--pseudonym",
                f"{len(self.pseudonym)} characters, or some that are not allowed",
                "1 to 63 letters, digits, dots, dashes or underscores, the first a letter or digit",
                "Choose another pseudonym.",
            )


@dataclass(frozen=True)
class DicomOptions:
    """Which DICOM objects a study gets, and how they are encoded.

    Attributes
    ----------
    seg_type : {"binary", "labelmap"}
        Segmentation Storage, one bit a voxel and a frame for each segment and
        slice; or Label Map Segmentation Storage (PS3.3 A.51.2), one frame a
        slice, which PACS and viewers before 2025 do not know.
    compression : {"auto", "none", "rle", "jpeg-ls"}
        Of the label map's frames and of the derived series. ``auto`` is RLE
        for a label map and none for the rest. The one bit of a binary
        segmentation can be encoded by neither RLE nor JPEG-LS.
    derived : tuple of Contrast
        Contrasts of the fused volume that are written as derived MR series; at
        least one, for the segmentation refers to it.
    deidentify : Deidentification or None
        None keeps the patient as the source has it.

    Raises
    ------
    UsageError
        For choices that exclude one another.
    """

    seg_type: SegType = "binary"
    compression: Compression = "auto"
    derived: tuple[Contrast, ...] = (Contrast.WATER,)
    deidentify: Deidentification | None = None

    def __post_init__(self) -> None:
        if self.seg_type not in get_args(SegType):
            raise _unknown("--seg-type", self.seg_type, get_args(SegType))
        if self.compression not in get_args(Compression):
            raise _unknown("--dicom-compression", self.compression, get_args(Compression))
        if not self.derived or len(set(self.derived)) != len(self.derived):
            raise UsageError(
                "--derived",
                f"{len(self.derived)} contrasts, {len(set(self.derived))} of them different",
                "one or more of in, opp, water and fat, each once",
                "Name each contrast once; water is the default.",
            )

    @property
    def seg_transfer_syntax(self) -> UID:
        """Of the segmentation."""
        if self.seg_type == "binary":
            return ExplicitVRLittleEndian
        return _TRANSFER_SYNTAX["rle" if self.compression == "auto" else self.compression]

    @property
    def derived_transfer_syntax(self) -> UID:
        """Of the derived series."""
        return _TRANSFER_SYNTAX["none" if self.compression == "auto" else self.compression]


def _unknown(where: str, found: str, known: tuple[str, ...]) -> UsageError:
    return UsageError(where, repr(found), " or ".join(known), "See --help.")
