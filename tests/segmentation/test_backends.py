"""Every backend gives PyTorch's labels. The ONNX model is made once, and never in the bundle's folder."""

from __future__ import annotations

import importlib.util
import os
import stat
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from operators.core.anatomy import ADIPOSE_INDEX, CHANNEL_COUNT
from operators.core.bfloat16 import has_bf16
from operators.core.errors import UsageError
from operators.core.options import SegmentationOptions
from operators.core.options.segmentation import Backend
from operators.core.threads import thread_count
from operators.core.volume import Fused, Grid
from operators.segmentation import SegmentationModel, load_model, segment
from operators.segmentation.inference import prepare
from operators.segmentation.networks import open_network
from operators.segmentation.onnx_model import onnx_model
from tests.segmentation.made_bundle import IntensityBands, band_bundle, random_unetr_bundle, rewrite_card

SHAPE, SPACING = (20, 24, 44), (6.0, 5.0, 7.0)
BACKENDS = ("torch", "onnxruntime", "openvino")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SARCOMAP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SegmentationModel:
    return load_model(random_unetr_bundle(tmp_path_factory.mktemp("unetr") / "bundle", SPACING))


@pytest.fixture(scope="module")
def fused() -> Fused:
    water = np.random.default_rng(3).uniform(0, 500, SHAPE).astype(np.float32)
    body = np.ones(SHAPE, dtype=bool)
    return Fused(water, water, water, water, Grid(SHAPE, np.diag([*SPACING, 1.0])), body, water, ())


def need(backend: Backend) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_labels_in_fp32_are_those_of_pytorch(model: SegmentationModel, fused: Fused, backend: Backend) -> None:
    need(backend)
    expected = segment(fused, model, SegmentationOptions(backend="torch", precision="fp32"))
    found = segment(fused, model, SegmentationOptions(backend=backend, precision="fp32"))
    assert (found.voxels == expected.voxels).mean() >= 0.999
    assert len(np.unique(expected.voxels)) > 3
    assert found.engine.startswith(backend) and found.engine.endswith("fp32") and not found.flags


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_bf16_nearly_agrees_or_is_refused_if_it_would_be_emulated(
    model: SegmentationModel, fused: Fused, backend: Backend
) -> None:
    need(backend)
    if not has_bf16(cuda=False):
        with pytest.raises(UsageError, match="--precision bf16: a processor without instructions for bfloat16"):
            open_network(model, SegmentationOptions(backend=backend, precision="bf16", device="cpu"))
        return
    expected = segment(fused, model, SegmentationOptions(backend="torch", precision="fp32"))
    found = segment(fused, model, SegmentationOptions(backend=backend, precision="bf16"))
    assert found.engine.endswith("bf16")
    assert (found.voxels == expected.voxels).mean() > 0.9


@pytest.mark.parametrize("instructions", [{"avx512_bf16": True}, {"amx_bf16": True}, {"avx2": True}])
def test_bf16_is_chosen_only_where_it_was_measured_to_be_harmless_and_the_processor_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instructions: dict[str, bool]
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    bundle = band_bundle(tmp_path / "bundle", SPACING)
    for loss, expected in ((None, "fp32"), (0.01, "fp32"), (0.0005, "fp32" if "avx2" in instructions else "bf16")):
        rewrite_card(bundle, bf16_dice_loss=loss)
        network = open_network(load_model(bundle, trusted=True), SegmentationOptions(backend="torch", device="cpu"))
        assert network.description.endswith(expected)


def test_the_onnx_model_is_made_once_for_each_set_of_weights(
    model: SegmentationModel, cache: Path, tmp_path: Path
) -> None:
    first = onnx_model(model)
    made = first.stat().st_mtime_ns
    assert first.parent == cache and onnx_model(model) == first and first.stat().st_mtime_ns == made
    other = load_model(random_unetr_bundle(tmp_path / "other", SPACING))
    with torch.no_grad():
        next(other.network.parameters()).add_(1e-3)
    assert onnx_model(other) != first
    assert sorted(path.suffix for path in cache.iterdir()) == [".onnx", ".onnx"]


def test_a_read_only_bundle_and_cache_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fused: Fused) -> None:
    need("openvino")
    bundle = random_unetr_bundle(tmp_path / "bundle", SPACING)
    before = {path: path.stat().st_mtime_ns for path in bundle.rglob("*")}
    for path in (bundle / "models", bundle / "configs", bundle):
        path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    blocked = tmp_path / "file"
    blocked.write_text("in the way of a folder", encoding="utf-8")
    monkeypatch.setenv("SARCOMAP_CACHE", str(blocked / "cache"))
    try:
        assert segment(fused, load_model(bundle), SegmentationOptions(backend="openvino")).voxels.any()
        assert {path: path.stat().st_mtime_ns for path in bundle.rglob("*")} == before
    finally:
        for path in (bundle, bundle / "models", bundle / "configs"):
            path.chmod(stat.S_IRWXU)


