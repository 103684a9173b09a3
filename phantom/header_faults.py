"""Faults of what headers say, and of how scans are put into series. `phantom.faults` lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np

from operators.core.volume import Contrast
from phantom.dicom_series import Series, deterministic_uid

__all__ = ["ONE_STATION", "WHOLE_STUDY"]

_SCALE = 5
_WATER_SCALE = 2
_RECONSTRUCTED_LATER = timedelta(minutes=10)
_SCANNED_AGAIN = timedelta(seconds=95)
_ENHANCED = 1.45
"""Brightness of muscle in T1-weighted images some minutes after gadolinium, over that before."""

_GE_NAMES = {Contrast.WATER: "WATER", Contrast.FAT: "FAT", Contrast.IN: "InPhase", Contrast.OPPOSED: "OutPhase"}
_LEG_OVERLAP_MM = 26.0


def _with(series: Series, **header: Any) -> Series:
    return replace(series, header={**series.header, **header})


def _rescaled(series: Series, slope: int) -> Series:
    return _with(series, RescaleSlope=slope, RescaleIntercept=0, RescaleType="US")


def _intensity_scale(series: list[Series]) -> tuple[list[Series], str]:
    return [_rescaled(s, _SCALE) for s in series], f"the signal of every series is {_SCALE} times as large"


def _typed_values(series: list[Series]) -> tuple[list[Series], str]:
    typed = {"PatientWeight": "61 kg", "PatientSize": "158", "PatientSex": "female", "PatientAge": "71"}
    detail = "weight, height, sex and age are as somebody typed them: 61 kg, 158 (cm), female, 71"
    return [_with(s, **typed) for s in series], detail


def _odd_uid(series: list[Series]) -> tuple[list[Series], str]:
    odd = f"{series[0].study_uid}.MR.{'7' * 20}"
    return [replace(s, study_uid=odd) for s in series], "the study's UID has letters and more than 64 characters"


def _frame_per_series(series: list[Series]) -> tuple[list[Series], str]:
    framed = [replace(s, frame_of_reference_uid=deterministic_uid(s.uid, "frame")) for s in series]
    return framed, "every series has a FrameOfReferenceUID of its own"


def _one_series(series: list[Series]) -> tuple[list[Series], str]:
    first = {contrast: next(s for s in series if s.contrast is contrast) for contrast in {s.contrast for s in series}}
    slices: dict[Contrast, int] = {}
    together = []
    for s in series:
        before, one = slices.get(s.contrast, 0), first[s.contrast]
        slices[s.contrast] = before + len(s.voxels)
        together.append(
            replace(
                s,
                uid=one.uid,
                number=one.number,
                description=one.description,
                acquired=one.acquired,
                instance_numbers=tuple(n + before for n in s.instance_numbers),
                files_before=before,
            )
        )
    return together, "each contrast is one series that holds the slices of all stations"


def _no_preamble(series: list[Series]) -> tuple[list[Series], str]:
    return [replace(s, preamble=False) for s in series], "the files begin without preamble and DICM"


def _second_patient(series: list[Series], victim: int) -> tuple[list[Series], str]:
    changed = [_with(s, PatientID="9999999") if s.station == victim else s for s in series]
    return changed, f"station {victim} has another PatientID"


def _water_scale(series: list[Series], victim: int) -> tuple[list[Series], str]:
    changed = [
        _rescaled(s, _WATER_SCALE) if s.station == victim and s.contrast is Contrast.WATER else s for s in series
    ]
    return (
        changed,
        f"station {victim}: water is {_WATER_SCALE} times too bright beside the other contrasts",
    )


def _again(series: list[Series], victim: int, name: str) -> list[Series]:
    """A station's series once more, with new numbers, UIDs and a later time."""
    latest, number = max(s.acquired for s in series), max(s.number for s in series)
    originals = [s for s in series if s.station == victim]
    return [
        replace(s, number=number + place, acquired=latest + _SCANNED_AGAIN, uid=deterministic_uid(s.uid, name))
        for place, s in enumerate(originals, start=1)
    ]


def _post_contrast(series: list[Series], victim: int) -> tuple[list[Series], str]:
    def enhanced(s: Series) -> Series:
        factor = 1.0 if s.contrast is Contrast.FAT else _ENHANCED
        voxels = np.clip(s.voxels * factor, 0, 4095).astype(np.uint16)
        return _with(replace(s, voxels=voxels), ContrastBolusAgent="Gadolinium")

    again = [enhanced(s) for s in _again(series, victim, "enhanced")]
    numbers = ", ".join(str(s.number) for s in again)
    return [*series, *again], f"station {victim} was scanned again after contrast agent was given, series {numbers}"


