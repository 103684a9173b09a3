"""The chain of a GPU gives the CPU's labels. Its functions take the device as a parameter, and here that is the CPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray

from operators.core.device_copies import remember
from operators.core.errors import SegmentationError
from operators.core.options import SegmentationOptions
from operators.core.volume import Fused, Grid
from operators.segmentation import SegmentationModel, inference, load_model
from operators.segmentation.device_image import prepare_on
from operators.segmentation.inference import segment_on
from tests.segmentation.made_bundle import IntensityBands, band_bundle, random_unetr_bundle

CPU = torch.device("cpu")
SHAPE, SPACING = (20, 24, 44), (6.0, 5.0, 7.0)
TORCH = SegmentationOptions(backend="torch", precision="fp32", device="cpu")


def fused_of(water: NDArray[np.float32], flips: tuple[int, int, int] = (1, 1, 1)) -> Fused:
    """A study with a body that leaves an uneven margin, on a grid with some axes reversed."""
    affine = np.diag([*np.multiply(SPACING, flips), 1.0])
    affine[:3, 3] = (-120.0, -80.0, -500.0)
    body = np.zeros(water.shape, dtype=bool)
    body[2:-1, 3:-2, 1:-4] = True
    body[:8, :, 20:24] = False  # between the legs
    return Fused(water, water, water, water, Grid(water.shape, affine), body, water, ())


def noise(seed: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0, 500, SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_unetr_bundle(tmp_path_factory.mktemp("unetr") / "bundle", (5.0, 5.5, 6.0))


@pytest.fixture(scope="module")
def scores_model(bundle: Path) -> SegmentationModel:
    return load_model(bundle)


@pytest.fixture(scope="module")
def probabilities_model(bundle: Path) -> SegmentationModel:
    changes = bundle / "configs" / "changes.yaml"
    before = changes.read_text(encoding="utf-8")
    changes.write_text(yaml.safe_dump({**yaml.safe_load(before), "interpolate": "probabilities"}), encoding="utf-8")
    model = load_model(bundle)
    changes.write_text(before, encoding="utf-8")
    return model


@pytest.mark.parametrize("kind", ["scores", "probabilities"])
@pytest.mark.parametrize(
    "options",
    [
        TORCH,
        replace(TORCH, mirror=True, batch_size=3),
        replace(TORCH, clean_up=True, confidence=True),
    ],
    ids=["plain", "mirror", "clean-up and confidence"],
)
def test_labels_and_confidence_are_those_of_the_cpu(
    scores_model: SegmentationModel, probabilities_model: SegmentationModel, kind: str, options: SegmentationOptions
) -> None:
    model = scores_model if kind == "scores" else probabilities_model
    fused = fused_of(noise(), (-1, 1, -1))
    expected, found = (segment_on(device, fused, model, options) for device in (None, CPU))
    assert len(np.unique(expected.voxels)) > 3
    # Rounding decides where two classes have nearly the same score; clean-up may then change an island.
    assert (found.voxels == expected.voxels).mean() >= (0.998 if options.clean_up else 0.9995)
    assert found.engine == expected.engine and found.flags == expected.flags
    if expected.confidence is None:
        assert found.confidence is None
        return
    assert found.confidence is not None
    np.testing.assert_allclose(
        np.asarray(found.confidence.voxels, np.float64),
        np.asarray(expected.confidence.voxels, np.float64),
        atol=2e-4,
    )
    assert np.asarray(found.confidence.voxels)[fused.body].min() > 0


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1)])
def test_every_orientation_keeps_its_sides(tmp_path: Path, flips: tuple[int, int, int]) -> None:
    model = load_model(band_bundle(tmp_path / "bundle", spacing_mm=(7.0, 8.0, 9.0)), trusted=True)
    k, j, i = np.indices(SHAPE)
    fused = fused_of(np.asarray(20.37 + 3.1 * k + 2.3 * j + 1.7 * i, dtype=np.float32), flips)
    expected, found = (segment_on(device, fused, model, TORCH).voxels for device in (None, CPU))
    assert len(np.unique(expected)) > 10
    np.testing.assert_array_equal(found, expected)


def test_a_transform_that_works_on_the_whole_image_sees_the_whole_image(tmp_path: Path) -> None:
    percentiles = {"_target_": "ScaleIntensityRangePercentilesd", "keys": "image", "lower": 1.0, "upper": 99.5}
    percentiles |= {"b_min": 0.0, "b_max": 1.0, "clip": True}
    model = load_model(band_bundle(tmp_path / "bundle", SPACING, scale_intensity=percentiles), trusted=True)
    fused = fused_of(noise())
    expected, found = (segment_on(device, fused, model, TORCH).voxels for device in (None, CPU))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda water: water.fill(140.0), "one value"),
        (lambda water: water.__setitem__((5, 5, 5), np.nan), "not finite"),
        (lambda water: water.fill(np.inf), "not finite"),
    ],
    ids=["constant", "NaN", "infinite"],
)
def test_what_the_cpu_refuses_is_refused_with_the_same_words(
    scores_model: SegmentationModel, change: object, said: str
) -> None:
    water = noise()
    change(water)  # type: ignore[operator]
    messages = []
    for device in (None, CPU):
        with pytest.raises(SegmentationError, match=said) as raised:
            segment_on(device, fused_of(water), scores_model, TORCH)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]


def test_no_body_and_scores_that_are_not_finite_are_errors(scores_model: SegmentationModel) -> None:
    nothing = replace(fused_of(noise()), body=np.zeros(SHAPE, dtype=bool))
    with pytest.raises(SegmentationError, match="no body"):
        segment_on(CPU, nothing, scores_model, TORCH)
    broken = IntensityBands()
    torch.nn.init.constant_(broken.levels, float("nan"))
    with pytest.raises(SegmentationError, match="scores that are not finite"):
        segment_on(CPU, fused_of(noise()), replace(scores_model, network=broken), TORCH)


def test_what_the_fusion_left_on_the_device_is_not_uploaded_again(scores_model: SegmentationModel) -> None:
    fused = fused_of(noise())
    dark, darker = (replace(fused, water=fused.water * np.float32(factor)) for factor in (0.5, 0.25))
    expected = prepare_on(CPU, dark, scores_model).prepared.image
    remember(fused.water, torch.from_numpy(dark.water))
    torch.testing.assert_close(prepare_on(CPU, fused, scores_model).prepared.image, expected, rtol=0, atol=0)
    # Another array is never taken for the one that is on the device.
    found = prepare_on(CPU, darker, scores_model).prepared.image
    torch.testing.assert_close(found, expected / 2)


class OneAtATime(torch.nn.Module):
    """A network on a device whose memory has room for one window."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network
        self.sizes: list[int] = []

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(windows))
        if len(windows) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return torch.as_tensor(self.network(windows))


def test_too_little_memory_for_a_batch_means_smaller_ones_and_the_same_labels(scores_model: SegmentationModel) -> None:
    small = OneAtATime(scores_model.network)
    fused, options = fused_of(noise()), replace(TORCH, batch_size=4)
    found = segment_on(CPU, fused, replace(scores_model, network=small), options)
    np.testing.assert_array_equal(found.voxels, segment_on(CPU, fused, scores_model, TORCH).voxels)
    assert max(small.sizes) > 1 and [flag.code for flag in found.flags] == ["segmentation-memory"]


def test_too_little_memory_for_the_rest_leaves_the_network_on_the_device(
    scores_model: SegmentationModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(inference, "label_on_device", too_much)
    fused = fused_of(noise())
    found, expected = (segment_on(device, fused, scores_model, TORCH) for device in (CPU, None))
    np.testing.assert_array_equal(found.voxels, expected.voxels)
    assert [flag.code for flag in found.flags] == ["segmentation-memory"]
