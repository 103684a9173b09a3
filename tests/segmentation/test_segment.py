"""A fused study becomes labels on its own grid: right place, right orientation, or a clear error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import UNETR
from numpy.typing import NDArray

from operators.core.anatomy import ADIPOSE_INDEX, CHANNEL_COUNT, STRUCTURES
from operators.core.errors import SegmentationError
from operators.core.options import SegmentationOptions
from operators.core.volume import Contrast, Fused, Grid, QualityFlag
from operators.segmentation import SegmentationModel, load_model, segment
from operators.segmentation.inference import prepare
from tests.segmentation.made_bundle import IntensityBands, band_bundle, bundle_of, random_unetr_bundle

SHAPE = (30, 26, 34)  # (z, y, x)
SPACING = (4.0, 5.0, 6.0)
#: Change of the water signal per millimetre towards left, posterior and superior; all three differ.
SLOPE = np.array([0.4, -0.9, 0.5])


def grid_of(flips: tuple[int, int, int] = (1, 1, 1), degrees: float = 0.0) -> Grid:
    """Axes along LPS, some reversed, then tilted about the left-right axis."""
    a = np.radians(degrees)
    tilt = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    affine = np.eye(4)
    affine[:3, :3] = tilt @ np.diag(np.array(SPACING) * flips)
    affine[:3, 3] = np.array([11.0, -23.0, -640.0]) - affine[:3, :3] @ ((np.array(SHAPE[::-1]) - 1) / 2)
    return Grid(SHAPE, affine)


def ramp(grid: Grid) -> NDArray[np.float32]:
    """Water signal, linear in LPS millimetres: 140 in the middle, within the bands' 0 to 280."""
    k, j, i = np.indices(grid.shape)
    mm = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ grid.affine[:3].T
    middle = grid.affine[:3] @ [*((np.array(grid.shape[::-1]) - 1) / 2), 1.0]
    return np.asarray(140.0 + (mm - middle) @ SLOPE, dtype=np.float32)


def fused_of(
    grid: Grid,
    water: NDArray[np.float32],
    body: NDArray[np.bool_] | None = None,
    flags: tuple[QualityFlag, ...] = (),
    fat: NDArray[np.float32] | None = None,
) -> Fused:
    nothing = np.zeros(grid.shape, dtype=np.float32)
    return Fused(
        water=water,
        fat=nothing if fat is None else fat,
        in_phase=nothing,
        opposed=nothing,
        grid=grid,
        body=np.ones(grid.shape, dtype=bool) if body is None else body,
        fat_fraction=nothing,
        stations=(),
        flags=flags,
    )


def away_from_band_edges(signal: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.abs((signal / 10.0) % 1.0 - 0.5) > 0.02


@pytest.fixture(scope="module")
def bands(tmp_path_factory: pytest.TempPathFactory) -> SegmentationModel:
    return load_model(
        band_bundle(tmp_path_factory.mktemp("bands") / "bundle", spacing_mm=(7.0, 8.0, 9.0)), trusted=True
    )


@pytest.mark.parametrize("degrees", [0.0, 5.0])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1), (-1, -1, -1)])
def test_every_voxel_is_labelled_where_its_signal_is(
    bands: SegmentationModel, flips: tuple[int, int, int], degrees: float
) -> None:
    """On a ramp, scores of `IntensityBands` are interpolated exactly, so a mixed-up axis or side would be noticed."""
    grid = grid_of(flips, degrees)
    signal = ramp(grid)
    labels = segment(fused_of(grid, signal), bands)
    assert labels.grid is grid and labels.voxels.dtype == np.uint8
    inside = np.zeros(grid.shape, dtype=bool)
    inside[3:-3, 2:-2, 2:-2] = True  # beyond the outermost coarse voxel, scores are constant
    sure = inside & away_from_band_edges(signal)
    np.testing.assert_array_equal(labels.voxels[sure], np.round(signal / 10.0).astype(np.uint8)[sure])
    assert len(np.unique(labels.voxels[sure])) > 12


