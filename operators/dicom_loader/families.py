"""Which images of a study to use, where it holds several views of one body.

Beside the axial scans of the table positions there may be a coronal localiser
of the same contrasts, and volumes that the scanner composed of the positions
or reformatted in another plane. They must not be mixed: images of one plane
and one making are a family, and one family is used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from operators.core.errors import GeometryError
from operators.core.volume import QualityFlag
from operators.dicom_loader.contrast import MADE_OF, MadeOf
from operators.dicom_loader.end_to_end import put_end_to_end
from operators.dicom_loader.frames import Frame
from operators.dicom_loader.geometry import z_range_mm
from operators.dicom_loader.image_file import ImageFile
from operators.dicom_loader.interleaved import put_together
from operators.dicom_loader.lone_images import LoneImagesError, lone_images, stacks_without_lone_images
from operators.dicom_loader.orientation import PLANES, Plane
from operators.dicom_loader.stacks import Stack, has_one_set_of_contrasts

__all__ = ["Family", "chosen_family", "families_of", "family_flags", "regrouped"]

_PELVIS_TO_KNEE_MM = 600.0
"""Height of a family that can show pelvis to knee, in any adult. Of families that cannot, the highest is used."""


@dataclass(frozen=True)
class Family:
    """Images of one plane and one making.

    Attributes
    ----------
    plane : {"axial", "coronal", "sagittal"}
    made_of : {"scan", "composed", "reformatted"}
    stacks : tuple of Stack
    series : frozenset of str
        Their SeriesInstanceUIDs.
    error : GeometryError or None
        Why its images make no stacks.
    lone : int
        Single images that were left out, because a stack shows what they show.
    """

    plane: Plane
    made_of: MadeOf
    stacks: tuple[Stack, ...]
    series: frozenset[str]
    error: GeometryError | None = None
    lone: int = 0

    @property
    def height_mm(self) -> float:
        """Of the body that it shows, gaps left out."""
        height, reached = 0.0, float("-inf")
        for low, high in sorted(z_range_mm(stack.grid) for stack in self.stacks):
            height += max(0.0, high - max(low, reached))
            reached = max(reached, high)
        return height

    @property
    def complete(self) -> bool:
        """Whether every table position has water and fat, and every contrast that others have."""
        return has_one_set_of_contrasts(self.stacks)


def families_of(where: str, images: Sequence[ImageFile], *, allow_missing_slices: bool = False) -> list[Family]:
    """Sort images into families, and each into stacks. Images that make no stack are kept as the family's error."""
    sorted_out: dict[tuple[MadeOf, Plane], list[ImageFile]] = defaultdict(list)
    for image in images:
        frames: dict[tuple[MadeOf, Plane], list[Frame]] = defaultdict(list)
        for frame in image.frames:
            frames[frame.made_of, frame.plane].append(frame)
        for key, some in frames.items():
            sorted_out[key].append(image if len(frames) == 1 else replace(image, frames=tuple(some)))
    families = []
    single = lone_images(images)
    for (made_of, plane), members in sorted_out.items():
        stacks: Sequence[Stack] = ()
        error = None
        lone = [(image, frame) for image, frame in single if (frame.made_of, frame.plane) == (made_of, plane)]
        try:
            stacks = stacks_without_lone_images(where, members, lone, allow_missing_slices=allow_missing_slices)
        except GeometryError as found:
            error = found
        series = frozenset(image.series_uid for image in members)
        families.append(Family(plane, made_of, tuple(put_end_to_end(put_together(stacks))), series, error, len(lone)))
    # A localiser has an image or two of every plane.
    stations = [family for family in families if not isinstance(family.error, LoneImagesError)]
    return stations or families


def regrouped(stacks: Sequence[Stack]) -> list[Family]:
    """Families of stacks that exist already."""
    sorted_out: dict[tuple[MadeOf, Plane], list[Stack]] = defaultdict(list)
    for stack in stacks:
        sorted_out[stack.frames[0].made_of, stack.frames[0].plane].append(stack)
    return [
        Family(plane, made_of, tuple(some), frozenset(stack.files[0].series_uid for stack in some))
        for (made_of, plane), some in sorted_out.items()
    ]


def chosen_family(families: Sequence[Family]) -> Family | None:
    """The family to use; None where there is none.

    Complete ones come first, then those high enough for pelvis to knee, then
    scans before composed volumes, then axial before coronal before sagittal.

    Raises
    ------
    GeometryError
        When images make no stacks, and no family that is as good as theirs is high enough for pelvis to knee.
    """
    chosen = max((family for family in families if family.error is None), key=_rank, default=None)
    enough = chosen is not None and chosen.complete and chosen.height_mm >= _PELVIS_TO_KNEE_MM
    for family in families:
        # A broken localiser is no loss beside whole stations. Broken stations are a loss, whatever is beside them.
        spare = enough and chosen is not None and _preference(chosen) > _preference(family)
        if family.error is not None and not spare:
            raise family.error
    return chosen


def family_flags(chosen: Family, families: Sequence[Family]) -> tuple[QualityFlag, ...]:
    """What was used and what was left out.

    Returns
    -------
    tuple of QualityFlag
        ``composed-volumes`` (warning) when no scan as acquired is used,
        ``other-planes`` (info) when scans of other planes are left out,
        ``single-images`` (info) when images were left out that no stack can be made of.
    """
    flags = []
    if chosen.made_of != "scan":
        made = "composed its table positions" if chosen.made_of == "composed" else "reformatted its scans"
        message = (
            f"The volumes into which the scanner {made} were used, because the study has no whole set of scans as "
            "acquired. Seams inside them cannot be checked or evened out."
        )
        flags.append(QualityFlag("composed-volumes", "warning", message))
    others = [family for family in families if family.made_of == "scan" and family is not chosen]
    if others:
        left_out = ", ".join(f"{len(family.series)} {family.plane}" for family in others)
        message = f"The {chosen.plane} series were used; {left_out} series of the same contrasts were left out."
        flags.append(QualityFlag("other-planes", "info", message))
    if chosen.lone:
        message = f"{chosen.lone} single Dixon images, as localisers have, were left out; stations show their places."
        flags.append(QualityFlag("single-images", "info", message))
    return tuple(flags)


def _rank(family: Family) -> tuple[bool, bool, int, float, int]:
    height = family.height_mm
    enough = height >= _PELVIS_TO_KNEE_MM
    made_of, plane = _preference(family)
    return family.complete, enough, made_of, 0.0 if enough else round(height, -1), plane


def _preference(family: Family) -> tuple[int, int]:
    return -MADE_OF.index(family.made_of), -PLANES.index(family.plane)
