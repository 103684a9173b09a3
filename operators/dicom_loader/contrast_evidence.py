"""What each source in a header says about an image's contrast, and which source decides.

ImageType decides, then the vendor's private image type, then the description.
The echo time decides nothing, because water and fat images have one too; it is
recorded as evidence.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from operators.core.contrast import FUSED_SERIES
from operators.core.volume import Contrast
from operators.dicom_loader.contrast import (
    MADE_OF,
    MadeOf,
    contrast_of_description,
    contrast_of_image_type,
    is_magnitude,
    made_of,
)

__all__ = ["Evidence", "HeaderWords", "Kind", "contrast_of_echo_time", "kind_of"]

Evidence = tuple[tuple[str, Contrast | None], ...]
"""For each source that an image has, the contrast that it names; None when it names none, or more than one."""

#: Words in the description of a volume that was composed or reformatted, which name no contrast.
_PROCESSING = re.compile(r"mpr|compos\w+|comp[ _-]?(sp|ad|dif?)(?![a-z])", re.IGNORECASE)
#: What was made of images and saved beside them, under their ImageType: no scan to be taken for a repeat.
_MADE_OF_IMAGES = re.compile(
    r"(?<![a-z])(masks?|segmentations?|label[ _-]?maps?|overlays?|subtraction)(?![a-z])", re.IGNORECASE
)
#: Fat precesses 3.4 ppm more slowly than water; hydrogen at 42.577 MHz per tesla.
_SHIFT_HZ_PER_TESLA = 3.4 * 42.577
#: Of a turn of fat against water. Echoes further than this from in phase or opposed are neither.
_NEAR = 0.125
#: Values of GE's (0043,102F) of images that are not magnitudes: phase, real, imaginary.
_GE_NOT_MAGNITUDE = frozenset({"1", "2", "3"})


class HeaderWords(NamedTuple):
    """What a header says about the kind of an image. It can be a key, because all images of a series have the same.

    Attributes
    ----------
    image_type, private_image_type : tuple of str
        ImageType or FrameType, and what the vendor's private one says from its third value on; empty when there is
        none.
    complex_component : str
        ComplexImageComponent.
    ge_component : str
        GE's private complex component.
    description, protocol : str
    echo_time_ms, field_tesla : str
    """

    image_type: tuple[str, ...] = ()
    private_image_type: tuple[str, ...] = ()
    complex_component: str = ""
    ge_component: str = ""
    description: str = ""
    protocol: str = ""
    echo_time_ms: str = ""
    field_tesla: str = ""


@dataclass(frozen=True)
class Kind:
    """What an image shows.

    Attributes
    ----------
    contrast : Contrast or None
        None unless it is a Dixon image.
    phase : bool
        Whether it is a phase, real or imaginary image of a contrast.
    disagrees : bool
        Whether two sources name different contrasts.
    told_by : {"ImageType", "private tag", "description"}
        The source that decided.
    untold : bool
        Whether it is a magnitude image of which no source says the contrast.
    evidence : tuple of (source, contrast or None)
    made_of : {"scan", "composed", "reformatted"}
        A projection shows no contrast.
    """

    contrast: Contrast | None
    phase: bool = False
    disagrees: bool = False
    told_by: str = "ImageType"
    untold: bool = False
    evidence: Evidence = ()
    made_of: MadeOf = "scan"


# Cached, because all images of a series are of one kind.
@lru_cache(maxsize=512)
def kind_of(words: HeaderWords) -> Kind:
    """Weigh the sources in a header.

    Examples
    --------
    >>> kind_of(HeaderWords(("ORIGINAL", "PRIMARY", "M", "NONE"), ("DIXON", "WATER"))).told_by
    'private tag'
    """
    by_type = contrast_of_image_type(words.image_type)
    by_private = contrast_of_image_type(("", "", *words.private_image_type))
    sources = made_of(words.image_type, words.description), made_of(("", "", *words.private_image_type))
    source = max(sources, key=MADE_OF.index)
    # The name of what was made of a scan, MPR for instance, says nothing against the contrast.
    description = words.description if source == "scan" else _PROCESSING.sub(" ", words.description)
    by_text = contrast_of_description(description, words.protocol, *words.image_type, *words.private_image_type)
    deciding = (("ImageType", by_type), ("private tag", by_private), ("description", by_text))
    said = (
        (deciding[0], bool(words.image_type)),
        (deciding[1], bool(words.private_image_type)),
        (deciding[2], bool(words.description)),
        (("echo time", contrast_of_echo_time(words.echo_time_ms, words.field_tesla)), bool(words.echo_time_ms)),
    )
    evidence = tuple(one for one, there in said if there)
    made_of_images = words.description.startswith(FUSED_SERIES) or _MADE_OF_IMAGES.search(words.description)
    if source == "projection" or made_of_images:
        return Kind(None, evidence=evidence)
    magnitude = is_magnitude(words.image_type, words.complex_component)
    told_by, contrast = next(((named_by, c) for named_by, c in deciding if c is not None), ("", None))
    if told_by != "ImageType" and words.ge_component in _GE_NOT_MAGNITUDE:
        # Other sequences of GE use this number otherwise, so an ImageType that names a contrast outweighs it.
        magnitude = False
    if source != "scan" and (contrast is None or not magnitude):
        return Kind(None, evidence=evidence)
    if contrast is None:
        return Kind(None, untold=magnitude, evidence=evidence)
    if not magnitude:
        return Kind(contrast, phase=True, evidence=evidence)
    disagrees = any(c not in (None, contrast) for _, c in deciding)
    return Kind(contrast, disagrees=disagrees, told_by=told_by, evidence=evidence, made_of=source)


def contrast_of_echo_time(echo_time_ms: str, field_tesla: str) -> Contrast | None:
    """Whether fat is in phase with water, or opposed, at an echo time; None when it is neither or not known.

    Examples
    --------
    >>> contrast_of_echo_time("2.39", "1.5").value
    'opp'
    >>> contrast_of_echo_time("2.46", "3").value
    'in'
    """
    try:
        turns = float(echo_time_ms) / 1000 * float(field_tesla) * _SHIFT_HZ_PER_TESLA
    except ValueError:
        return None
    if not (math.isfinite(turns) and turns > _NEAR):
        return None
    part = turns % 1
    if abs(part - 0.5) <= _NEAR:
        return Contrast.OPPOSED
    return Contrast.IN if min(part, 1 - part) <= _NEAR else None
