"""Stations are packed for their upload without loss: as int16 where every value fits, else as float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.station_fusion.pack import looks_whole, pack, pack_whole

Signals = list[list[NDArray[np.float32]]]
ODD = [0.5, -0.25, 1e-30, 32767.5, 32768, -32768.5, -32769, 65536, 3e9, -3e9, 3e38, np.inf, -np.inf, np.nan]
EDGES = [0.0, -0.0, 1.0, -1.0, 32767.0, -32768.0]


def fits(signal: NDArray[np.float32]) -> bool:
    return bool(np.all((signal >= -32768) & (signal <= 32767) & (signal == np.floor(signal))))


def assert_packed_as_numpy_would(signals: Signals) -> None:
    pytest.importorskip("numba_cuda", reason="numba-cuda is in the extra gpu")
    from operators.station_fusion.resample_cuda import _uploaded

    expected = np.concatenate([signal.reshape(-1) for station in signals for signal in station])
    packed, offsets = _uploaded(signals, torch.device("cpu"))
    assert packed.dtype is (torch.int16 if fits(expected) else torch.float32)
    np.testing.assert_array_equal(packed.numpy().astype(np.float32), expected)
    for station, starts in zip(signals, offsets, strict=True):
        for signal, start in zip(station, starts, strict=True):
            np.testing.assert_array_equal(expected[start : start + signal.size], signal.reshape(-1))


@st.composite
def stations(draw: st.DrawFn) -> Signals:
    """Whole numbers, with a few other values or none anywhere in any signal; shorter and longer than a block."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    contrasts = draw(st.sampled_from([1, 4]))
    made = []
    for _ in range(draw(st.integers(1, 3))):
        shape = draw(st.sampled_from([(1, 1, 1), (3, 5, 7), (2, 40, 33), (9, 61, 67), (5, 128, 128)]))
        made.append([random.integers(-32768, 32768, shape).astype(np.float32) for _ in range(contrasts)])
    for value in draw(st.lists(st.sampled_from(EDGES), max_size=5)):
        _place(draw, made, value)
    if draw(st.booleans()):
        _place(draw, made, draw(st.sampled_from(ODD) | st.floats(width=32)))
    return made


def _place(draw: st.DrawFn, made: Signals, value: float) -> None:
    signal = draw(st.sampled_from(draw(st.sampled_from(made)))).reshape(-1)
    signal[draw(st.integers(0, signal.size - 1))] = value


@settings(max_examples=150, deadline=None)
@given(stations())
def test_what_is_uploaded_is_what_numpy_would_upload(signals: Signals) -> None:
    assert_packed_as_numpy_would(signals)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(EDGES + ODD) | st.floats(width=32) | st.integers(-40000, 40000), min_size=1))
def test_one_value_is_judged_and_converted_as_numpy_does(values: list[float]) -> None:
    signal = np.array(values, dtype=np.float32)
    out = np.full(signal.size, 7, dtype=np.int16)
    assert pack_whole([signal], out) == fits(signal)
    whole = np.array([fits(value) for value in signal])
    np.testing.assert_array_equal(out[whole], signal[whole])


@pytest.mark.parametrize("odd", ODD)
def test_one_odd_value_in_the_last_corner_of_the_last_contrast_makes_all_float32(odd: float) -> None:
    signals = [[np.full((3, 200, 201), 7.0, dtype=np.float32) for _ in range(4)] for _ in range(3)]
    signals[-1][-1][-1, -1, -1] = odd
    assert looks_whole(signals[-1])  # it is not seen by the first look
    assert_packed_as_numpy_would(signals)


def test_fractions_are_seen_at_the_first_look() -> None:
    signal = np.zeros((44, 60, 60), dtype=np.float32)
    assert looks_whole([signal, np.full_like(signal, -0.0), signal[:1, :1, :1]])
    fractions = signal.copy()
    fractions[20:24] = np.random.default_rng(0).random((4, 60, 60))
    assert not looks_whole([signal, fractions])


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_signals_in_another_order_of_memory_are_packed_too(kind: type[np.int16] | type[np.float32]) -> None:
    station = [np.arange(60 * 700 * 8, dtype=np.float32).reshape(60, 700, 8)[:, ::2] % 32768 for _ in range(2)]
    station[1] = station[1][::-1]
    out: NDArray[Any] = np.full(2 * station[0].size, 7, dtype=kind)
    if kind is np.int16:
        assert pack_whole(station, out)
    else:
        pack(station, out)
    np.testing.assert_array_equal(out, np.concatenate([signal.reshape(-1) for signal in station]))
