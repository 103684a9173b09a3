"""One scan that was reconstructed in several kinds: distortion corrected or not, normalised or not.

A study must be of one kind throughout: a station whose water is corrected and
whose fat is not would not fit itself, and its neighbours neither.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from operators.core.volume import QualityFlag
from operators.dicom_loader.contrast import contrast_of_image_type
from operators.dicom_loader.stacks import Stack, table_positions

__all__ = ["one_kind"]

#: The better first: corrected for the gradients' distortion in three dimensions, in two; evened for the coils.
_PREFERRED = ("DIS3D", "DIS2D", "NORM")
_NOT_A_KIND = frozenset({"M", "FFE", "SE", "DIXON", "OTHER", "DERIVED"})

Kind = frozenset[str]


def one_kind(stacks: Sequence[Stack]) -> tuple[list[Stack], tuple[QualityFlag, ...]]:
    """Keep one kind of image where a scan was reconstructed in several.

    The kind that most scans have is kept; of kinds that equally many have,
    the corrected one. Scans of one kind only stay as they are.

    Returns
    -------
    stacks : list of Stack
    flags : tuple of QualityFlag
        ``other-image-kinds`` (info) when stacks were left out.
    """
    scans: dict[tuple[int, str, str], list[Stack]] = defaultdict(list)
    for number, position in enumerate(table_positions(stacks)):
        for stack in position:
            scans[number, stack.contrast.value, str(stack.scanned)].append(stack)
    several = [scan for scan in scans.values() if len({_kind(stack) for stack in scan}) > 1]
    if not several:
        return list(stacks), ()
    common = Counter(_kind(stack) for scan in several for stack in scan)
    chosen = max(common, key=lambda kind: (common[kind], [value in kind for value in _PREFERRED], sorted(kind)))
    out = {
        id(stack)
        for scan in several
        if any(_kind(stack) == chosen for stack in scan)
        for stack in scan
        if _kind(stack) != chosen
    }
    flag = QualityFlag(
        "other-image-kinds",
        "info",
        f"{len(out)} series show scans that other series show too, processed otherwise; "
        f"{' '.join(sorted(chosen)) or 'the unprocessed ones'} were used throughout.",
    )
    return [stack for stack in stacks if id(stack) not in out], (flag,) if out else ()


def _kind(stack: Stack) -> Kind:
    values = {value.strip().upper() for value in stack.frames[0].image_type[2:]}
    return frozenset(
        value for value in values if value not in _NOT_A_KIND and contrast_of_image_type(["", "", value]) is None
    )
