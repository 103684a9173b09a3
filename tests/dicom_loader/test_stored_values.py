"""Pixels whose bits, sign or padding differ from the plain case: the right signal, or a flag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from operators.core.errors import DicomError
from operators.core.volume import Study
from operators.dicom_loader import load_study
from operators.dicom_loader.stored_values import Encoding, stored_values
from tests.dicom_loader.dicom_maker import write_study

SHAPE = (64, 48)


def tissue(brightest: float) -> NDArray[np.int64]:
    """A smooth body in dark air, with noise."""
    y, x = np.indices(SHAPE)
    body = brightest * np.exp(-(((y - 32) / 20) ** 4) - ((x - 24) / 16) ** 4)
    return (body + np.random.default_rng(1).normal(0, brightest / 100, SHAPE)).round().astype(np.int64)


def read(values: NDArray[Any], **encoding: Any) -> tuple[NDArray[Any], list[str]]:
    """What `stored_values` makes of 16 allocated bits."""
    found = stored_values((values & 0xFFFF).astype(np.uint16), Encoding(**encoding))
    return np.asarray(found.values).astype(np.int64), sorted(found.notes)


def test_plain_values_are_read_as_they_are() -> None:
    for brightest in (900, 4000, 60000):
        values = np.clip(tissue(brightest), 0, brightest)
        bits = 12 if brightest < 4096 else 16
        found, notes = read(values, stored=bits, high_bit=bits - 1, signed=False)
        assert np.array_equal(found, values) and notes == []
        signed = tissue(brightest / 2.3)
        found, notes = read(signed, stored=bits, high_bit=bits - 1, signed=True)
        assert np.array_equal(found, signed) and notes == []


def test_the_order_of_the_bytes_does_not_matter() -> None:
    values = np.clip(tissue(3000), 0, None)
    found = stored_values(values.astype(">u2"), Encoding(stored=12, high_bit=11, signed=False))
    assert np.array_equal(found.values, values) and found.notes == frozenset()


def test_an_overlay_in_the_unused_bits_is_left_out() -> None:
    values = np.clip(tissue(3000), 0, None)
    overlay = np.zeros(SHAPE, dtype=np.int64)
    overlay[10:50:6, 5:40] = 1 << 15
    found, notes = read(values | overlay, stored=12, high_bit=11, signed=False)
    assert np.array_equal(found, values) and notes == ["unused-bits"]


def test_values_of_more_bits_than_stated_are_read_whole() -> None:
    values = np.clip(tissue(20000), 0, None)
    found, notes = read(values, stored=12, high_bit=11, signed=False)
    assert np.array_equal(found, values) and notes == ["more-bits-than-stated"]


def test_values_in_the_high_bits_are_moved_down_and_a_wrong_high_bit_is_told() -> None:
    values = np.clip(tissue(3000), 0, None)
    found, notes = read(values << 4, stored=12, high_bit=15, signed=False)
    assert np.array_equal(found, values) and notes == []
    signed = tissue(1500)
    found, notes = read(signed << 4, stored=12, high_bit=15, signed=True)
    assert np.array_equal(found, signed) and notes == []
    found, notes = read(values, stored=12, high_bit=15, signed=False)
    assert np.array_equal(found, values) and notes == ["other-high-bit-than-stated"]


@pytest.mark.parametrize("bits", [12, 16])
def test_a_wrong_sign_is_told_by_the_jumps_it_makes(bits: int) -> None:
    around_zero = tissue(300)
    assert around_zero.min() < 0
    found, notes = read(around_zero & ((1 << bits) - 1), stored=bits, high_bit=bits - 1, signed=False)
    assert np.array_equal(found, around_zero) and notes == ["other-sign-than-stated"]
    bright = np.clip(tissue((1 << bits) * 0.8), 0, None)
    found, notes = read(bright, stored=bits, high_bit=bits - 1, signed=True)
    assert np.array_equal(found, bright) and notes == ["other-sign-than-stated"]


@pytest.mark.parametrize(
    ("written", "padding", "signed"),
    [(63, (63, 63), False), (-2000, (-2000, -2000), True), (0xFFFF, (-1, -1), False), (-1990, (-2000, -1980), True)],
)
def test_padding_is_no_signal(written: int, padding: tuple[int, int], signed: bool) -> None:
    values = np.where(tissue(900) < 100, 0, tissue(900))
    values[:, :6] = written
    bits = 16 if written == 0xFFFF else 12
    encoding = Encoding(bits, bits - 1, signed, padding)
    found = stored_values((values & (1 << bits) - 1).astype(np.uint16), encoding)
    assert found.padding is not None and found.padding[:, :6].all() and not found.padding[:, 6:].any()
    assert found.notes == {"pixel-padding"}
    assert np.array_equal(np.asarray(found.values)[:, 6:], values[:, 6:])


def loaded(folder: Path, **changes: Any) -> Study:
    def change(header: Dataset) -> None:
        for keyword, value in changes.items():
            setattr(header, keyword, value)

    write_study(folder, stations=1, change=change)
    return load_study(folder)


def test_padding_becomes_zero_signal_whatever_the_rescaling(tmp_path: Path) -> None:
    plain = loaded(tmp_path / "plain", RescaleSlope=2, RescaleIntercept=7)
    padded = loaded(tmp_path / "padded", RescaleSlope=2, RescaleIntercept=7, PixelPaddingValue=1010)
    for before, after in zip(plain.stations, padded.stations, strict=True):
        marked = before.voxels == 2 * 1010 + 7
        assert np.array_equal(after.voxels, np.where(marked, 0, before.voxels))
    (flag,) = (flag for flag in padded.flags if flag.code == "pixel-padding")
    assert flag.severity == "info" and flag.message.startswith("1 images")


def test_bits_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DicomError, match="12 bits stored and high bit 5 of 16 bits allocated"):
        loaded(tmp_path, BitsStored=12, HighBit=5)
