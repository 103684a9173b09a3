"""The pixel pass: stacks of images become stations, decoded where they are needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from operators.core.errors import DicomError
from operators.core.volume import QualityFlag, Station
from operators.dicom_loader.byte_order import byte_order_flags, has_byte_order, is_byte_swapped
from operators.dicom_loader.frames import MULTI_FRAME
from operators.dicom_loader.image_file import ImageFile
from operators.dicom_loader.inverted_signal import inverted_signal_flags, undo_inversion
from operators.dicom_loader.pixels import Target, check_transfer_syntaxes, decode_into, decoded_frames
from operators.dicom_loader.progress import Ticker
from operators.dicom_loader.repeated_values import Gate
from operators.dicom_loader.slice_slopes import slice_slope_flags, undo_wrong_slopes
from operators.dicom_loader.source import ArchiveLimits, Source
from operators.dicom_loader.stacks import Stack
from operators.dicom_loader.stored_values import encoding_flags

__all__ = ["Select", "decode_stacks"]

Select = Callable[[Sequence[Station]], Sequence[Station]]

_SAMPLED_SLICES = 5


def decode_stacks(
    source: Source, stacks: Sequence[Stack], limits: ArchiveLimits, tick: Ticker, select: Select | None, gate: Gate
) -> tuple[tuple[Station, ...], tuple[QualityFlag, ...]]:
    """Decode the stacks that ``select`` names, or all; also the flags for what is unusual in how pixels are encoded.

    Raises
    ------
    DicomError
        For more voxels than the limits allow, a transfer syntax without decoder, and damaged pixels.
    """
    needed = sum(4 * int(np.prod(stack.grid.shape, dtype=np.int64)) for stack in stacks)
    if needed > limits.max_total_bytes:
        raise DicomError(
            source.name,
            f"headers that state {needed} bytes of voxels",
            f"at most {limits.max_total_bytes} bytes",
            "Check where the study comes from. If it is right, give a folder with the Dixon series only.",
        )
    check_transfer_syntaxes([file for stack in stacks for file in stack.files], source.name)
    stations = [_undecoded(stack, gate) for stack in stacks]
    files: set[str] = set()
    notes: Counter[str] = Counter()
    contradicted: list[str] = []
    inverted: list[str] = []
    titles: list[str] = []  # of stacks whose bytes were in the wrong order
    swapped: set[str] = set()
    # What is needed may show only once some stations are decoded, so it is asked until nothing new is named.
    while True:
        named = {id(station) for station in (stations if select is None else select(stations))}
        wanted = [n for n, station in enumerate(stations) if id(station) in named and not station.decoded]
        if not wanted:
            break
        work: dict[str, tuple[ImageFile, list[Target]]] = {}
        volumes = {n: np.empty(stacks[n].grid.shape, dtype=np.float32) for n in wanted}
        for n, voxels in volumes.items():
            stack = stacks[n]
            stacked = stack.turn.stacked(voxels)
            for file, frame, place in zip(stack.files, stack.frames, stack.places, strict=True):
                work.setdefault(file.file, (file, []))[1].append(Target(frame, stacked, place))
        again = len(work.keys() & files)
        files |= work.keys()
        found = decode_into(source, list(work.values()), tick if not again else _silent)
        turned = [n for n, voxels in volumes.items() if _is_byte_swapped(source, stacks[n], voxels)]
        if turned:
            swapped |= {file.file for n in turned for file in stacks[n].files}
            whole = [(replace(file, byte_swapped=file.file in swapped), to) for file, to in work.values()]
            found = decode_into(source, whole, _silent)
            titles += [stacks[n].title for n in turned]
        notes += found
        for n, voxels in volumes.items():
            stacked = stacks[n].turn.stacked(voxels)
            _interpolate_missing(stacks[n], stacked)
            if undo_inversion(stacked, str(stacks[n].files[0].pixel_options["photometric_interpretation"])):
                inverted.append(stacks[n].title)
            if not stacks[n].missing and undo_wrong_slopes(
                stacked, [f.slope for f in stacks[n].frames], [f.intercept for f in stacks[n].frames]
            ):
                contradicted.append(stacks[n].title)
            stations[n] = replace(stations[n], voxels=voxels, decoded=True)
    tick.finish()
    return tuple(stations), (
        *encoding_flags(notes),
        *byte_order_flags(titles),
        *slice_slope_flags(contradicted),
        *inverted_signal_flags(inverted),
    )


def _is_byte_swapped(source: Source, stack: Stack, voxels: NDArray[np.float32]) -> bool:
    """Whether the values make an image in the other byte order only. Files are read again only where the middle slice
    looks so."""
    images = list(zip(stack.files, stack.frames, stack.places, strict=True))
    file, frame, place = images[len(images) // 2]
    if not has_byte_order(file):
        return False
    stored = (stack.turn.stacked(voxels)[place].astype(np.float64) - frame.intercept) / frame.slope
    if not is_byte_swapped([np.rint(stored).astype(np.int64)]):
        return False
    some = [(file, frame) for file, frame, _ in images[:: max(1, len(images) // _SAMPLED_SLICES)]]
    return is_byte_swapped(decoded_frames(source, some))


def _silent() -> None:
    """No progress, for files that were counted before."""


def _interpolate_missing(stack: Stack, voxels: NDArray[np.float32]) -> None:
    """Interpolate missing slices (the first axis) linearly between their neighbours. The first and last are there."""
    for k in stack.missing:
        below = max(place for place in stack.places if place < k)
        above = min(place for place in stack.places if place > k)
        weight = np.float32((k - below) / (above - below))
        voxels[k] = (1 - weight) * voxels[below] + weight * voxels[above]


def _undecoded(stack: Stack, gate: Gate) -> Station:
    lowest = stack.files[0]
    images = dict.fromkeys(gate.uid("SOPInstanceUID", file.sop_instance_uid) for file in stack.files)
    of_one_object = lowest.sop_class_uid in MULTI_FRAME and len(images) == 1
    return Station(
        contrast=stack.contrast,
        voxels=np.broadcast_to(np.float32(np.nan), stack.grid.shape),
        grid=stack.grid,
        acquired=stack.acquired,
        series_uid=gate.uid("SeriesInstanceUID", lowest.series_uid),
        frame_of_reference_uid=gate.uid("FrameOfReferenceUID", lowest.frame_of_reference_uid),
        series_number=lowest.series_number,
        series_description=gate.description(lowest.series_description),
        sop_instance_uids=tuple(images),
        sop_class_uid=lowest.sop_class_uid,
        frame_numbers=tuple(frame.index + 1 for frame in stack.frames) if of_one_object else (),
        acquisition=gate.acquisition(lowest.acquisition),
        contrast_told_by=stack.contrast_told_by,
        contrast_evidence=stack.evidence,
        contrast_agent=lowest.contrast_agent,
        private_scale=stack.private_scale,
        slice_axis=stack.turn.slice_axis,
        decoded=False,
    )
