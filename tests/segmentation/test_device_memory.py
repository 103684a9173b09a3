"""Memory on a GPU, and tensors that stay there: proven without one, with tensors that have no content."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from operators.core.anatomy import CHANNEL_COUNT
from operators.core.volume import Grid
from operators.segmentation.device_labels import labels_on_device
from operators.segmentation.device_memory import SUMS_BYTES, label_slices, room_for, sums_bytes
from operators.segmentation.onnx_network import OnnxRuntimeNetwork, gpu_providers
from operators.segmentation.scorer import Scorer
from operators.segmentation.scores import map_scores
from operators.segmentation.stream import stream_scores
from operators.segmentation.windows import WindowSettings, place_windows

GIB = 1 << 30
#: Its tensors have a shape and no content. Together with a tensor of the CPU they are an error, as on a GPU.
GPU = torch.device("meta")
PUBLISHED = WindowSettings((96, 96, 96), (0.25, 0.25, 0.25))
BODY = (287, 169, 340)  # voxels (x, y, z) of 1.5 x 1.5 x 2.0 mm around a large body
FUSED = (227, 120, 194)  # (z, y, x) of the archive's voxels, 2.23 x 2.23 x 3.0 mm


class Live(TorchDispatchMode):
    """Counts the bytes of tensors on a device that exist at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: WeakKeyDictionary[torch.UntypedStorage, int] = WeakKeyDictionary()
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, torch.Tensor) and tensor.device == GPU:
                storage = tensor.untyped_storage()
                self.storages[storage] = storage.nbytes()
        self.most = max(self.most, sum(self.storages.values()))
        return out


class ScoresOnGpu:
    """A network whose scores have the right shape and device, and no content."""

    description = "no network"

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        assert windows.device == GPU
        return torch.empty((len(windows), CHANNEL_COUNT, *windows.shape[2:]), device=GPU)


