"""Which of the four Dixon contrasts an image is.

The scanner's reconstruction writes ImageType (0008,0008) or, in Enhanced MR,
FrameType (0008,9007) (PS3.3 C.8.13.1). SeriesDescription (0008,103E) is text
that an operator or an export may have changed. So ImageType decides, and the
description is used only if ImageType names no contrast.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

from operators.core.volume import Contrast

__all__ = [
    "MADE_OF",
    "MadeOf",
    "contrast_of_description",
    "contrast_of_image_type",
    "is_magnitude",
    "made_of",
]

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
    "OPPOSED": Contrast.OPPOSED,
    "OUTPHASE": Contrast.OPPOSED,
    "OPPPHASE": Contrast.OPPOSED,
    "WATER_ONLY": Contrast.WATER,
    "FAT_ONLY": Contrast.FAT,
}

#: Whole words that name a contrast wherever they stand. "in phase" and its like are joined first.
_WORDS = {
    "water": Contrast.WATER,
    "waterphase": Contrast.WATER,
    "wateronly": Contrast.WATER,
    "fat": Contrast.FAT,
    "fatphase": Contrast.FAT,
    "fatonly": Contrast.FAT,
    "inphase": Contrast.IN,
    "oppphase": Contrast.OPPOSED,
    "opposed": Contrast.OPPOSED,
    "opposedphase": Contrast.OPPOSED,
    "outphase": Contrast.OPPOSED,
    "outofphase": Contrast.OPPOSED,
    "oppose": Contrast.OPPOSED,
    "oop": Contrast.OPPOSED,
    # German, French, Spanish, Italian, Portuguese and Dutch, as people rename series.
    "wasser": Contrast.WATER,
    "eau": Contrast.WATER,
    "agua": Contrast.WATER,
    "acqua": Contrast.WATER,
    "fett": Contrast.FAT,
    "graisse": Contrast.FAT,
    "grasa": Contrast.FAT,
    "grasso": Contrast.FAT,
    "gordura": Contrast.FAT,
    "vet": Contrast.FAT,
    "gegenphase": Contrast.OPPOSED,
    "wasserbild": Contrast.WATER,
    "fettbild": Contrast.FAT,
    # Polish, Czech, the Scandinavian languages, Chinese and Japanese.
    "woda": Contrast.WATER,
    "voda": Contrast.WATER,
    "vatten": Contrast.WATER,
    "vann": Contrast.WATER,
    "vand": Contrast.WATER,
    "tluszcz": Contrast.FAT,
    "tłuszcz": Contrast.FAT,
    "tuk": Contrast.FAT,
    "fedt": Contrast.FAT,
    "przeciwfaza": Contrast.OPPOSED,
    "motfas": Contrast.OPPOSED,
    **dict.fromkeys(("水", "水相", "水像", "水画像"), Contrast.WATER),
    **dict.fromkeys(("脂", "脂肪", "脂相", "脂肪相", "脂像", "脂肪像", "脂肪画像"), Contrast.FAT),
    **dict.fromkeys(("同相", "同相位", "同位相"), Contrast.IN),
    **dict.fromkeys(("反相", "反相位", "逆位相"), Contrast.OPPOSED),
}
#: Abbreviations, such as in ``Dixon_noBH_W`` or ``VIBE_DIXON_Tra_bh_in``.
_ABBREVIATIONS = {
    "w": Contrast.WATER,
    "f": Contrast.FAT,
    "in": Contrast.IN,
    "ip": Contrast.IN,
    "op": Contrast.OPPOSED,
    "opp": Contrast.OPPOSED,
    "out": Contrast.OPPOSED,
}
#: Names of Dixon sequences: Siemens VIBE Dixon, GE LAVA-Flex and IDEAL, Philips mDIXON, Canon WFS and WFOP, Fujifilm
#: (Hitachi) FatSep, United WFI.
_DIXON = re.compile(r"dixon|lava|flex|ideal|wfi|wfs|wfop|fatsep|quick3d", re.IGNORECASE)
#: "In phase" and "opposed phase" in the same languages.
_OPPOSED_ELSEWHERE = re.compile(
    r"(?<![a-z])(opposition[ _-]de[ _-]phase|hors[ _-]phase|(fuera|fora)[ _-]de[ _-]fase|fase[ _-]opuesta|"
    r"gegen[ _-]phase|anti[ _-]?phase|(w[ _-]przeciw|v[ _-]proti)faz[ie]+|"
    r"(fuori|uit)[ _-]fase|(opposizione|oposicion|oposicao)[ _-](di|de)[ _-]fase)(?![a-z])",
    re.IGNORECASE,
)
#: "Without fat", and words that compound fat with its suppression.
_NO_FAT_ELSEWHERE = re.compile(
    r"(?<![a-z])((sin|sans|senza|ohne|sem|zonder)[ _-](grasa|graisse|grasso|fett|gordura|vet)(?![a-z])|fett(ges|unter)|"
    r"vet(onder|verz))",
    re.IGNORECASE,
)
_IN_PHASE_ELSEWHERE = re.compile(
    r"(?<![a-z])(en[ _-]phase|(en|in|em)[ _-]fase|i[ _-]fas|w[ _-]fazie|ve[ _-]fazi)(?![a-z])", re.IGNORECASE
)
#: With and without (contrast agent), which the letter W must not be taken from.
_WITHOUT = re.compile(
    r"(?<![a-z])(w ?/ ?w?/?o?|w(?=[ _-](contrast|contr|con|gad\w*|gd|iv)(?![a-z])))(?![a-z])", re.IGNORECASE
)
#: Words that make water or fat no contrast: suppressed tissue, or a map computed from both.
_NO_CONTRAST = frozenset(
    {"sat", "sats", "fatsat", "fs", "suppressed", "suppression", "supp", "excitation", "exc", "spair", "spir", "stir"}
    | {"saturation", "saturated", "saturee", "saturada", "saturata", "suprimida", "supresion", "supressao"}
    | {
        "soppresso",
        "soppressione",
        "gesattigt",
        "sattigung",
        "unterdruckt",
        "unterdruckung",
        "unterdrueckt",
        "onderdrukt",
    }
    | {"ff", "pdff", "fraction", "frac", "fatfrac", "fatfraction", "percent", "percentage", "ratio", "map"}
    | {"r2", "r2star", "t2star", "t2", "mip", "mpr", "sub"}
)
#: Behind these, W means weighted.
_WEIGHTED = frozenset({"t1", "t2", "pd"})

#: Values of ImageType (from the third on) of images that are not magnitudes.
_NOT_MAGNITUDE = {"P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY"}
MadeOf = Literal["scan", "composed", "reformatted", "projection"]
MADE_OF: tuple[MadeOf, ...] = ("scan", "composed", "reformatted", "projection")
"""What an image was made from, the better first. A projection shows no volume."""

#: Values of ImageType (from the third on). Siemens composes table positions into one volume (COMPOSED); MPR is a
#: reformatted volume, often in another plane.
_COMPOSED = {"COMPOSED", "COMPOSE"}
_REFORMATTED = {"MPR", "REFORMATTED"}
_PROJECTED = {"MIP", "MINIP", "MNIP", "PROJECTION IMAGE", "PROJECTION_IMAGE"}
#: In a description, as the scanner names what it composed: ``t1_vibe_dixon_cor_COMP_SP_W``, ``Dixon_composed_F``.
_COMPOSED_NAME = re.compile(r"(?<![a-z])(composed|comp[ _-](sp|ad|di|dif)(?![a-z]))", re.IGNORECASE)


def contrast_of_image_type(image_type: Sequence[str]) -> Contrast | None:
    """The contrast that ImageType names; None when it names none or more than one.

    Examples
    --------
    >>> contrast_of_image_type(["DERIVED", "PRIMARY", "DIXON", "OPP_PHASE"]).value
    'opp'
    """
    values = [re.sub(r"[- ]", "_", value) for value in _values(image_type)]
    named = {_IMAGE_TYPE_VALUES[value] for value in values if value in _IMAGE_TYPE_VALUES}
    return named.pop() if len(named) == 1 else None


def contrast_of_description(description: str, *hints: str) -> Contrast | None:
    """The contrast that the description of a Dixon series names, in any place.

    A word such as ``WATER:`` in front, as GE writes it, counts by itself.
    Other words and abbreviations count only when the description or one of
    ``hints`` (protocol name, ImageType) names a Dixon sequence, since ``W``
    also means weighted and ``fat`` may be what is suppressed. None when two
    contrasts are named, unless the last word is one.

    Examples
    --------
    >>> contrast_of_description("Dixon_BH_17s_W").value
    'water'
    >>> contrast_of_description("OutPhase: Ax LAVA-Flex").value
    'opp'
    >>> contrast_of_description("t1_tse_W") is None
    True
    """
    front, colon, _ = description.partition(":")
    words = _words(description)
    if _NO_CONTRAST.intersection(words):
        return None
    if colon and (named := _WORDS.get("".join(_words(front)))):
        return named
    if not words or not any(_DIXON.search(text) for text in (description, *hints)):
        return None
    if _names_both(words):
        return None
    if last := (_WORDS | _ABBREVIATIONS).get(words[-1]):
        return None if len(words) > 1 and words[-1] == "w" and words[-2] in _WEIGHTED else last
    for names in (_WORDS, _ABBREVIATIONS):
        found = {
            names[word]
            for before, word in zip(("", *words), words, strict=False)
            if word in names and not (word == "w" and before in _WEIGHTED)
        }
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _names_both(words: Sequence[str]) -> bool:
    """Whether the last two words, and no other, name water and fat: a sequence (``Dixon water-fat``), no contrast."""
    named = [(_WORDS | _ABBREVIATIONS).get(word) for word in words]
    both = set(named[-2:]) == {Contrast.WATER, Contrast.FAT}
    return both and all(contrast is None for contrast in named[:-2])


def _words(text: str) -> list[str]:
    text = _WITHOUT.sub(" ", text)
    text = re.sub(r"(dixon)(?=[^\W\d_])", r"\1 ", text, flags=re.IGNORECASE)  # DixonW, DIXONOPP, Dixon水
    text = _NO_FAT_ELSEWHERE.sub(" suppressed ", _unaccented(text))
    text = _OPPOSED_ELSEWHERE.sub(" outphase ", _IN_PHASE_ELSEWHERE.sub(" inphase ", text))
    joined = re.sub(r"\b(in|opp|opposed|out([ _-]?of)?)[ _-]?phase", r" \1phase ", text.lower().replace("_", " "))
    joined = re.sub(r"out[ _-]?of[ _-]?phase|out[ _-]ofphase", "outofphase", joined)
    joined = re.sub(r"\b(water|fat)[ _-]?only\b", r"\1only", joined)
    return re.findall(r"[^\W_]+", joined)


def _unaccented(text: str) -> str:
    """Letters without their accents: agua for água."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def is_magnitude(image_type: Sequence[str], complex_component: str) -> bool:
    """Whether an image is a magnitude image, and not a phase, real or imaginary one."""
    if complex_component:
        return complex_component.upper() == "MAGNITUDE"
    return not _NOT_MAGNITUDE.intersection(_values(image_type))


def made_of(image_type: Sequence[str], description: str = "") -> MadeOf:
    """What an image was made from: a scan as acquired, composed stations, another plane, or a projection.

    Examples
    --------
    >>> made_of(["DERIVED", "PRIMARY", "DIXON", "WATER", "COMPOSED"])
    'composed'
    """
    values = set(_values(image_type))
    if values & _PROJECTED:
        return "projection"
    if values & _REFORMATTED:
        return "reformatted"
    if values & _COMPOSED or any(value.startswith("COMP_") for value in values) or _COMPOSED_NAME.search(description):
        return "composed"
    return "scan"


def _values(image_type: Sequence[str]) -> list[str]:
    """The values after the first two, which every image has (pixel data and patient examination characteristics)."""
    return [value.strip().upper() for value in image_type[2:]]
