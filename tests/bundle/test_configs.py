"""The bundle's configs agree with the label table, with one another and with the paper."""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from monai.bundle import ConfigParser

from operators.core import anatomy

BUNDLE = Path(__file__).parents[2] / "bundle"


def parser_of(*names: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([str(BUNDLE / "configs" / name) for name in names])
    return parser


def test_channels_of_the_metadata_are_the_label_table() -> None:
    metadata = json.loads((BUNDLE / "configs" / "metadata.json").read_text(encoding="utf-8"))
    output = metadata["network_data_format"]["outputs"]["pred"]
    names = {str(s.index): s.name for s in anatomy.LABELS}
    assert output["channel_def"] == {"0": "background", **names}
    assert output["num_channels"] == anatomy.CHANNEL_COUNT


@pytest.mark.parametrize("name", ["train.yaml", "inference.yaml"])
def test_the_default_network_is_that_of_the_paper(name: str) -> None:
    parser = parser_of(name)
    settings = parser.get_parsed_content("network_def", instantiate=False).get_config()
    assert (settings["feature_size"], settings["hidden_size"], settings["mlp_dim"], settings["num_heads"]) == (
        16,
        768,
        3072,
        12,
    )
    assert parser.get_parsed_content("roi") == [96, 96, 96]
    assert parser.get_parsed_content("spacing_mm") == [1.5, 1.5, 2.0]
    assert parser.get_parsed_content("intensity_window") == [80.0, 450.0]
    assert parser.get_parsed_content("channels_out") == anatomy.CHANNEL_COUNT


def test_the_default_training_is_that_of_the_paper() -> None:
    parser = parser_of("train.yaml")
    config: dict[str, Any] = parser.get()
    assert config["learning_rate"] == 2e-5
    assert config["optimizer"]["weight_decay"] == 1e-5
    assert config["optimizer"]["_target_"] == "torch.optim.AdamW"
    assert (config["batch_size"], config["max_epochs"], config["val_interval"]) == (2, 12000, 2)
    crop = config["random_transforms"][0]
    assert crop["_target_"] == "RandCropByPosNegLabeld"
    assert (crop["pos"], crop["neg"], crop["num_samples"]) == (1.0, 1.0, 4)
    assert config["loss"]["_target_"] == "DiceCELoss"


def test_training_and_inference_prepare_images_alike() -> None:
    for overrides in ([], ["demo.yaml"]):
        train, inference = parser_of("train.yaml", *overrides), parser_of("inference.yaml", *overrides)
        for key in ("spacing_mm", "roi", "intensity_window", "channels_out", "network_def", "images", "inferer"):
            assert train[key] == inference[key], key
        steps = {step["_target_"]: step for step in train["read_transforms"] if isinstance(step, dict)}
        assert train["scale_intensity"] == inference["scale_intensity"]
        assert "@scale_intensity" in train["read_transforms"] and "@scale_intensity" in inference["preprocessing"]
        for step in (step for step in inference["preprocessing"] if isinstance(step, dict)):
            trained = steps[step["_target_"]]
            for key, value in step.items():
                if key not in ("keys", "mode"):
                    assert trained[key] == value, (step["_target_"], key)


def test_demo_network_is_built_by_the_override() -> None:
    parser = parser_of("inference.yaml", "demo.yaml")
    network = parser.get_parsed_content("network_def")
    parameters = sum(p.numel() for p in network.parameters())
    assert 4e6 < parameters < 20e6  # at most 40 MB may be shipped, in half precision


def test_metadata_describes_the_shipped_network() -> None:
    metadata = json.loads((BUNDLE / "configs" / "metadata.json").read_text(encoding="utf-8"))
    window = parser_of("inference.yaml", "demo.yaml").get_parsed_content("roi")
    data = metadata["network_data_format"]
    assert data["inputs"]["image"]["spatial_shape"] == data["outputs"]["pred"]["spatial_shape"] == window
    images = parser_of("inference.yaml", "demo.yaml").get_parsed_content("images")
    assert data["inputs"]["image"]["num_channels"] == len(images)
    assert [f"{name}.nrrd" for name in data["inputs"]["image"]["channel_def"].values()] == images
    card = json.loads((BUNDLE / "models" / "shipped.json").read_text(encoding="utf-8"))
    assert metadata["version"] == card["version"] == next(iter(metadata["changelog"]))


def test_stated_figures_are_those_of_the_tables() -> None:
    with (BUNDLE / "docs" / "held_out" / "by_structure.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["structure"]: row for row in csv.DictReader(file)}
    mean = float(rows["mean over structures"]["dice"])
    metadata = json.loads((BUNDLE / "configs" / "metadata.json").read_text(encoding="utf-8"))
    card = json.loads((BUNDLE / "models" / "shipped.json").read_text(encoding="utf-8"))
    assert metadata["eval_metrics"]["mean_dice"] == card["held_out_mean_dice"] == round(mean, 3)
    text = (BUNDLE / "docs" / "README.md").read_text(encoding="utf-8")
    assert f"**{mean:.3f}**" in text
    assert f"mean Dice of 27 structures {mean:.3f}" in (BUNDLE.parent / "README.md").read_text(encoding="utf-8")
    for structure in anatomy.STRUCTURES:
        dice = float(rows[structure.name]["dice"])
        assert f"| {structure.display_name.lower()} | {dice:.3f} |" in text.lower()


def test_schema_is_monais_own() -> None:
    content = (BUNDLE / "configs" / "meta_schema_20240725.json").read_bytes()
    assert hashlib.sha256(content).hexdigest() == "cd64aa8a5904426f6fc6855dabe46af8c742d5bad644b4e9cfb78ebad09ad678"


def test_schema_refuses_metadata_without_a_network() -> None:
    schema = json.loads((BUNDLE / "configs" / "meta_schema_20240725.json").read_text(encoding="utf-8"))
    metadata = json.loads((BUNDLE / "configs" / "metadata.json").read_text(encoding="utf-8"))
    jsonschema.validate(metadata, schema)
    del metadata["network_data_format"]["outputs"]["pred"]["dtype"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(metadata, schema)


def test_required_packages_are_the_installed_ones() -> None:
    metadata = json.loads((BUNDLE / "configs" / "metadata.json").read_text(encoding="utf-8"))
    for name, version in metadata["required_packages_version"].items():
        assert importlib.metadata.version(name) == version, name
    for name, key in (("monai", "monai_version"), ("numpy", "numpy_version")):
        assert importlib.metadata.version(name) == metadata[key]