@pytest.mark.parametrize("confidence", [False, True])
@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("mirror_axis", [None, 0])
def test_everything_stays_on_the_gpu_within_the_planned_memory(
    confidence: bool, probabilities: bool, mirror_axis: int | None
) -> None:
    windows = place_windows(BODY, PUBLISHED)
    affine = np.diag([1.5, 1.5, 2.0, 1.0])
    grid = Grid(FUSED, np.diag([2.2, 2.2, 2.98, 1.0]))
    mapping = map_scores(BODY, affine, grid)
    room = room_for(windows, PUBLISHED, free=16 * GIB, one_window=GIB // 2)
    assert room.rows >= 1 and room.batch >= 8
    with Live() as live:
        image, body = torch.empty((1, *BODY), device=GPU), torch.empty(FUSED, dtype=torch.bool, device=GPU)
        scorer = Scorer(ScoresOnGpu(), "made", mirror_axis=mirror_axis)
        bands = stream_scores(
            image, windows, PUBLISHED, partial(scorer.in_order, probabilities=probabilities), lambda _: True,
            room.batch, rows_at_once=room.rows, sum_on=GPU,
        )  # fmt: skip
        found = labels_on_device(bands, mapping, body, confidence, probabilities=probabilities)
        assert found.labels.device == GPU and tuple(found.labels.shape) == FUSED
        assert (found.confidence is not None) == confidence
    windows_bytes = room.batch * CHANNEL_COUNT * 4 * 96**3
    planned = sums_bytes(windows, PUBLISHED, room.rows)
    assert planned <= live.most
    # Besides the sums: the scores of one batch (with their mirror image), and the interpolated scores of some slices.
    assert live.most <= planned + (4 if mirror_axis is not None else 3) * windows_bytes + GIB


def test_sums_take_three_gib_more_where_there_is_room_and_never_more_than_half() -> None:
    windows = place_windows((600, 400, 700), PUBLISHED)
    sizes = {rows: sums_bytes(windows, PUBLISHED, rows) for rows in range(1, len(windows.starts[2]) + 1)}
    assert sizes[1] < SUMS_BYTES < sizes[2] and list(sizes.values()) == sorted(sizes.values())
    for free in (None, 2 * GIB, 7 * GIB, 80 * GIB, 10_000 * GIB):
        room = room_for(windows, PUBLISHED, free, GIB // 4)
        bound = SUMS_BYTES if free is None else min(max(SUMS_BYTES, free // 3), free // 2)
        assert room.rows == max((rows for rows, size in sizes.items() if size <= bound), default=0)
        assert 1 <= room.batch <= 16
    assert room.rows == len(windows.starts[2])  # all of them


def test_windows_are_batched_by_free_memory() -> None:
    windows = place_windows(BODY, PUBLISHED)
    batches = [room_for(windows, PUBLISHED, free * GIB, GIB // 4).batch for free in (4, 6, 8, 80)]
    assert batches == sorted(batches) and batches[0] < batches[-1] == 16
    assert room_for(windows, PUBLISHED, GIB // 2, GIB).batch == 1  # too little for one: tried all the same
    assert room_for(windows, PUBLISHED, 80 * GIB, GIB, batch_size=3).batch == 3
    assert room_for(windows, PUBLISHED, None, 0).batch == 1


def test_few_slices_of_a_wide_grid_are_interpolated_at_once() -> None:
    assert label_slices((398, 261, 300)) < label_slices((100, 80, 300)) and label_slices((20_000, 20_000, 3)) == 1


@pytest.mark.parametrize("rows", [1, 2, 3, 50])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_sums_of_several_rows_are_those_of_one_row_at_a_time(rows: int, batch_size: int) -> None:
    settings = WindowSettings((8, 6, 10), (0.25, 0.5, 0.4))
    image = torch.rand(1, 15, 9, 47, generator=torch.Generator().manual_seed(4))
    windows = place_windows((15, 9, 47), settings)
    skipped = {(x - windows.before[0], y, 0) for x in windows.starts[0] for y in windows.starts[1]}

    def score(batches: Iterator[list[torch.Tensor]]) -> Iterator[torch.Tensor]:
        return (torch.cat([torch.stack(batch), -torch.stack(batch)], dim=1) for batch in batches)

    def whole(rows_at_once: int, size: int) -> torch.Tensor:
        joined = torch.full((2, 15, 9, 47), float("nan"))
        bands = stream_scores(
            image, windows, settings, score, lambda start: start not in skipped, size, rows_at_once=rows_at_once
        )
        for band in bands:
            a, b, n = band.origin
            joined[..., band.first : band.first + band.count] = band.sums[:, a : a + 15, b : b + 9, n : n + band.count]
        return joined

    expected = whole(1, 1)
    assert len(windows.starts[2]) > 5 and float(expected.nan_to_num().abs().max()) > 0.5
    torch.testing.assert_close(whole(rows, batch_size).nan_to_num(), expected.nan_to_num(), rtol=0, atol=1e-6)


def test_onnx_runtime_reads_and_writes_tensors_where_they_are(tmp_path: Path) -> None:
    """On a GPU the same binding has the GPU's memory; the network is made for one window at a time."""
    network = torch.nn.Conv3d(2, CHANNEL_COUNT, 3, padding=1).eval()
    path = tmp_path / "network.onnx"
    torch.onnx.export(
        network, (torch.zeros(1, 2, 8, 6, 10),), str(path), input_names=["image"], output_names=["scores"], dynamo=False
    )
    windows = torch.rand(3, 2, 6, 8, 10).transpose(2, 3)  # not contiguous
    onnx = OnnxRuntimeNetwork(path, False, False, 1)
    with torch.inference_mode():
        torch.testing.assert_close(onnx.bound(windows), network(windows), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "available", [["CUDAExecutionProvider"], ["TensorrtExecutionProvider", "CUDAExecutionProvider"]]
)
def test_tensorrt_comes_before_cuda_and_keeps_its_engines(available: list[str], tmp_path: Path) -> None:
    found = gpu_providers([*reversed(available), "CPUExecutionProvider"], tmp_path, bf16=True)
    assert [name for name, _ in found] == available
    if len(found) == 2:
        settings = found[0][1]
        assert settings["trt_engine_cache_path"] == str(tmp_path) and settings["trt_bf16_enable"] is True
    assert gpu_providers(["CPUExecutionProvider"], tmp_path, bf16=False) == []
