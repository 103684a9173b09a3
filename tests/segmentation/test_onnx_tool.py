"""ONNX networks of other makers, in slices and in windows, from the description beside the file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from operators.core.anatomy import by_name
from operators.core.errors import SegmentationError, UsageError
from operators.core.label_files import read_label_file
from operators.core.nifti_files import write_nifti
from operators.core.onnx_description import OnnxDescription, read_onnx_description
from operators.core.segmenters import load_segmenter, model_digest
from operators.core.volume import Fused
from operators.segmentation.onnx_tool import label_images, main
from operators.segmentation.onnx_windows import normalised, resized
from operators.segmentation.other_tool import label_with
from tests.segmentation.made_networks import describe, sigmoid_network, threshold_network
from tests.segmentation.thighs_of_water import fused_thighs


@pytest.fixture(scope="module")
def fused() -> Fused:
    return fused_thighs()


def labelled(network: Path, fused: Fused, number: int = 1) -> np.ndarray:
    """Where the body has a label, by the program called in this process (a process of its own takes seconds)."""
    images = network.parent / "images"
    for n, contrast in enumerate(read_onnx_description(network).contrasts):
        write_nifti(images / f"image_{n:04d}.nii.gz", fused.volumes()[contrast.value])
    label_images(network, images, network.parent / "labels.nii.gz")
    found = read_label_file(network.parent / "labels.nii.gz")
    assert found.grid.same_as(fused.grid, 0.01)
    return (found.layers[0] == number) & fused.body


@pytest.mark.parametrize(
    ("window", "orientation"),
    [([64, 40], "LPS"), ([24, 16], "RAS"), ([16, 24], "PLI"), ([24, 16, 8], "RAS"), ([8, 48, 48], "SPL")],
)
def test_slices_and_windows_in_any_orientation_label_the_same_voxels(
    fused: Fused, tmp_path: Path, window: list[int], orientation: str
) -> None:
    network = describe(
        threshold_network(tmp_path / "net.onnx", len(window), list(window)), window=window, orientation=orientation
    )
    np.testing.assert_array_equal(labelled(network, fused), (fused.water > 100) & fused.body)


def test_as_a_tool_it_runs_in_a_process_of_its_own_and_says_its_version(fused: Fused, tmp_path: Path) -> None:
    network = describe(threshold_network(tmp_path / "net.onnx", 2), window=[64, 40])
    labels, card = label_with(load_segmenter("onnx", network), fused, minutes=5, memory_gb=8)
    here = labels.voxels == by_name("vastus_lateralis").index
    np.testing.assert_array_equal(here, (fused.water > 100) & fused.body)
    assert card.version.startswith("ONNX Runtime 1.")
    assert card.made_elsewhere and card.name == "bright"


def test_a_network_of_another_resolution_labels_the_same_body(fused: Fused, tmp_path: Path) -> None:
    network = describe(
        threshold_network(tmp_path / "net.onnx", 3), window=[32, 32, 8], orientation="RAS", spacing_mm=[3.0, 5.0, 9.0]
    )
    found, truth = labelled(network, fused), (fused.water > 100) & fused.body
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.93


def test_numbers_of_the_scheme_and_two_channels(fused: Fused, tmp_path: Path) -> None:
    both = replace(fused, fat=np.where(fused.body, 90.0, 0.0).astype(np.float32), absent=frozenset())
    network = describe(
        threshold_network(tmp_path / "net.onnx", 2, channels=2),
        window=[64, 40],
        orientation="LPS",
        contrasts=["water", "fat"],
        values=[0, 7101],
    )
    np.testing.assert_array_equal(labelled(network, both, 7101), ((fused.water + both.fat) / 2 > 100) & fused.body)
    with pytest.raises(SegmentationError, match="a study without fat images"):
        label_with(load_segmenter("onnx", network), fused, minutes=5, memory_gb=8)


VOLUME = np.array([0.0, 0.0, 2.0, 4.0, 6.0], np.float32)


@pytest.mark.parametrize(
    ("method", "values", "expected"),
    [
        ("none", (), VOLUME),
        ("zscore", (), (VOLUME - 2.4) / VOLUME.std()),
        ("zscore_nonzero", (), [0, 0, -1.224745, 0, 1.224745]),
        ("range", (1, 5), [0, 0, 0.25, 0.75, 1]),
        ("percentiles", (0, 100), VOLUME / 6),
        ("mean_and_sd", (2, 4), [-0.5, -0.5, 0, 0.5, 1]),
    ],
)
def test_intensities_are_brought_to_what_the_network_learnt(method: Any, values: Any, expected: Any) -> None:
    description = OnnxDescription("x", "ours", (8, 8), normalisation=method, normalisation_values=values)
    np.testing.assert_allclose(normalised(VOLUME, description), expected, atol=1e-5)


def test_resizing_keeps_a_line_straight_and_labels_whole() -> None:
    line = np.arange(8, dtype=np.float32)[None].repeat(3, 0)
    np.testing.assert_allclose(resized(line, [3, 4])[0], [0.5, 2.5, 4.5, 6.5])
    labels = np.array([[1, 1, 5, 5]])
    assert set(np.unique(resized(labels, [1, 7]))) == {1, 5}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"window": [64]}, "window"),
        ({"window": [64.5, 40]}, "64.5 where a whole number belongs"),
        ({"window": [64, 40], "orientation": "RAR"}, "orientation: RAR"),
        ({"window": [64, 40], "spacing_mm": [1, 0, 1]}, "spacing_mm"),
        ({"window": [64, 40], "contrasts": ["t1"]}, "t1"),
        ({"window": [64, 40], "normalisation": "range"}, "normalisation_values"),
        ({"window": [64, 40], "normalisation": "max"}, "normalisation: max"),
        ({"window": [64, 40], "overlap": 1}, "overlap"),
        ({"window": [64, 40], "roi": 3}, "unknown or missing keys: roi"),
    ],
)
def test_a_description_that_cannot_be_used_is_one_clear_error(tmp_path: Path, keys: Any, message: str) -> None:
    network = describe(threshold_network(tmp_path / "net.onnx", 2), **keys)
    with pytest.raises(UsageError, match=message):
        load_segmenter("onnx", network)


def test_json_describes_as_well_and_nothing_is_an_error(tmp_path: Path) -> None:
    network = threshold_network(tmp_path / "net.onnx", 2)
    with pytest.raises(UsageError, match="no description beside it"):
        read_onnx_description(network)
    with pytest.raises(UsageError, match="no --segmenter-model"):
        load_segmenter("onnx")
    network.with_suffix(".json").write_text(json.dumps({"name": "x", "scheme": "ours", "window": [8, 8]}))
    assert read_onnx_description(network).window == (8, 8)
    network.with_suffix(".yaml").write_text("name: y")
    with pytest.raises(UsageError, match=r"net\.yaml and net\.json; expected one description"):
        read_onnx_description(network)


@pytest.mark.parametrize(
    ("window", "size", "message"),
    [([64, 40], [32, 32], "an input of shape"), ([8, 8, 8], None, "inputs of shape"), ([64, 40], "broken", "loadable")],
)
def test_a_network_that_does_not_fit_its_description_is_one_clear_error(
    fused: Fused, tmp_path: Path, window: list[int], size: Any, message: str
) -> None:
    network = threshold_network(tmp_path / "net.onnx", 2, None if size == "broken" else size)
    if size == "broken":
        network.write_bytes(b"nothing")
    with pytest.raises(SegmentationError, match=message):
        labelled(describe(network, window=window), fused)


def test_a_label_without_a_number_is_refused(fused: Fused, tmp_path: Path) -> None:
    network = describe(threshold_network(tmp_path / "net.onnx", 2), window=[64, 40], values=[0, 1])
    network.with_suffix(".yaml").write_text(network.with_suffix(".yaml").read_text().replace("- 1\n", ""))
    with pytest.raises(SegmentationError, match="scores of 2 labels; expected 1, one for each of `values`"):
        labelled(network, fused)


def test_more_numbers_than_the_network_has_labels_are_refused(fused: Fused, tmp_path: Path) -> None:
    network = describe(threshold_network(tmp_path / "net.onnx", 2), window=[64, 40], values=[0, 1, 2])
    with pytest.raises(SegmentationError, match="scores of 2 labels; expected 3, one for each of `values`"):
        labelled(network, fused)


def test_probabilities_are_no_labels(fused: Fused, tmp_path: Path) -> None:
    network = describe(sigmoid_network(tmp_path / "net.onnx"), window=[64, 40], output="labels", normalisation="zscore")
    with pytest.raises(SegmentationError, match="labels that are not whole numbers from 0, such as probabilities"):
        labelled(network, fused)


def test_a_window_beyond_all_memory_is_one_clear_line(
    fused: Fused, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = describe(threshold_network(tmp_path / "net.onnx", 2), window=[10**7, 10**7])
    write_nifti(tmp_path / "images" / "image_0000.nii.gz", fused.volumes()["water"])
    assert main([str(network), str(tmp_path / "images"), str(tmp_path / "labels.nii.gz")]) == 3
    assert "window and spacing_mm of the description may be wrong" in capsys.readouterr().err


def test_the_program_says_what_is_wrong_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.onnx"), "images", "labels"]) == 3
    assert "none.onnx: no ONNX file" in capsys.readouterr().err


def test_the_digest_of_a_model_follows_the_network_and_its_description(tmp_path: Path) -> None:
    network = describe(threshold_network(tmp_path / "net.onnx", 2), window=[64, 40])
    first = model_digest(network)
    (tmp_path / "other.txt").write_text("not a part of it")
    assert model_digest(network) == first
    describe(network, window=[32, 40])
    second = model_digest(network)
    threshold_network(network, 2, channels=2)
    assert len({first, second, model_digest(network)}) == 3
