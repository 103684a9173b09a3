"""Options of the DICOM objects that are written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from operators.core.contrast import Contrast
from operators.core.options.declaration import OptionError, check_choices, section

if TYPE_CHECKING:  # importing pydicom takes as long as importing all options
    from pydicom.uid import UID

__all__ = ["DICOM", "Compression", "DicomOptions", "SegType"]

DICOM = section("Outputs", 40)

SegType = Literal["binary", "labelmap"]
Compression = Literal["auto", "none", "rle", "jpeg-ls"]

_IN_SECTION = Parameter(group=DICOM)


def _contrasts(_: type, tokens: Sequence[Any]) -> tuple[Contrast, ...]:
    return tuple(Contrast(token.value) for token in tokens)


@dataclass(frozen=True)
class DicomOptions:
    """Which DICOM objects are written for a study, and how they are encoded.

    Attributes
    ----------
    seg_type : {"binary", "labelmap"}
        Kind of segmentation.dcm. labelmap (PS3.3 A.51.2) is smaller, but PACS from before 2025 do not know it.
    compression : {"auto", "none", "rle", "jpeg-ls"}
        Compression of a labelmap segmentation and of the derived series. auto: RLE for the labelmap, none for the
        series. A binary segmentation is never compressed.
    derived : tuple of Contrast
        Fused contrasts to write as DICOM series: in, opp, water, fat. At least one, because the segmentation refers to
        it.

    Raises
    ------
    OptionError
        For a value that cannot be used.
    """

    seg_type: Annotated[SegType, _IN_SECTION] = "binary"
    compression: Annotated[Compression, Parameter(name="--dicom-compression"), _IN_SECTION] = "auto"
    derived: Annotated[
        tuple[Contrast, ...],
        Parameter(
            consume_multiple=True,
            negative="",
            metavar="CONTRAST",
            converter=_contrasts,
            choices=tuple(contrast.value for contrast in Contrast),
            show_default=lambda chosen: " ".join(contrast.value for contrast in chosen),
        ),
        _IN_SECTION,
    ] = (Contrast.WATER,)

    def __post_init__(self) -> None:
        check_choices(self)
        try:
            object.__setattr__(self, "derived", tuple(Contrast(one) for one in self.derived))
        except ValueError as error:
            raise OptionError("derived", str(error), "in, opp, water or fat", "Choose among them.") from None
        if not self.derived or len(set(self.derived)) != len(self.derived):
            raise OptionError(
                "derived",
                f"{len(self.derived)} contrasts, {len(set(self.derived))} of them different",
                "one or more of in, opp, water and fat, each once",
                "Name each contrast once.",
            )

    def derived_without(self, absent: Collection[str]) -> tuple[Contrast, ...]:
        """The contrasts of `derived` that a study has; water where it has none of them."""
        return tuple(contrast for contrast in self.derived if contrast not in absent) or (Contrast.WATER,)

    @property
    def seg_transfer_syntax(self) -> UID:
        """Transfer syntax of the segmentation."""
        if self.seg_type == "binary":
            return _transfer_syntax("none")
        return _transfer_syntax("rle" if self.compression == "auto" else self.compression)

    @property
    def derived_transfer_syntax(self) -> UID:
        """Transfer syntax of the derived series."""
        return _transfer_syntax("none" if self.compression == "auto" else self.compression)


def _transfer_syntax(compression: Compression) -> UID:
    from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

    return {"none": ExplicitVRLittleEndian, "rle": RLELossless, "jpeg-ls": JPEGLSLossless}[compression]
