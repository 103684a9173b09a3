"""Series sorted into stations: one stack of slices for each series and contrast, and checks across stacks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from math import isfinite

from operators.core.errors import DicomError, GeometryError
from operators.core.volume import Contrast, Grid
from operators.dicom_loader.acquisitions import parts_of_series
from operators.dicom_loader.frames import Frame
from operators.dicom_loader.geometry import z_range_mm
from operators.dicom_loader.image_file import ImageFile
from operators.dicom_loader.orientation import AXIS_NAMES, UNTURNED, Turn, plane_axis, upright

__all__ = [
    "Stack",
    "check_all_contrasts",
    "check_one_frame_of_reference",
    "has_one_set_of_contrasts",
    "lacks_a_contrast",
    "stacks_of",
    "table_positions",
    "top_down",
    "untold_stacks",
]

#: Two series belong to one table position when they share more than this fraction of the shorter one's height.
_SAME_POSITION_OVERLAP = 0.5
_SAME_SCALE = 1.001
_NEEDED = (Contrast.FAT, Contrast.WATER)


@dataclass(frozen=True)
class Stack:
    """One station of one contrast before its pixels are read.

    Attributes
    ----------
    contrast : Contrast
    files, frames : tuple
        One for each slice that is present: inferior to superior, anterior to posterior, or right to left.
    places : tuple of int
        Slice index of each.
    grid : Grid
        Its voxels with z upwards, whatever its plane; missing slices are included.
    told_by : str
        What sets it apart from other stacks of its series; empty when it is the only one.
    regrouped : bool
        Whether its images name series of their own.
    contrast_told_by : {"ImageType", "private tag", "description", "images"}
    turn : Turn
        How slices, rows and columns became ``grid``.
    packages : int
        Number of series whose slices lie in turn between each other's, and were put together.
    pieces : int
        Number of series of which each continues where another ends, and which were put together.
    """

    contrast: Contrast
    files: tuple[ImageFile, ...]
    frames: tuple[Frame, ...]
    places: tuple[int, ...]
    grid: Grid
    told_by: str = ""
    regrouped: bool = False
    contrast_told_by: str = "ImageType"
    turn: Turn = UNTURNED
    packages: int = 1
    pieces: int = 1

    @property
    def acquired(self) -> datetime | None:
        """When the series began, or, for one of several stacks of a series, when this one was scanned."""
        lowest = self.files[0]
        return (lowest.scanned or lowest.acquired) if self.told_by else lowest.acquired

    @property
    def scanned(self) -> datetime | None:
        """When its lowest slice was acquired, or else its series began: the same for all images made of one scan."""
        return self.files[0].scanned or self.acquired

    @property
    def evidence(self) -> dict[str, str | None]:
        """By source, the contrast that it names; None when it names none."""
        said = {source: None if named is None else named.value for source, named in self.frames[0].evidence}
        return said | ({"images": self.contrast.value} if self.contrast_told_by == "images" else {})

    @property
    def private_scale(self) -> float | None:
        """Rescale Slope times Philips' scale slope, the same in all slices: the larger, the brighter the stored image
        is shown."""
        scales = [f.slope * f.private_slope for f in self.frames if f.private_slope and isfinite(f.private_slope)]
        if len(scales) < len(self.frames) or min(scales) <= 0 or max(scales) > _SAME_SCALE * min(scales):
            return None
        return scales[0]

    @property
    def missing(self) -> tuple[int, ...]:
        """Slice indices without an image."""
        return tuple(sorted(set(range(self.grid.shape[self.turn.slice_axis])) - set(self.places)))

    @property
    def missing_at(self) -> str:
        """Where slices are missing, for messages: ``z = 12.0, 16.0 mm``."""
        across = plane_axis(self.frames[0].plane)
        step = self.grid.affine[across, 2 - self.turn.slice_axis]
        first = self.frames[0].position_mm[across] - step * self.places[0]
        return f"{AXIS_NAMES[across]} = {', '.join(f'{first + step * k:.1f}' for k in self.missing)} mm"

    @property
    def title(self) -> str:
        """Its name in messages. The series description is not used: an operator may have typed a patient's name."""
        return _title(self.files[0], self.contrast)


def top_down(stacks: Sequence[Stack]) -> list[Stack]:
    """Stacks from the head down and in a fixed order of contrasts, whatever the files are called."""
    return sorted(
        stacks,
        key=lambda stack: (
            -sum(z_range_mm(stack.grid)),
            stack.files[0].series_number,
            stack.contrast,
            stack.files[0].series_uid,
            str(stack.acquired or ""),
            stack.frames[0].acquisition_number,
        ),
    )


def untold_stacks(images: Sequence[ImageFile]) -> list[Stack]:
    """Stacks of images of which no header says the contrast; series that make no stack are none of a Dixon study."""
    found = []
    groups, _ = _groups(images)  # series, unless every image names one of its own
    together: dict[str, list[ImageFile]] = defaultdict(list)
    for (series, *_), members in groups.items():
        together[series] += [image for image, _ in members]
    for alike in together.values():
        with suppress(GeometryError):
            found += stacks_of("", alike)
    return found


