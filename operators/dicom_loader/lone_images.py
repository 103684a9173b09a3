"""Single Dixon images beside the stations, such as those of a localiser or a reference slice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace

from operators.core.errors import GeometryError
from operators.dicom_loader.frames import Frame
from operators.dicom_loader.image_file import ImageFile
from operators.dicom_loader.orientation import plane_axis
from operators.dicom_loader.stacks import Stack, stacks_of

__all__ = ["LoneImagesError", "lone_images", "stacks_without_lone_images"]


class LoneImagesError(GeometryError):
    """Images that make no stack with any other, so that no station can be made of them."""


def lone_images(images: Sequence[ImageFile]) -> list[tuple[ImageFile, Frame]]:
    """Images that are the only ones of their series, contrast and plane; none where most images name a series of
    their own."""
    groups: dict[Hashable, list[tuple[ImageFile, Frame]]] = defaultdict(list)
    for image in images:
        for frame in image.frames:
            key = image.series_uid, frame.stack, frame.contrast, frame.made_of, frame.plane
            groups[key].append((image, frame))
    lone = [members[0] for members in groups.values() if len(members) == 1]
    return lone if 2 * len(lone) <= len(groups) else []


def stacks_without_lone_images(
    where: str, images: Sequence[ImageFile], lone: Sequence[tuple[ImageFile, Frame]], *, allow_missing_slices: bool
) -> list[Stack]:
    """The stacks of images, the single ones left out.

    Parameters
    ----------
    where : str
        Name of the input.
    images, lone : sequence
        All images of a family, and the single ones among them.
    allow_missing_slices : bool
        As for `stacks_of`.

    Raises
    ------
    GeometryError
        As `stacks_of`, and for a single image that may be what is left of a station; `LoneImagesError` where all
        images are single ones.
    """
    if not lone:
        return stacks_of(where, images, allow_missing_slices=allow_missing_slices)
    out = {id(frame) for _, frame in lone}
    rest = [_with_frames(image, [frame for frame in image.frames if id(frame) not in out]) for image in images]
    rest = [image for image in rest if image.frames]
    stacks = stacks_of(where, rest, allow_missing_slices=allow_missing_slices) if rest else []
    for image, frame in lone:
        if not any(_shows(stack, frame) for stack in stacks):
            kind = GeometryError if stacks else LoneImagesError
            raise kind(
                f"{where}, series {image.series_number} ({frame.contrast.value})",
                "1 slice",
                "at least 2 slices, so that there is a slice spacing",
                "Fetch the series again, or leave it out.",
            )
    return stacks


def _with_frames(image: ImageFile, frames: Sequence[Frame]) -> ImageFile:
    return image if len(frames) == len(image.frames) else replace(image, frames=tuple(frames))


def _shows(stack: Stack, frame: Frame) -> bool:
    """Whether a single image lies between the first and the last slice of a stack of its contrast."""
    if stack.contrast is not frame.contrast:
        return False
    axis = plane_axis(frame.plane)
    ends = sorted(float(other.position_mm[axis]) for other in (stack.frames[0], stack.frames[-1]))
    step = stack.grid.spacing_mm[2 - stack.turn.slice_axis]
    return ends[0] - step < float(frame.position_mm[axis]) < ends[1] + step
