"""Options of ``python -m monai.bundle run`` that no config has are refused before the work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bundle.scripts import refuse_unknown_keys
from operators.core.errors import UsageError

ROOT = Path(__file__).parents[2]
CONFIGS = "['bundle/configs/train.yaml','bundle/configs/demo.yaml']"


def line(*options: str) -> list[str]:
    return ["/some/where/monai/bundle/__main__.py", "run", "--config_file", CONFIGS, *options]


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(
    "options",
    [
        ("--learning_rate", "1e-3"),
        ("--learning-rate=1e-3",),  # Fire takes hyphens for underscores
        ("--network_def#feature_size", "8"),
        ("--network_def::feature_size", "8"),
        ("--seed", "-1"),
        ("--run_id", "run", "--logging_file", "bundle/configs/logging.conf"),
        ("--amp",),
        ("--start", "@roi"),
        ("--seed", "1", "--", "--trace"),
        ("--noamp",),  # Fire's way to say false
        (
            "--tracking",
            "mlflow",
            "--experiment_name",
            "mine",
            "--tracking_uri=sqlite:///runs.db",
            "--run_name",
            "first",
        ),
        ("--workflow_type", "train", "--finalize", "$print('done')"),
        ("--rate_of_mine", "1e-3", "--learning_rate", "$@rate_of_mine / 2"),
    ],
)
def test_keys_of_the_configs_and_options_of_monai_are_accepted(options: tuple[str, ...]) -> None:
    refuse_unknown_keys(line(*options))


@pytest.mark.parametrize(
    ("options", "nearest"),
    [
        (("--learing_rate", "1e-3"), "--learning_rate"),
        (("--learing-rate=1e-3",), "--learning_rate"),
        (("--networkdef#feature_size", "8"), "--network_def"),
        (("--seed", "1", "--max_epoch", "3"), "--max_epochs"),
        (("--x-y-z", "1"), "a key of these configs"),
        (("--nompa",), "--amp"),
        (("--experiment_name", "mine"), "experiment_name"),  # without --tracking nothing reads it
        (("--rate", "1e-3", "--learning_rate", "$@rates / 2"), "rate"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(options: tuple[str, ...], nearest: str) -> None:
    with pytest.raises(UsageError, match=nearest):
        refuse_unknown_keys(line(*options))


def test_a_key_of_a_later_config_is_known_only_with_that_config() -> None:
    option = ("--distributed_backend", "gloo")
    with pytest.raises(UsageError, match="distributed_backend"):
        refuse_unknown_keys(line(*option))
    one, two = "bundle/configs/train.yaml", "bundle/configs/multi_gpu_train.yaml"
    for with_it in (f"{one},{two}", f"[{one}, {two}]", f"['{one}','{two}']", f'("{one}", "{two}",)'):  # as Fire reads
        refuse_unknown_keys(["monai/bundle/__main__.py", "run", f"--config_file={with_it}", *option])


def test_keys_of_an_args_file_are_checked_too(tmp_path: Path) -> None:
    arguments = tmp_path / "arguments.json"
    given = {"config_file": "bundle/configs/train.yaml", "max_epochs": 3}
    arguments.write_text(json.dumps(given))
    refuse_unknown_keys(["monai/bundle/__main__.py", "run", "--args_file", str(arguments)])
    arguments.write_text(json.dumps({**given, "max_epoch": 3}))
    with pytest.raises(UsageError, match="--max_epochs"):
        refuse_unknown_keys(["monai/bundle/__main__.py", "run", "--args_file", str(arguments)])


def test_another_program_is_not_checked() -> None:
    refuse_unknown_keys(["pytest", "run", "--config_file", CONFIGS, "--learing_rate", "1e-3"])
    refuse_unknown_keys(["monai/bundle/__main__.py", "ckpt_export", "--config_file", CONFIGS, "--max_epoch", "1"])


def test_a_misspelt_option_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run"]
    command += ["--config_file", "bundle/configs/inference.yaml", "--datset_dir", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode != 0
    assert "option --datset_dir" in result.stderr
    assert "expected --dataset_dir" in result.stderr


@pytest.mark.parametrize(
    ("option", "nearest"),
    [
        ("--train#max_epoch", "--train#"),
        ("--train#trainer#max_epoch", "--train#trainer#max_epochs"),
        ("--train::trainer::max_epoch", "--train#trainer#max_epochs"),
        ("--network_def#feature_sizes", "--network_def#feature_size"),
        ("--random_transforms#0#num_sample", "--random_transforms#0#"),
        ("--optimizer#weight_decays", "--optimizer#weight_decay"),
        ("--validate#dataset#cache_rat", "--validate#dataset#cache_rate"),
        ("--save_best#save_dirs", None),  # hands further arguments on
        ("--train#trainer#_disabled_", None),
        ("--train#trainer#_desc_", None),
        ("--validate#dataset#cache_num", None),  # an argument that the configs do not set
        ("--validate#evaluator#key_val_metric#my_dice", None),  # a mapping that the evaluator gets
        ("--checkpoint_objects#mine", None),  # a mapping that others get as a whole
    ],
)
def test_a_nested_key_is_refused_unless_something_may_read_it(option: str, nearest: str | None) -> None:
    if nearest is None:
        refuse_unknown_keys(line(option, "1"))
    else:
        with pytest.raises(UsageError, match=nearest):
            refuse_unknown_keys(line(option, "1"))


def with_overlay(folder: Path, text: str, *options: str) -> list[str]:
    (folder / "mine.yaml").write_text(text)
    return [*line()[:2], "--config_file", f"['bundle/configs/train.yaml','{folder / 'mine.yaml'}']", *options]


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("max_epoch: 3", "max_epochs"),
        ("train#max_epoch: 3", "mine.yaml, key train#max_epoch"),
        ("network_def#feature_sizes: 8", "network_def#feature_size"),
        ("loss: {_target_: DiceCELoss, include_backgroud: false}", "loss#include_background"),
        ("random_transforms:\n- {_target_: RandFlipd, keys: image, prop: 0.5}", "random_transforms#0#prob"),
        ("optimizer#_target_: bundle.scripts.MuonAdamW", "optimizer#params"),  # an argument of the old target only
        ("rate_of_mine: 1", "rate_of_mine"),
    ],
)
def test_a_misspelt_key_of_a_config_laid_over_others_is_refused(tmp_path: Path, text: str, nearest: str) -> None:
    with pytest.raises(UsageError, match=nearest):
        refuse_unknown_keys(with_overlay(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "rate_of_mine: 1\nlearning_rate: $@rate_of_mine / 2",
        "mine: {rate: 1}\nlearning_rate: '@mine#rate'",
        "warmup_steps: 3  # of a config that is not given",
        "_note_: mine",
        "train#sampler#_desc_: mine\ntrain#trainer#decollate: true",
        "+imports: [$import math]",
        "validate#order: {_target_: SequentialSampler, data_source: 1}\nvalidate#dataloader#sampler: '@validate#order'",
        "loss: {_target_: a_package_that_is_absent.Loss, weight: 2}",
        "loss: {_target_: '$scripts.PartialLabelLoss', weight: 2}",
    ],
)
def test_keys_that_a_config_adds_for_use_are_accepted(tmp_path: Path, text: str) -> None:
    refuse_unknown_keys(with_overlay(tmp_path, text))


def test_a_key_that_a_config_leaves_to_the_command_line_is_accepted(tmp_path: Path) -> None:
    refuse_unknown_keys(with_overlay(tmp_path, "learning_rate: '@rate_of_mine'", "--rate_of_mine", "1e-3"))
    refuse_unknown_keys(with_overlay(tmp_path, "my_run: [$print(1)]", "--run_id", "my_run"))


@pytest.mark.parametrize(
    "names",
    [
        "train demo demo_coarse",
        "train demo demo_finetune demo_people demo_people_end overrides/muon demo_people_long overrides/on_device",
        "train demo evaluate",
        "train overrides/warmup_cosine overrides/percentile_intensity overrides/mirror overrides/water_fat",
        "train overrides/gradient_accumulation overrides/muon multi_gpu_train",
        "train demo overrides/on_device multi_gpu_train",
        "inference demo",
        "inference overrides/percentile_intensity overrides/water_fat",
    ],
)
def test_the_configs_of_the_bundle_are_accepted_over_each_other(names: str) -> None:
    files = ",".join(f"'bundle/configs/{name}.yaml'" for name in names.split())
    refuse_unknown_keys([*line()[:2], "--config_file", f"[{files}]"])
