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


WHOLE_STUDY: Mapping[str, Callable[[list[Series]], tuple[list[Series], str]]] = {
    "frame-per-series": _frame_per_series,
    "intensity-scale": _intensity_scale,
    "no-preamble": _no_preamble,
    "odd-uid": _odd_uid,
    "one-series": _one_series,
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