def _late_derived_images(series: list[Series], victim: int) -> tuple[list[Series], str]:
    def late(s: Series) -> Series:
        if s.station != victim or s.contrast not in (Contrast.WATER, Contrast.FAT):
            return s
        return _with(s, SeriesTime=(s.acquired + _RECONSTRUCTED_LATER).strftime("%H%M%S.%f"))

    changed = [late(s) for s in (*series, *_again(series, victim, "second scan"))]
    return changed, (
        f"station {victim} was scanned twice, and water and fat of both scans were reconstructed after the second"
    )


def _two_acquisitions_in_series(series: list[Series], victim: int) -> tuple[list[Series], str]:
    latest = max(s.acquired for s in series) + _SCANNED_AGAIN
    again = []
    for s in (s for s in series if s.station == victim):
        count = len(s.voxels)
        second = replace(
            s,
            instance_numbers=tuple(n + count for n in s.instance_numbers),
            files_before=count,
        )
        when = {"AcquisitionTime": latest.strftime("%H%M%S.%f"), "AcquisitionNumber": 2}
        again.append(_with(second, **when))
    return [*series, *again], f"station {victim} was scanned twice, and each of its series holds both acquisitions"


def _jp2_header(series: list[Series]) -> tuple[list[Series], str]:
    return [replace(s, stream="jp2") for s in series], "every image is JPEG 2000 with the header of a JP2 file"


def _padded_jpeg(series: list[Series]) -> tuple[list[Series], str]:
    return [replace(s, stream="padded-jpeg") for s in series], "every JPEG stream is followed by fill bytes"


def _ge_names(series: list[Series]) -> tuple[list[Series], str]:
    named = []
    for s in series:
        description = f"{_GE_NAMES[s.contrast]}: Ax LAVA-Flex"
        silent = _with(
            s, ImageType="ORIGINAL\\PRIMARY\\OTHER", SeriesDescription=description, ProtocolName="Ax LAVA-Flex"
        )
        named.append(silent)
    return named, "only the front of the description names the contrast, as in WATER: Ax LAVA-Flex"


def _lower_legs(series: list[Series]) -> tuple[list[Series], str]:
    lowest = max(s.station for s in series)
    latest, number = max(s.acquired for s in series), max(s.number for s in series)
    below = []
    for leg in (1, 2):
        for s in (s for s in series if s.station == lowest):
            number += 1
            step_mm = leg * (s.slice_z_mm[-1] - s.slice_z_mm[0] - _LEG_OVERLAP_MM)
            moved = replace(
                s,
                station=lowest + leg,
                number=number,
                acquired=latest + leg * _SCANNED_AGAIN,
                uid=deterministic_uid(s.uid, "leg", leg),
            )
            if s.axis == "z":
                moved = replace(moved, slice_z_mm=tuple(mm - step_mm for mm in s.slice_z_mm))
            else:
                height = s.voxels.shape[1] * float(s.pixel_spacing[0]) - _LEG_OVERLAP_MM
                moved = replace(moved, first_xy_mm=(s.first_xy_mm[0], s.first_xy_mm[1] - leg * height))
            below.append(moved)
    return [*series, *below], f"two stations follow below the knees (stations {lowest + 1} and {lowest + 2})"


WHOLE_STUDY: Mapping[str, Callable[[list[Series]], tuple[list[Series], str]]] = {
    "frame-per-series": _frame_per_series,
    "ge-names": _ge_names,
    "intensity-scale": _intensity_scale,
    "jp2-header": _jp2_header,
    "lower-legs": _lower_legs,
    "no-preamble": _no_preamble,
    "odd-uid": _odd_uid,
    "one-series": _one_series,
    "padded-jpeg": _padded_jpeg,
    "typed-values": _typed_values,
}
"""Faults of every series."""

ONE_STATION: Mapping[str, Callable[[list[Series], int], tuple[list[Series], str]]] = {
    "late-derived-images": _late_derived_images,
    "post-contrast": _post_contrast,
    "second-patient": _second_patient,
    "two-acquisitions-in-series": _two_acquisitions_in_series,
    "water-scale": _water_scale,
}
"""Faults of one station, which is given by its number."""
