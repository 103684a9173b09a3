"""Faults of real archives (method, section 2), applied to a study on purpose.

A fault takes the series of an intact study and returns those of a faulty one,
with a sentence that describes the fault. Faults of a single station affect the
second from below (the hip), which a pelvis-to-knee study cannot do without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from operators.core.errors import UsageError
from operators.core.volume import Contrast
from phantom.dicom_series import DESCRIPTION_SUFFIX, Damage, Series, deterministic_uid
from phantom.header_faults import ONE_STATION, WHOLE_STUDY

__all__ = ["FAULTS", "FaultRecord", "apply_faults"]

Fault = Callable[[list[Series], np.random.Generator], tuple[list[Series], str]]


@dataclass(frozen=True)
class FaultRecord:
    """A fault that was applied.

    Attributes
    ----------
    name : str
        As given to ``--fault``.
    detail : str
        Description of the change, with station and series number.
    """

    name: str
    detail: str


def apply_faults(
    series: Sequence[Series], names: Sequence[str], seed: int
) -> tuple[list[Series], tuple[FaultRecord, ...]]:
    """Apply the named faults in order.

    Raises
    ------
    UsageError
        If a name is not in `FAULTS`, or the study is too small for a fault.
    """
    changed = list(series)
    records = []
    for place, name in enumerate(names):
        if name not in FAULTS:
            raise UsageError("--fault", f"{name!r}", f"one of {', '.join(sorted(FAULTS))}", "Check the spelling.")
        changed, detail = FAULTS[name](changed, np.random.default_rng([seed, 7, place]))
        records.append(FaultRecord(name, detail))
    return changed, tuple(records)


def _victim(series: Sequence[Series]) -> int:
    """The second station from below."""
    stations = sorted({s.station for s in series})
    if len(stations) < 2:
        raise UsageError("--fault", f"{len(stations)} station(s)", "at least 2 stations", "Raise --stations.")
    return stations[-2]


def _numbers(series: Sequence[Series]) -> str:
    return ", ".join(str(s.number) for s in series)


def _edit(
    series: Sequence[Series], chosen: Callable[[Series], bool], change: Callable[[Series], Series]
) -> tuple[list[Series], list[Series]]:
    """The list with the chosen series changed, and the changed series."""
    return [change(s) if chosen(s) else s for s in series], [s for s in series if chosen(s)]


def _keep_slices(series: Series, kept: Sequence[int]) -> Series:
    return replace(
        series,
        voxels=series.voxels[list(kept)],
        slice_z_mm=tuple(series.slice_z_mm[k] for k in kept),
        instance_numbers=tuple(series.instance_numbers[k] for k in kept),
        file_numbers=tuple(series.file_numbers[k] for k in kept),
    )


def _duplicate_station(series: list[Series], rng: np.random.Generator) -> tuple[list[Series], str]:
    victim = _victim(series)
    latest = max(s.acquired for s in series)
    number = max(s.number for s in series)
    spoilt, originals = _edit(series, lambda s: s.station == victim, _motion_spoilt)
    rescans = [
        replace(
            original,
            number=number + place,
            acquired=latest + timedelta(seconds=95),
            uid=deterministic_uid(original.uid, "rescan"),
        )
        for place, original in enumerate(originals, start=1)
    ]
    return spoilt + rescans, (
        f"station {victim}: series {_numbers(originals)} spoilt by motion, scanned again as series {_numbers(rescans)}"
    )


def _motion_spoilt(series: Series) -> Series:
    """Ghosts along the phase-encoding direction (rows): the image again at half the field of view."""
    voxels = series.voxels.astype(np.float32)
    ghost = np.roll(voxels, voxels.shape[1] // 2, axis=1) + np.roll(voxels, voxels.shape[1] // 9, axis=1)
    return replace(series, voxels=np.clip(0.45 * voxels + 0.4 * ghost, 0, 4095).astype(np.uint16))


def _shuffled_slices(series: list[Series], rng: np.random.Generator) -> tuple[list[Series], str]:
    def shuffle(s: Series) -> Series:
        numbers = np.arange(1, len(s.voxels) + 1)
        return replace(
            s,
            instance_numbers=tuple(int(n) for n in rng.permutation(numbers)),
            file_numbers=tuple(int(n) for n in rng.permutation(numbers)),
        )

    return [shuffle(s) for s in series], "file order and instance numbers of every series are random"


def _missing_station(series: list[Series], rng: np.random.Generator) -> tuple[list[Series], str]:
    victim = _victim(series)
    gone = [s for s in series if s.station == victim]
    return [s for s in series if s.station != victim], f"station {victim} (series {_numbers(gone)}) is missing"


def _no_knees(series: list[Series], rng: np.random.Generator) -> tuple[list[Series], str]:
    _victim(series)  # raises if no station would remain
    lowest = max(s.station for s in series)
    gone = [s for s in series if s.station == lowest]
    return [
        s for s in series if s.station != lowest
    ], f"the lowest station, {lowest} (series {_numbers(gone)}), is missing"


def _missing_contrast(series: list[Series], rng: np.random.Generator) -> tuple[list[Series], str]:
    gone = [s for s in series if s.contrast is Contrast.FAT]
    return [s for s in series if s.contrast is not Contrast.FAT], f"fat is missing everywhere (series {_numbers(gone)})"


def _missing_slice(series: list[Series], rng: np.random.Generator) -> tuple[list[Series], str]:
    victim = _victim(series)
    water = _only(series, victim, Contrast.WATER)
    gone = len(water.voxels) // 2
    kept = [k for k in range(len(water.voxels)) if k != gone]
    changed, _ = _edit(series, lambda s: s is water, lambda s: _keep_slices(s, kept))
    return (
        changed,
        f"station {victim}, series {water.number}: the slice at {water.axis} = {water.slice_z_mm[gone]:.2f} mm is "
        "missing",
    )


def _thin_station(series: list[Series], rng: np.random.Generator) -> tuple[list[Series], str]:
    victim = _victim(series)
    changed, thinned = _edit(series, lambda s: s.station == victim, lambda s: _keep_slices(s, [len(s.voxels) // 2]))
    return changed, f"station {victim} (series {_numbers(thinned)}) has a single slice"


def _swapped_station(series: list[Series], rng: np.random.Generator) -> tuple[list[Series], str]:
    victim = _victim(series)
    water, fat = _only(series, victim, Contrast.WATER), _only(series, victim, Contrast.FAT)
    changed = [
        replace(s, voxels=fat.voxels) if s is water else replace(s, voxels=water.voxels) if s is fat else s
        for s in series
    ]
    return changed, f"station {victim}: series {water.number} (water) shows fat, series {fat.number} (fat) shows water"


def _size_mismatch(series: list[Series], rng: np.random.Generator) -> tuple[list[Series], str]:
    victim = _victim(series)
    fat = _only(series, victim, Contrast.FAT)
    cropped = np.ascontiguousarray(fat.voxels[:, :-2, :-2])
    changed, _ = _edit(series, lambda s: s is fat, lambda s: replace(s, voxels=cropped))
    return changed, f"station {victim}, series {fat.number} (fat) is two rows and two columns smaller than the others"


def _wrong_description(series: list[Series], rng: np.random.Generator) -> tuple[list[Series], str]:
    victim = _victim(series)
    water = _only(series, victim, Contrast.WATER)
    wrong = water.stem + DESCRIPTION_SUFFIX[Contrast.FAT]
    changed, _ = _edit(series, lambda s: s is water, lambda s: replace(s, description=wrong))
    return (
        changed,
        f"station {victim}, series {water.number} is water, as its ImageType says, but is described as {wrong}",
    )


def _shifted_station(series: list[Series], rng: np.random.Generator) -> tuple[list[Series], str]:
    victim = _victim(series)
    columns = 5

    def shift(s: Series) -> Series:
        moved = np.roll(s.voxels, columns, axis=2)
        moved[:, :, :columns] = s.voxels[:, :, :1]
        return replace(s, voxels=moved)

    changed, moved = _edit(series, lambda s: s.station == victim, shift)
    offset_mm = columns * float(moved[0].pixel_spacing[1])
    return (
        changed,
        f"station {victim} (series {_numbers(moved)}) shows the body {offset_mm:.1f} mm to the left of its place",
    )


def _mixed_frame(series: list[Series], rng: np.random.Generator) -> tuple[list[Series], str]:
    victim = _victim(series)
    other = deterministic_uid(series[0].frame_of_reference_uid, "another")
    changed, mixed = _edit(series, lambda s: s.station == victim, lambda s: replace(s, frame_of_reference_uid=other))
    return changed, f"station {victim} (series {_numbers(mixed)}) has another FrameOfReferenceUID"


def _nan_spacing(series: list[Series], rng: np.random.Generator) -> tuple[list[Series], str]:
    water = _only(series, _victim(series), Contrast.WATER)
    changed, _ = _edit(series, lambda s: s is water, lambda s: replace(s, pixel_spacing=("nan", "nan")))
    return changed, f"station {water.station}, series {water.number}: PixelSpacing is nan"


def _damaged_file(damage: Damage) -> Fault:
    def fault(series: list[Series], rng: np.random.Generator) -> tuple[list[Series], str]:
        water = _only(series, _victim(series), Contrast.WATER)
        k = len(water.voxels) // 3
        marked = {**water.damage, k: damage}
        changed, _ = _edit(series, lambda s: s is water, lambda s: replace(s, damage=marked))
        mm = water.slice_z_mm[k]
        return (
            changed,
            f"station {water.station}, series {water.number}: the file at {water.axis} = {mm:.2f} mm is {damage}",
        )

    return fault


def _only(series: Sequence[Series], station: int, contrast: Contrast) -> Series:
    """The series of a station and contrast; after duplicate-station, the newest."""
    found = [s for s in series if s.station == station and s.contrast is contrast]
    if not found:
        raise UsageError(
            "--fault", f"no {contrast} series left at station {station}", "a series to change", "Give fewer faults."
        )
    return max(found, key=lambda s: s.acquired)


def _of_study(change: Callable[[list[Series]], tuple[list[Series], str]]) -> Fault:
    return lambda series, rng: change(series)


def _of_station(change: Callable[[list[Series], int], tuple[list[Series], str]]) -> Fault:
    return lambda series, rng: change(series, _victim(series))


#: All of `phantom.options.FaultName` except ``compressed``, which changes no series.
FAULTS: Mapping[str, Fault] = {
    "duplicate-station": _duplicate_station,
    "missing-contrast": _missing_contrast,
    "missing-slice": _missing_slice,
    "missing-station": _missing_station,
    "mixed-frame": _mixed_frame,
    "nan-spacing": _nan_spacing,
    "no-knees": _no_knees,
    "shifted-station": _shifted_station,
    "shuffled-slices": _shuffled_slices,
    "size-mismatch": _size_mismatch,
    "swapped-station": _swapped_station,
    "thin-station": _thin_station,
    "truncated-file": _damaged_file(Damage.TRUNCATED),
    "wrong-description": _wrong_description,
    "zero-byte-file": _damaged_file(Damage.EMPTY),
    **{name: _of_study(change) for name, change in WHOLE_STUDY.items()},
    **{name: _of_station(change) for name, change in ONE_STATION.items()},
}