class Unexportable(IntensityBands):
    """A network that cannot be traced, because it calls numpy."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if torch.jit.is_tracing():
            raise RuntimeError("cannot be traced")
        return super().forward(image)


def test_pytorch_replaces_a_backend_that_cannot_run_the_network(tmp_path: Path, fused: Fused) -> None:
    need("openvino")
    model = load_model(band_bundle(tmp_path / "bundle", SPACING), trusted=True)
    model = replace(model, network=Unexportable(), device=torch.device("cpu"))
    found = segment(fused, model, SegmentationOptions(device="cpu"))
    assert found.engine.startswith("torch")
    # The bands of this bundle are no anatomy, which is said too.
    assert [flag.code for flag in found.flags] == ["segmentation-backend", "implausible-anatomy"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"backend": "tensorflow"}, "backend: "),
        ({"precision": "int8"}, "precision: "),
        ({"batch_size": 0}, "batch_size: "),
    ],
)
def test_invalid_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        SegmentationOptions(**options)


def test_backends_and_devices_that_this_machine_lacks_are_refused(
    model: SegmentationModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="--device cuda"):
            open_network(model, SegmentationOptions(device="cuda"))
    need("onnxruntime")
    with pytest.raises(UsageError, match="bf16"):
        open_network(model, SegmentationOptions(backend="onnxruntime", precision="bf16", device="cpu"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="no package openvino"):
        open_network(model, SegmentationOptions(backend="openvino"))


def test_clean_up_confidence_and_mirroring_are_options_of_the_stage(model: SegmentationModel, fused: Fused) -> None:
    found = segment(
        fused,
        model,
        SegmentationOptions(backend="torch", precision="fp32", confidence=True, clean_up=True, mirror=True),
    )
    assert found.confidence is not None and found.confidence.grid.same_as(fused.grid)
    sure = found.confidence.voxels[np.asarray(found.voxels) > 0]
    assert sure.min() >= 1 / CHANNEL_COUNT and sure.max() <= 1.0
    plain = segment(fused, model, SegmentationOptions(backend="torch", precision="fp32"))
    assert plain.confidence is None and (plain.voxels != found.voxels).any()
    assert os.environ["SARCOMAP_CACHE"]


@pytest.fixture(scope="module")
def shipped() -> tuple[SegmentationModel, Fused, np.ndarray]:
    """The shipped model, an image at the network's spacing, and the labels of MONAI's sliding window on it."""
    # Noise has no lean muscle to find the signal's scale by: it is shown to both as it is.
    model = replace(load_model(Path(__file__).resolve().parents[2] / "bundle"), training_signal=None)
    spacing = tuple(float(step) for step in model.preprocessing.transforms[1].spacing_transform.pixdim)
    size = tuple(roi + 8 if axis == 2 else roi for axis, roi in enumerate(model.windows.roi))  # two windows
    random = np.random.default_rng(5).normal(size=size[::-1])
    water = np.clip(220 + 2500 * ndimage.gaussian_filter(random, 4), 0, 450).astype(np.float32)
    body = np.ones(water.shape, dtype=bool)
    grid = Grid(water.shape, np.diag([-spacing[0], -spacing[1], spacing[2], 1.0]))
    fused = Fused(water, water, water, water, grid, body, water, ())
    image = prepare(fused, model).image
    assert tuple(image.shape[1:]) == size  # nothing was resampled, so voxels can be compared
    merged = torch.nn.Sequential(model.network, torch.nn.Softmax(dim=1)) if model.probabilities else model.network
    with torch.inference_mode():
        theirs = model.inferer(image[None], merged)[0].argmax(dim=0).numpy().transpose(2, 1, 0)
    theirs[theirs == ADIPOSE_INDEX] = 0
    return model, fused, theirs


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_shipped_model_gives_the_labels_of_monais_sliding_window(
    shipped: tuple[SegmentationModel, Fused, np.ndarray], backend: Backend
) -> None:
    need(backend)
    model, fused, theirs = shipped
    found = segment(fused, model, SegmentationOptions(backend=backend, precision="fp32", device="cpu"))
    assert len(np.unique(theirs)) > 3
    assert (found.voxels == theirs).mean() >= 0.999


def test_a_network_has_as_many_threads_whichever_thread_opens_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3,1")
    counts = [thread_count()]
    thread = Thread(target=lambda: counts.append(thread_count()))
    thread.start()
    thread.join()
    assert counts == [3, 3]
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert thread_count() == len(os.sched_getaffinity(0))
