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

    The kind of most scans is kept, also counting scans that have one kind only;
    of kinds that equally many scans have, the corrected one.

    Returns
    -------
    stacks : list of Stack
    flags : tuple of QualityFlag
        ``other-image-kinds`` (info) when stacks were left out, and
        ``mixed-image-kinds`` (warning) when those that are left were not corrected alike.
    """
    scans: dict[tuple[int, str, str], list[Stack]] = defaultdict(list)
    for number, position in enumerate(table_positions(stacks)):
        for stack in position:
            scans[number, stack.contrast.value, str(stack.scanned)].append(stack)
    common = Counter(kind for scan in scans.values() for kind in {_kind(stack) for stack in scan})

    def rank(kind: Kind) -> tuple[int, list[bool], list[str]]:
        return common[kind], [value in kind for value in _PREFERRED], sorted(kind)

    best = [(scan, max(map(_kind, scan), key=rank)) for scan in scans.values()]
    out = {id(stack) for scan, kind in best for stack in scan if _kind(stack) != kind}
    kept = [stack for stack in stacks if id(stack) not in out]
    flags = []
    if out:
        used = {kind for scan, kind in best if any(id(stack) in out for stack in scan)}
        names = " and ".join(sorted(" ".join(sorted(kind)) or "the unprocessed ones" for kind in used))
        message = f"{len(out)} series show scans that other series show too, processed otherwise; {names} were used."
        flags.append(QualityFlag("other-image-kinds", "info", message))
    corrections = {_kind(stack).intersection(_PREFERRED) for stack in kept}
    if len(corrections) > 1:
        named = "; ".join(sorted(" ".join(sorted(values)) or "none" for values in corrections))
        message = (
            f"Series were not all corrected alike for distortion or for the coils (ImageType: {named}), so stations "
            "and contrasts may not fit exactly."
        )
        flags.append(QualityFlag("mixed-image-kinds", "warning", message))
    return kept, tuple(flags)


def _kind(stack: Stack) -> Kind:
    values = {value.strip().upper() for value in stack.frames[0].image_type[2:]}
    return frozenset(
        value for value in values if value not in _NOT_A_KIND and contrast_of_image_type(["", "", value]) is None
    )