def test_nothing_is_labelled_outside_the_body(bands: SegmentationModel) -> None:
    grid = grid_of()
    body = np.zeros(SHAPE, dtype=bool)
    body[8:20, 6:22, 9:14] = body[8:20, 6:22, 20:26] = True  # two thighs
    labels = segment(fused_of(grid, ramp(grid), body), bands).voxels
    assert not labels[~body].any()
    whole = segment(fused_of(grid, ramp(grid)), bands).voxels
    np.testing.assert_array_equal(labels[10:18, 8:20, 20:26], whole[10:18, 8:20, 20:26])


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1)])
def test_intensities_are_those_of_the_whole_image_wherever_the_body_ends(
    tmp_path: Path, flips: tuple[int, int, int]
) -> None:
    """As in training, where the volume is not cropped; percentiles of a cropped one would differ."""
    percentiles = {"_target_": "ScaleIntensityRangePercentilesd", "keys": "image", "lower": 1.0, "upper": 99.5}
    percentiles |= {"b_min": 0.0, "b_max": 1.0, "clip": True}
    bundle = band_bundle(tmp_path / "bundle", spacing_mm=(7.0, 8.0, 9.0), scale_intensity=percentiles)
    model = load_model(bundle, trusted=True)
    grid = grid_of(flips)
    body = np.zeros(SHAPE, dtype=bool)
    body[10:18, 8:20, 9:26] = True
    whole, cut = prepare(fused_of(grid, ramp(grid)), model), prepare(fused_of(grid, ramp(grid), body), model)
    start = np.rint(np.linalg.inv(whole.affine) @ cut.affine[:, 3]).astype(int)
    part = tuple(slice(a, a + size) for a, size in zip(start[:3], cut.shape, strict=True))
    assert all(size < of for size, of in zip(cut.shape, whole.shape, strict=True))
    torch.testing.assert_close(cut.image, whole.image[(slice(None), *part)], rtol=0, atol=0)
    ends = np.array([[0.0, n - 1.0] for n in cut.grid.shape[::-1]] + [[1.0, 1.0]])
    places = np.sort((np.linalg.inv(cut.affine) @ cut.grid.affine @ ends)[:3])
    assert (places[:, 0] > -1e-6).all() and (places[:, 1] < np.array(cut.shape) - 1 + 1e-6).all()


def test_adipose_tissue_is_never_given_because_it_was_never_learnt(bands: SegmentationModel) -> None:
    grid = grid_of()
    signal = np.full(SHAPE, 10.0 * STRUCTURES[-1].index, dtype=np.float32)
    signal[:15] = 10.0 * ADIPOSE_INDEX
    labels = segment(fused_of(grid, signal), bands).voxels
    assert not (labels == ADIPOSE_INDEX).any()
    assert (labels[:10] == 0).all() and (labels[20:] == STRUCTURES[-1].index).all()


@pytest.mark.parametrize("interpolate", ["scores", "probabilities"])
def test_at_the_networks_own_spacing_labels_are_those_of_monais_sliding_window(
    tmp_path: Path, interpolate: str
) -> None:
    shape, spacing = (20, 24, 44), (6.0, 5.0, 7.0)  # two windows of 32 voxels
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-120.0, -80.0, -500.0)
    water = np.random.default_rng(3).uniform(0, 500, shape).astype(np.float32)
    bundle = random_unetr_bundle(tmp_path / "bundle", spacing)
    changes = bundle / "configs" / "changes.yaml"
    settings = yaml.safe_load(changes.read_text(encoding="utf-8"))
    changes.write_text(yaml.safe_dump({**settings, "interpolate": interpolate}), encoding="utf-8")
    found = segment(fused_of(Grid(shape, affine), water), load_model(bundle), SegmentationOptions(confidence=True))
    labels = found.voxels

    names = ("feature_size", "hidden_size", "mlp_dim", "num_heads")
    network = UNETR(1, CHANNEL_COUNT, settings["roi"], **{name: settings[f"network_def#{name}"] for name in names})
    network.load_state_dict(torch.load(bundle / "models" / "weights.pt", weights_only=True))
    to_ras = water.transpose(2, 1, 0)[::-1, ::-1]  # LPS to RAS: reverse x and y
    image = torch.from_numpy(np.clip(to_ras / 450.0, 0, 1).astype(np.float32))[None, None]
    window = SlidingWindowInferer(settings["roi"], sw_batch_size=1, overlap=0.25, mode="gaussian")
    with torch.inference_mode():
        scores = window(
            image, network.eval() if interpolate == "scores" else torch.nn.Sequential(network, torch.nn.Softmax(1))
        )[0]
    theirs = scores.argmax(dim=0).numpy()
    sure = (scores.softmax(dim=0) if interpolate == "scores" else scores).amax(dim=0).numpy()
    theirs[theirs == ADIPOSE_INDEX] = 0
    expected = theirs[::-1, ::-1].transpose(2, 1, 0)
    assert len(np.unique(expected)) > 3
    assert (labels == expected).mean() >= 0.999
    assert (labels == expected[:, :, ::-1]).mean() < 0.9  # a mirror image would not pass
    assert found.confidence is not None
    np.testing.assert_allclose(
        found.confidence.voxels.astype(np.float32), sure[::-1, ::-1].transpose(2, 1, 0), atol=1e-4
    )


