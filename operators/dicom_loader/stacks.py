"""Series sorted into stations: one stack of slices for each series and contrast, and checks across stacks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from operators.core.errors import DicomError, GeometryError
from operators.core.volume import Contrast, Grid
from operators.dicom_loader.frames import Frame
from operators.dicom_loader.geometry import stack_slices, z_range_mm
from operators.dicom_loader.headers import ImageFile

__all__ = ["Stack", "check_all_contrasts", "check_one_frame_of_reference", "stacks_of", "table_positions"]

#: Two series belong to one table position when they share more than this fraction of the shorter one's height.
_SAME_POSITION_OVERLAP = 0.5


@dataclass(frozen=True)
class Stack:
    """One station of one contrast before its pixels are read: slices inferior to superior.

    Attributes
    ----------
    contrast : Contrast
    files, frames : tuple
        One for each slice that is present.
    places : tuple of int
        Slice index of each in the grid.
    grid : Grid
        Includes missing slices.
    """

    contrast: Contrast
    files: tuple[ImageFile, ...]
    frames: tuple[Frame, ...]
    places: tuple[int, ...]
    grid: Grid

    @property
    def missing(self) -> tuple[int, ...]:
        """Slice indices without an image."""
        return tuple(sorted(set(range(self.grid.shape[0])) - set(self.places)))

    @property
    def title(self) -> str:
        """Its name in messages. The series description is not used: an operator may have typed a patient's name."""
        return _title(self.files[0], self.contrast)


def stacks_of(where: str, images: Sequence[ImageFile], *, allow_missing_slices: bool = False) -> list[Stack]:
    """Group images by series, Enhanced MR stack and contrast; sort the slices, then the stacks from the head down.

    Raises
    ------
    GeometryError
        When the images of a series do not form a regular stack.
    """
    groups: dict[tuple[str, str, Contrast], list[tuple[ImageFile, Frame]]] = defaultdict(list)
    for image in images:
        for frame in image.frames:
            groups[image.series_uid, frame.stack, frame.contrast].append((image, frame))
    stacks = []
    for (_, _, contrast), members in groups.items():
        order, places, grid = stack_slices(
            [frame for _, frame in members],
            f"{where}, {_title(members[0][0], contrast)}",
            allow_missing_slices=allow_missing_slices,
        )
        files, frames = zip(*(members[n] for n in order), strict=True)
        stacks.append(Stack(contrast, files, frames, tuple(places), grid))
    # From the head down and in a fixed order of contrasts, so that file names do not matter.
    stacks.sort(
        key=lambda stack: (
            -sum(z_range_mm(stack.grid)),
            stack.files[0].series_number,
            stack.contrast,
            stack.files[0].series_uid,
        )
    )
    return stacks


def check_one_frame_of_reference(where: str, stacks: Sequence[Stack]) -> None:
    """Refuse stations whose coordinates cannot be compared. A missing FrameOfReferenceUID is accepted."""
    by_frame: dict[str, Stack] = {}
    for stack in stacks:
        for file in stack.files:
            if file.frame_of_reference_uid:
                by_frame.setdefault(file.frame_of_reference_uid, stack)
    if len(by_frame) > 1:
        one, other = list(by_frame.values())[:2]
        pair = one.title if one is other else f"{one.title} and {other.title}"
        raise GeometryError(
            where,
            f"{len(by_frame)} frames of reference (FrameOfReferenceUID), for instance in {pair}",
            "one frame of reference, so that all stations share one coordinate system",
            "Leave out the series that were acquired after the participant was repositioned.",
        )


def check_all_contrasts(where: str, stacks: Sequence[Stack]) -> None:
    """Refuse a study in which a table position lacks one of the four contrasts."""
    nowhere = [contrast for contrast in Contrast if all(stack.contrast != contrast for stack in stacks)]
    lacking = [f"{' and '.join(nowhere)} at any table position"] if nowhere else []
    for position in table_positions(stacks):
        absent = [
            contrast
            for contrast in Contrast
            if contrast not in nowhere and all(stack.contrast != contrast for stack in position)
        ]
        if absent:
            low = min(z_range_mm(stack.grid)[0] for stack in position)
            high = max(z_range_mm(stack.grid)[1] for stack in position)
            lacking.append(f"{' and '.join(absent)} at z = {low:.0f} to {high:.0f} mm")
    if lacking:
        raise DicomError(
            where,
            f"no {'; no '.join(lacking)}",
            "in, opp, water and fat at every table position",
            "Fetch the missing series, or leave out that table position.",
        )


def table_positions(stacks: Sequence[Stack]) -> list[list[Stack]]:
    """Group stacks that cover the same height of the body."""
    positions: list[list[Stack]] = []
    for stack in stacks:
        for position in positions:
            if _same_height(stack.grid, position[0].grid):
                position.append(stack)
                break
        else:
            positions.append([stack])
    return positions


def _same_height(one: Grid, other: Grid) -> bool:
    (low, high), (other_low, other_high) = z_range_mm(one), z_range_mm(other)
    shared = min(high, other_high) - max(low, other_low)
    return shared > _SAME_POSITION_OVERLAP * min(high - low, other_high - other_low)


def _title(file: ImageFile, contrast: Contrast) -> str:
    return f"series {file.series_number} ({contrast.value})"
