"""Which of the four Dixon contrasts an image is.

The scanner's reconstruction writes ImageType (0008,0008) or, in Enhanced MR,
FrameType (0008,9007) (PS3.3 C.8.13.1). SeriesDescription (0008,103E) is text
that an operator or an export may have changed. So ImageType decides, and the
description is used only if ImageType names no contrast.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from operators.core.volume import Contrast

__all__ = ["contrast_of_description", "contrast_of_image_type", "is_magnitude", "is_reformatted"]

#: Values of ImageType, from the third on. Siemens spells them out, Philips abbreviates them, GE writes OUT_PHASE.
_IMAGE_TYPE_VALUES = {
    "W": Contrast.WATER,
    "WATER": Contrast.WATER,
    "F": Contrast.FAT,
    "FAT": Contrast.FAT,
    "IN": Contrast.IN,
    "IP": Contrast.IN,
    "IN_PHASE": Contrast.IN,
    "INPHASE": Contrast.IN,
    "OP": Contrast.OPPOSED,
    "OPP": Contrast.OPPOSED,
    "OUT": Contrast.OPPOSED,
    "OPP_PHASE": Contrast.OPPOSED,
    "OPPOSED_PHASE": Contrast.OPPOSED,
    "OUT_PHASE": Contrast.OPPOSED,
    "OUT_OF_PHASE": Contrast.OPPOSED,
}

#: Last word of a description such as ``Dixon_noBH_W`` or ``dixon_2echo_RR_opp``.
_DESCRIPTION_ENDINGS = {
    "w": Contrast.WATER,
    "water": Contrast.WATER,
    "f": Contrast.FAT,
    "fat": Contrast.FAT,
    "in": Contrast.IN,
    "ip": Contrast.IN,
    "inphase": Contrast.IN,
    "opp": Contrast.OPPOSED,
    "op": Contrast.OPPOSED,
    "out": Contrast.OPPOSED,
    "oppphase": Contrast.OPPOSED,
    "outphase": Contrast.OPPOSED,
}

#: Values of ImageType (from the third on) of images that are not magnitudes.
_NOT_MAGNITUDE = {"P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY"}
#: Volumes composed of several stations or reformatted in other planes. They have a Dixon contrast but are not stations.
_REFORMATTED = {"COMPOSED", "MPR", "MIP", "PROJECTION IMAGE"}


def contrast_of_image_type(image_type: Sequence[str]) -> Contrast | None:
    """The contrast that ImageType names; None when it names none or more than one.

    Examples
    --------
    >>> contrast_of_image_type(["DERIVED", "PRIMARY", "DIXON", "OPP_PHASE"]).value
    'opp'
    """
    named = {_IMAGE_TYPE_VALUES[value] for value in _values(image_type) if value in _IMAGE_TYPE_VALUES}
    return named.pop() if len(named) == 1 else None


def contrast_of_description(description: str, *hints: str) -> Contrast | None:
    """The contrast at the end of a Dixon series' description.

    A final ``_W`` can also mean "weighted" (``T1_W``), so the ending counts
    only if the description or one of ``hints`` (protocol name, ImageType)
    contains "Dixon".

    Examples
    --------
    >>> contrast_of_description("Dixon_BH_17s_W").value
    'water'
    >>> contrast_of_description("t1_tse_W") is None
    True
    """
    if not any("dixon" in text.lower() for text in (description, *hints)):
        return None
    joined = re.sub(r"(in|opp|out)[ _-]?phase$", r"\1phase", description.strip().lower())
    return _DESCRIPTION_ENDINGS.get(re.split(r"[ _\-:]", joined)[-1])


def is_magnitude(image_type: Sequence[str], complex_component: str) -> bool:
    """Whether an image is a magnitude image, and not a phase, real or imaginary one."""
    if complex_component:
        return complex_component.upper() == "MAGNITUDE"
    return not _NOT_MAGNITUDE.intersection(_values(image_type))


def is_reformatted(image_type: Sequence[str]) -> bool:
    """Whether an image was composed of several stations or computed in another plane."""
    return bool(_REFORMATTED.intersection(_values(image_type)))


def _values(image_type: Sequence[str]) -> list[str]:
    """The values after the first two, which every image has (pixel data and patient examination characteristics)."""
    return [value.strip().upper() for value in image_type[2:]]