def lacks_a_contrast(stacks: Sequence[Stack]) -> bool:
    """Whether a table position lacks one of the four contrasts, or there is none."""
    positions = table_positions(stacks)
    return not positions or any({stack.contrast for stack in position} != set(Contrast) for position in positions)


def stacks_of(where: str, images: Sequence[ImageFile], *, allow_missing_slices: bool = False) -> list[Stack]:
    """Group images by series, Enhanced MR stack and contrast; sort the slices, then the stacks from the head down.

    Raises
    ------
    GeometryError
        When the images of a series do not form a regular stack.
    """
    groups, regrouped = _groups(images)
    stacks = []
    for (*_, contrast), members in groups.items():
        parts = parts_of_series(
            members, f"{where}, {_title(members[0][0], contrast)}", allow_missing_slices=allow_missing_slices
        )
        for part in parts:
            files, frames = zip(*part.images, strict=True)
            grid, turn = upright(part.grid)
            stacks.append(
                Stack(contrast, files, frames, part.places, grid, part.told_by, regrouped, frames[0].told_by, turn)
            )
    return top_down(stacks)


Groups = dict[tuple[str, str, Contrast], list[tuple[ImageFile, Frame]]]


def _groups(images: Sequence[ImageFile]) -> tuple[Groups, bool]:
    """Images by series, Enhanced MR stack and contrast, and whether most of them name a series of their own."""
    ways: tuple[Callable[[ImageFile], str], ...] = (
        lambda image: image.series_uid,
        lambda image: f"{image.series_number} {image.series_description}",
        lambda image: "",
    )
    for way in ways:
        groups: Groups = defaultdict(list)
        for image in images:
            for frame in image.frames:
                groups[way(image), frame.stack, frame.contrast].append((image, frame))
        if 2 * sum(len(members) == 1 for members in groups.values()) <= len(groups):
            break
    return groups, way is not ways[0]


def check_one_frame_of_reference(where: str, stacks: Sequence[Stack], *, joined: bool = False) -> tuple[str, ...]:
    """The frames of reference that the stations name, of which there may be only one unless they are joined.

    A missing FrameOfReferenceUID is let through.

    Raises
    ------
    GeometryError
        When the coordinates of stations cannot be compared.
    """
    by_frame: dict[str, Stack] = {}
    for stack in stacks:
        for file in stack.files:
            if file.frame_of_reference_uid:
                by_frame.setdefault(file.frame_of_reference_uid, stack)
    if len(by_frame) > 1 and not joined:
        one, other = list(by_frame.values())[:2]
        pair = one.title if one is other else f"{one.title} and {other.title}"
        raise GeometryError(
            where,
            f"{len(by_frame)} frames of reference (FrameOfReferenceUID), for instance in {pair}",
            "one frame of reference, so that all stations share one coordinate system",
            "The contrasts of one scan name different ones, so an anonymiser has replaced them: "
            "pass --one-frame-of-reference."
            if _contrasts_of_one_scan_differ(stacks)
            else "Leave out the series that were acquired after the participant was repositioned; if an anonymiser "
            "has replaced the frames of reference, pass --one-frame-of-reference.",
        )
    return tuple(by_frame)


def _contrasts_of_one_scan_differ(stacks: Sequence[Stack]) -> bool:
    """Whether images that one scan gave name different frames of reference, which no scanner does."""
    frames: dict[tuple[datetime | None, float], set[str]] = defaultdict(set)
    for stack in stacks:
        low, _ = z_range_mm(stack.grid)
        frames[stack.acquired, round(low, 1)] |= {file.frame_of_reference_uid for file in stack.files}
    return any(len(named) > 1 for named in frames.values())


def check_all_contrasts(where: str, stacks: Sequence[Stack]) -> None:
    """Refuse a study in which a table position lacks water or fat.

    In-phase and opposed-phase images may be absent anywhere, and so may all but water everywhere.
    """
    there = {stack.contrast for stack in stacks}
    if not there or there == {Contrast.WATER}:
        return
    nowhere = [contrast for contrast in _NEEDED if contrast not in there]
    lacking = [f"{' and '.join(nowhere)} at any table position"] if nowhere else []
    for position in table_positions(stacks):
        if absent := [c for c in _NEEDED if c in there and all(stack.contrast != c for stack in position)]:
            low = min(z_range_mm(stack.grid)[0] for stack in position)
            high = max(z_range_mm(stack.grid)[1] for stack in position)
            lacking.append(f"{' and '.join(absent)} at z = {low:.0f} to {high:.0f} mm")
    if lacking:
        raise DicomError(
            where,
            f"no {'; no '.join(lacking)}",
            "water and fat at every table position, or water alone",
            "Fetch the missing series, or leave out that table position.",
        )


def has_one_set_of_contrasts(stacks: Sequence[Stack]) -> bool:
    """Whether every table position has water and fat, and the contrasts that others have; or all have water alone."""
    there = {stack.contrast for stack in stacks}
    alike = all({stack.contrast for stack in position} == there for position in table_positions(stacks))
    return alike and (there >= set(_NEEDED) or there == {Contrast.WATER})


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
