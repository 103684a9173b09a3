"""The side of the body that a label's name states."""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["Side", "split_side"]

Side = Literal["left", "right"]

_WORDS: dict[str, Side] = {"left": "left", "l": "left", "right": "right", "r": "right"}
_SPLIT = re.compile(r"(?:(?P<first>left|right)_)?(?P<rest>.+?)(?:_(?P<last>left|right|l|r))?")


def split_side(plain: str) -> tuple[str, Side | None]:
    """A plain name without its side, and the side.

    Examples
    --------
    >>> split_side("gluteus_maximus_left")
    ('gluteus_maximus', 'left')
    >>> split_side("right_femur")
    ('femur', 'right')
    >>> split_side("sacrum")
    ('sacrum', None)
    """
    match = _SPLIT.fullmatch(plain)
    if match is None:
        return plain, None
    word = match["first"] or match["last"]
    if word is None:
        return plain, None
    rest = match["rest"] if not (match["first"] and match["last"]) else f"{match['rest']}_{match['last']}"
    return rest, _WORDS[word]