def test_interpolation_of_something_unknown_is_refused(tmp_path: Path) -> None:
    bundle = random_unetr_bundle(tmp_path / "bundle")
    with (bundle / "configs" / "changes.yaml").open("a", encoding="utf-8") as file:
        file.write("interpolate: labels\n")
    with pytest.raises(SegmentationError, match="neither scores nor probabilities"):
        load_model(bundle)


def test_input_channels_are_the_contrasts_that_the_bundle_names(tmp_path: Path) -> None:
    model = load_model(band_bundle(tmp_path / "bundle", spacing_mm=SPACING, images=["fat.nrrd"]), trusted=True)
    assert model.contrasts == (Contrast.FAT,)
    grid = grid_of()
    fat = np.full(SHAPE, 50.0, np.float32)
    fat[15:] = 52.0
    labels = segment(fused_of(grid, np.zeros(SHAPE, np.float32), fat=fat), model)
    assert (labels.voxels == 5).all()


def test_a_study_whose_coverage_cannot_be_trusted_gets_no_labels(bands: SegmentationModel) -> None:
    grid = grid_of()
    error = QualityFlag("no-pelvis-to-knee-coverage", "error", "One station.")
    labels = segment(fused_of(grid, ramp(grid), flags=(error,)), bands)
    assert labels.grid is grid and labels.voxels.dtype == np.uint8 and not labels.voxels.any()
    warning = QualityFlag("station-count", "warning", "Five stations.")
    assert segment(fused_of(grid, ramp(grid), flags=(warning,)), bands).voxels.any()


def test_an_image_without_a_body_is_an_error(bands: SegmentationModel) -> None:
    grid = grid_of()
    with pytest.raises(SegmentationError, match="no body"):
        segment(fused_of(grid, ramp(grid), np.zeros(SHAPE, dtype=bool)), bands)


def test_a_constant_image_is_an_error_whatever_is_outside_the_body(bands: SegmentationModel) -> None:
    grid, body = grid_of(), np.zeros(SHAPE, dtype=bool)
    body[5:25, 4:20, 6:30] = True
    water = np.where(body, np.float32(140.0), np.float32(3.0))
    water[10] += 1e-3  # a remainder of blending
    with pytest.raises(SegmentationError, match="fused water volume: one value"):
        segment(fused_of(grid, water, body), bands)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_signal_that_is_not_finite_is_an_error(bands: SegmentationModel, value: float) -> None:
    grid = grid_of()
    water = ramp(grid)
    water[5, 5, 5] = value
    with pytest.raises(SegmentationError, match="not finite"):
        segment(fused_of(grid, water), bands)


def test_finding_no_structure_at_all_is_an_error(bands: SegmentationModel) -> None:
    with pytest.raises(SegmentationError, match="no structure of the label table"):
        segment(fused_of(grid_of(), ramp(grid_of()) / np.float32(100)), bands)  # background everywhere


def test_a_network_with_another_number_of_channels_is_an_error(tmp_path: Path) -> None:
    model = load_model(band_bundle(tmp_path / "bundle", SPACING, channels=14), trusted=True)
    with pytest.raises(SegmentationError, match="14"):
        segment(fused_of(grid_of(), ramp(grid_of())), model)


def test_a_network_that_takes_other_input_channels_is_an_error(tmp_path: Path) -> None:
    unetr = random_unetr_bundle(tmp_path / "made")
    settings = yaml.safe_load((unetr / "configs" / "changes.yaml").read_text(encoding="utf-8"))
    settings.update({"images": ["water.nrrd", "fat.nrrd"], "network_def#in_channels": 1})
    weights = torch.load(unetr / "models" / "weights.pt", weights_only=True)
    model = load_model(bundle_of(tmp_path / "bundle", weights, settings))
    with pytest.raises(SegmentationError, match="failed on the fused volume"):
        segment(fused_of(grid_of(), ramp(grid_of()), fat=ramp(grid_of())), model)


def test_scores_that_are_not_finite_are_an_error(bands: SegmentationModel) -> None:
    broken = IntensityBands()
    torch.nn.init.constant_(broken.levels, float("nan"))
    with pytest.raises(SegmentationError, match="scores that are not finite"):
        segment(fused_of(grid_of(), ramp(grid_of())), replace(bands, network=broken))
