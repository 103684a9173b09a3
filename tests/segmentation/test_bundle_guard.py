"""Configs that do more than describe a network are refused before anything in them is run."""

from __future__ import annotations

import importlib
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from monai.bundle import ComponentLocator, ConfigParser

from operators.core.anatomy import CHANNEL_COUNT
from operators.core.errors import SegmentationError
from operators.segmentation import load_model
from operators.segmentation.bundle_guard import EXPRESSIONS, TARGETS, harmless
from tests.segmentation.made_bundle import bundle_of, card_of, random_unetr_bundle

SHIPPED = Path(__file__).resolve().parents[2] / "bundle"
NEEDED = ("network", "device", "preprocessing", "inferer", "images")
HARM = "HARM"  # placeholder in a config for the file that an attack would make


def attacked(folder: Path, changes: dict[str, Any]) -> tuple[Path, Path]:
    """A working bundle with ``changes`` to its configs, and the file that exists if an attack was run."""
    bundle, harm = random_unetr_bundle(folder / "bundle"), folder / "harm"
    path = bundle / "configs" / "changes.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8")) | changes
    text = yaml.safe_dump(content).replace(HARM, str(harm))
    path.write_text(text, encoding="utf-8")
    return bundle, harm


TOUCH = "$__import__('pathlib').Path('HARM').touch()"
OPEN = {"_target_": "builtins.open", "file": HARM, "mode": "w"}
ATTACKS: dict[str, dict[str, Any]] = {
    "an expression": {"device": TOUCH},
    "an expression that begins well": {"device": "$[torch.device('cpu'), open('HARM', 'w')][0]"},
    "an expression in a list": {"images": ["water.nrrd", TOUCH]},
    "an expression behind a reference": {"roi": "@elsewhere#deep", "elsewhere": {"deep": [32, 32, TOUCH]}},
    "a reference in an expression": {"network_def#in_channels": "$len(@images)", "images": TOUCH},
    "a call of any function": {"inferer": OPEN},
    "a component inside of another": {"network_def#norm_name": OPEN},
    "a component among arguments": {"inferer#sw_device": [OPEN]},
    "what must run first": {"inferer#_requires_": TOUCH},
    "a call by reference": {"function": "$open", "inferer": {"_target_": "@function", "file": HARM, "mode": "w"}},
    "a debugger": {"inferer#_mode_": "debug"},
    "another class of MONAI": {"preprocessing": [{"_target_": "monai.transforms.Lambdad", "keys": "image"}]},
    "a name of ours in another package": {"network_def#_target_": "tests.UNETR"},
    "another file": {"roi": "%/etc/hostname"},
}


@pytest.mark.parametrize("name", ATTACKS)
def test_configs_that_would_run_something_are_refused_before_they_do(tmp_path: Path, name: str) -> None:
    bundle, harm = attacked(tmp_path, ATTACKS[name])
    with pytest.raises(SegmentationError, match="--trust-bundle") as raised:
        load_model(bundle)
    assert raised.value.exit_code == 4
    assert "configs/changes.yaml, key " in str(raised.value) and "\n" not in str(raised.value)
    assert not harm.exists()


@pytest.mark.parametrize(
    "name", ["an expression", "an expression behind a reference", "a call of any function", "what must run first"]
)
def test_the_attacks_are_real_ones(tmp_path: Path, name: str) -> None:
    bundle, harm = attacked(tmp_path, ATTACKS[name])
    with suppress(SegmentationError):  # the rest is not a network
        load_model(bundle, trusted=True)
    assert harm.exists()


def test_what_loading_does_not_need_is_never_run(tmp_path: Path) -> None:
    imported = tmp_path / "imported_by_an_attack.py"
    imported.write_text("raise SystemExit('imported')", encoding="utf-8")
    changes = {
        "imports": [f"$import {imported.stem}", TOUCH],
        "initialize": [TOUCH],
        "anything": OPEN,
        "bundle_root": TOUCH,
    }
    bundle, harm = attacked(tmp_path, changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        assert load_model(bundle).card.name == "made_for_tests"
    assert not harm.exists()


@pytest.mark.parametrize("folder", ["$import os", "@network", "%"])
def test_a_folders_name_is_only_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    random_unetr_bundle(tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    assert load_model(Path(folder)).card.name == "made_for_tests"


def test_the_shipped_bundle_needs_no_trust_nor_does_one_trained_again_from_its_configs(tmp_path: Path) -> None:
    again = tmp_path / "trained_here"
    shutil.copytree(SHIPPED, again, ignore=shutil.ignore_patterns("__pycache__"))
    card = json.loads(card_of(again).read_text(encoding="utf-8"))
    card_of(again).write_text(json.dumps({**card, "name": "trained_here"}), encoding="utf-8")
    assert load_model(again).card.name == "trained_here"


@pytest.mark.parametrize("override", ["demo.yaml", "overrides/water_fat.yaml", "overrides/percentile_intensity.yaml"])
def test_every_config_that_the_model_card_lays_over_inference_passes(override: str) -> None:
    parser = ConfigParser()
    parser.read_config([str(SHIPPED / "configs" / name) for name in ("inference.yaml", override)])
    kept = harmless(parser.get(), NEEDED, "bundle")
    assert set(NEEDED) <= kept.keys()
    assert not {"imports", "initialize", "run", "evaluator"} & kept.keys()


def test_another_network_of_monai_with_plain_settings_passes(tmp_path: Path) -> None:
    from monai.networks.nets import SegResNet

    settings: dict[str, Any] = {"spatial_dims": 3, "init_filters": 8, "in_channels": 1, "out_channels": CHANNEL_COUNT}
    changes = {"network_def": {"_target_": "monai.networks.nets.SegResNet", **settings}, "roi": [32, 32, 32]}
    bundle = bundle_of(tmp_path / "bundle", SegResNet(**settings).state_dict(), changes)
    assert isinstance(load_model(bundle).network, SegResNet)


def test_an_expression_of_the_list_may_be_spaced_otherwise_and_take_elements() -> None:
    config = {"network": "$torch.device('cuda'  if torch.cuda.is_available()\n else 'cpu')", "device": "$@roi[0]"}
    assert harmless(config, NEEDED, "bundle") == config


def test_a_config_that_holds_itself_is_refused(tmp_path: Path) -> None:
    bundle = random_unetr_bundle(tmp_path / "bundle")
    with (bundle / "configs" / "changes.yaml").open("a", encoding="utf-8") as file:
        file.write("images: &a [*a]\n")
    with pytest.raises(SegmentationError, match="changes.yaml"):
        load_model(bundle)


def test_every_class_of_the_list_is_the_one_of_monai_that_it_says() -> None:
    locator = ComponentLocator()
    for name, package in TARGETS.items():
        assert locator.get_component_module_name(name) == getattr(importlib.import_module(package), name).__module__


def test_the_security_document_lists_what_passes() -> None:
    text = (SHIPPED.parent / "docs" / "security.md").read_text(encoding="utf-8")
    assert [one for one in sorted(EXPRESSIONS) + sorted(TARGETS) if f"`{one}`" not in text] == []
