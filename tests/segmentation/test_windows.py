"""Streamed scores equal those of MONAI's sliding window, for any image size and any order of memory errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.inferers import SlidingWindowInferer

from operators.core.anatomy import CHANNEL_COUNT
from operators.core.volume import Grid
from operators.segmentation.networks import OnnxRuntimeNetwork, OpenVinoNetwork, RunsAhead, TorchNetwork
from operators.segmentation.scorer import Scorer
from operators.segmentation.scores import labels_from_bands, map_scores
from operators.segmentation.stream import Band, stream_scores
from operators.segmentation.windows import WindowSettings, place_windows

ROI = (8, 6, 10)


def convolution(channels: int = CHANNEL_COUNT) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Conv3d(1, channels, 3, padding=1).eval()


def streamed(image: torch.Tensor, inferer: SlidingWindowInferer, scorer: Scorer, batch_size: int = 1) -> torch.Tensor:
    """Join all bands. Slices that no band holds stay NaN."""
    window_settings = WindowSettings.of(inferer)
    x, y, z = image.shape[1:]
    whole = torch.full((CHANNEL_COUNT, x, y, z), float("nan"))
    windows = place_windows((x, y, z), window_settings)
    for band in stream_scores(image, windows, window_settings, scorer.in_order, lambda _: True, batch_size):
        a, b, n = band.origin
        whole[..., band.first : band.first + band.count] = band.sums[:, a : a + x, b : b + y, n : n + band.count]
    return whole


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*[st.integers(3, 26)] * 3),
    overlap=st.sampled_from([0.0, 0.25, 0.5, (0.1, 0.4, 0.7)]),
    mode=st.sampled_from(["gaussian", "constant"]),
    batch_size=st.integers(1, 3),
)
def test_scores_are_those_of_monais_sliding_window(
    shape: tuple[int, int, int], overlap: float | tuple[float, float, float], mode: str, batch_size: int
) -> None:
    image = torch.rand(1, *shape, generator=torch.Generator().manual_seed(sum(shape)))
    inferer = SlidingWindowInferer(ROI, 1, overlap, mode=mode)
    network = convolution()
    with torch.inference_mode():
        theirs = inferer(image[None], network)[0]
        ours = streamed(image, inferer, Scorer(TorchNetwork(network, torch.device("cpu"), False), "made"), batch_size)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_windows_that_are_not_needed_are_never_scored() -> None:
    image = torch.rand(1, 20, 12, 34)
    window_settings = WindowSettings.of(SlidingWindowInferer(ROI, 1, 0.25))
    seen = []

    def score(windows: list[torch.Tensor]) -> torch.Tensor:
        seen.extend(windows)
        return torch.zeros(len(windows), CHANNEL_COUNT, *ROI)

    windows = place_windows((20, 12, 34), window_settings)
    score_all = partial(map, score)
    bands = list(
        stream_scores(image, windows, window_settings, score_all, lambda start: start[0] < 8 and start[2] >= 14)
    )
    wanted = [s for s in windows.starts[0] if s < 8], windows.starts[1], [s for s in windows.starts[2] if s >= 14]
    assert len(seen) == np.prod([len(starts) for starts in wanted]) > 0
    assert bands and len(seen) < np.prod([len(starts) for starts in windows.starts])


def test_confidence_is_the_softmax_of_the_scores_at_the_label() -> None:
    torch.manual_seed(1)
    scores = torch.randn(5, 4, 3, 6) * 3
    body = np.ones((6, 3, 4), dtype=bool)
    body[0] = False
    mapping = map_scores((4, 3, 6), np.eye(4), Grid(body.shape, np.eye(4)))
    labels, confidence = labels_from_bands([Band.whole(scores)], mapping, body, with_confidence=True)
    expected = scores.softmax(dim=0).max(dim=0)
    assert confidence is not None
    np.testing.assert_allclose(confidence[1:], expected.values.numpy().transpose(2, 1, 0)[1:], rtol=1e-5)
    np.testing.assert_array_equal(labels[1:], expected.indices.numpy().transpose(2, 1, 0)[1:])
    assert not labels[0].any() and not confidence[0].any()
    of_structures = labels_from_bands([Band.whole(scores)], mapping, body, with_confidence=True, everywhere=False)[1]
    assert of_structures is not None and (labels[1:] == 0).any()
    np.testing.assert_array_equal(of_structures, np.where(labels > 0, confidence, 0))


def test_mirroring_averages_the_scores_of_a_window_and_of_its_mirror_image() -> None:
    network = convolution()
    inferer = SlidingWindowInferer(ROI, 1, 0.25, mode="gaussian")
    image = torch.rand(1, 15, 12, 23)

    def both(windows: torch.Tensor) -> torch.Tensor:
        return (network(windows) + network(windows.flip(2)).flip(2)) / 2

    with torch.inference_mode():
        theirs = inferer(image[None], both)[0]
        plain = TorchNetwork(network, torch.device("cpu"), False)
        ours = streamed(image, inferer, Scorer(plain, "made", mirror_axis=0))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


class SmallGpu:
    """A network on a device with room for a limited number of windows at a time."""

    description = "a GPU"

    def __init__(self, network: torch.nn.Module, room: int) -> None:
        self.network, self.room = network, room

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        if len(windows) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return self.network(windows)


@pytest.mark.parametrize(("room", "said"), [(2, "2 instead of 4 windows"), (1, "1 instead of 2"), (0, "on the CPU")])
def test_too_little_gpu_memory_means_fewer_windows_then_the_cpu_and_the_report_says_so(room: int, said: str) -> None:
    network = convolution()
    cpu = TorchNetwork(network, torch.device("cpu"), False)
    inferer = SlidingWindowInferer(ROI, 1, 0.25)
    image = torch.rand(1, 20, 12, 34)
    scorer = Scorer(SmallGpu(network, room), "made", on_cpu=lambda: cpu)
    with torch.inference_mode():
        found = streamed(image, inferer, scorer, batch_size=4)
        torch.testing.assert_close(found, inferer(image[None], network)[0], rtol=1e-5, atol=1e-5)
    (flag,) = scorer.flags
    assert flag.code == "segmentation-memory" and said in flag.message
    assert (scorer.network is cpu) == (room == 0)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_windows_that_a_cpu_backend_scores_one_after_another_keep_their_own_scores(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SARCOMAP_CACHE", str(tmp_path))
    network = convolution()
    path = tmp_path / "network.onnx"
    example = torch.zeros(1, 1, *ROI)
    torch.onnx.export(network, (example,), str(path), input_names=["image"], output_names=["scores"], dynamo=False)
    cpu = OpenVinoNetwork(path, False) if backend == "openvino" else OnnxRuntimeNetwork(path, False, False)
    scorer = Scorer(SmallGpu(network, 0), "made", on_cpu=lambda: cpu)
    windows = [torch.rand(1, *ROI) for _ in range(4)]
    with torch.inference_mode():
        expected = network(torch.stack(windows))
        torch.testing.assert_close(scorer(windows), expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(scorer.probabilities(windows), expected.softmax(dim=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("mirror_axis", [None, 0])
@pytest.mark.parametrize("batch_size", [1, 2, 4])  # nine windows per row, so a batch of one follows larger ones
@pytest.mark.parametrize("on_gpu_first", [False, True])
def test_windows_begun_before_earlier_ones_are_read_keep_their_own_scores(
    threads: int,
    mirror_axis: int | None,
    batch_size: int,
    on_gpu_first: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    network = convolution()
    path = tmp_path / "network.onnx"
    example = torch.zeros(1, 1, *ROI)
    torch.onnx.export(network, (example,), str(path), input_names=["image"], output_names=["scores"], dynamo=False)
    ahead = OpenVinoNetwork(path, False)
    assert isinstance(ahead, RunsAhead) and ahead.ahead == min(threads, 2)
    gpu = SmallGpu(network, 0)
    scorer = Scorer(gpu if on_gpu_first else ahead, "made", on_cpu=lambda: ahead, mirror_axis=mirror_axis)
    plain = Scorer(TorchNetwork(network, torch.device("cpu"), False), "made", mirror_axis=mirror_axis)
    image = torch.rand(1, 20, 14, 34)
    inferer = SlidingWindowInferer(ROI, 1, 0.25)
    assert len(place_windows((20, 14, 34), WindowSettings.of(inferer)).in_plane()) == 9
    found = streamed(image, inferer, scorer, batch_size)
    torch.testing.assert_close(found, streamed(image, inferer, plain), rtol=1e-4, atol=1e-4)


@dataclass
class Failing:
    """A network that cannot score anything."""

    description: str
    error: Exception

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        raise self.error


def test_lack_of_memory_is_recognised_by_the_message_whatever_the_error_class() -> None:
    class BackendError(Exception):
        pass

    error = BackendError("BFCArena: Failed to allocate memory for requested buffer of size 123")
    network = convolution()
    scorer = Scorer(
        Failing("ONNX Runtime on a GPU", error),
        "made",
        on_cpu=lambda: TorchNetwork(network, torch.device("cpu"), False),
    )
    with torch.inference_mode():
        assert scorer([torch.zeros(1, *ROI)] * 2).shape == (2, CHANNEL_COUNT, *ROI)
    assert "on the CPU" in scorer.flags[0].message


def test_other_failures_are_not_mistaken_for_lack_of_memory() -> None:
    broken = Failing("broken", RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="multiplied"):
        Scorer(broken, "made", on_cpu=lambda: broken)([torch.zeros(1, *ROI)])
