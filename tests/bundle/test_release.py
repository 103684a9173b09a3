"""A release is a complete bundle that states what its maker stated, or nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from monai.bundle import ConfigParser

from bundle.scripts.metric_tables import write_tables
from bundle.scripts.release import release
from bundle.scripts.release_configs import CONFIGS
from bundle.scripts.segmentation_metrics import ParticipantScores, StructureScores
from bundle.scripts.training_settings import SETTINGS_FILE, record_settings
from operators.core.errors import InputError, OutputError, SarcoMapError, SegmentationError, UsageError
from operators.core.volume import Contrast
from operators.segmentation import load_model
from sarcomap.bundle_check import check
from sarcomap.bundle_commands import command as app
from tests.bundle.tiny import NETWORK, ROOT, write_weights

TRAIN = CONFIGS / "train.yaml"
SET = {name[2:]: yaml.safe_load(value) for name, value in zip(NETWORK[::2], NETWORK[1::2], strict=True)}
SAID: dict[str, Any] = {
    "name": "mine", "version": "1.0", "training_data": "Thirty people.", "intended_use": "Research.",
    "synthetic": False, "overrides": SET,
}  # fmt: skip


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a finished training of a network with one channel."""
    folder = tmp_path_factory.mktemp("checkpoints")
    network = write_weights(folder / "weights.pt", "train.yaml")
    torch.save({"network": network.state_dict(), "trainer": {"epoch": 3}}, folder / "training_checkpoint_epoch=3.pt")
    return folder / "training_checkpoint_epoch=3.pt"


def facts_of(bundle: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundle / "models" / "shipped.json").read_text(encoding="utf-8"))
    return found


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_bundle_is_complete_and_needs_no_trust(checkpoint: Path, tmp_path: Path) -> None:
    out = release(checkpoint, tmp_path / "mine", **SAID, verify=load_model)
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert files == {
        "LICENSE", "configs/inference.yaml", "configs/logging.conf", "configs/meta_schema_20240725.json",
        "configs/metadata.json", "configs/train.yaml", "configs/trained.yaml", "docs/README.md",
        "docs/data_license.txt", "models/shipped.json", "models/weights.pt",
    }  # fmt: skip
    shipped = facts_of(CONFIGS.parent)
    assert facts_of(out).keys() == shipped.keys() and facts_of(out)["can_lack"] == []
    model = load_model(out)
    stored = torch.load(checkpoint, weights_only=True)["network"]
    assert all(torch.equal(stored[name], value.cpu()) for name, value in model.network.state_dict().items())
    assert (model.card.name, model.card.version) == ("mine", "1.0")
    assert "No figures were given" in (out / "docs" / "README.md").read_text(encoding="utf-8")
    assert "Not stated" in (out / "docs" / "data_license.txt").read_text(encoding="utf-8")
    assert contents(tmp_path) == ["mine"]


@pytest.mark.parametrize("override", sorted(path.name for path in (CONFIGS / "overrides").glob("*.yaml")))
def test_a_network_sees_at_inference_what_it_saw_in_training(override: str, tmp_path: Path) -> None:
    configs = ["train.yaml", f"overrides/{override}"]
    write_weights(tmp_path / "w.pt", *configs)
    said = SAID | {"configs": [CONFIGS / name for name in configs]}
    model = load_model(release(tmp_path / "w.pt", tmp_path / "b", **said))
    trained = ConfigParser()
    trained.read_config([str(CONFIGS / name) for name in configs])
    for key, value in SET.items():
        trained[key] = value
    scale, spacing = model.preprocessing.transforms[-1], model.preprocessing.transforms[1]
    expected = trained.get_parsed_content("scale_intensity")
    assert type(scale) is type(expected)
    image = torch.rand(len(model.contrasts), 6, 6, 6, generator=torch.Generator().manual_seed(0)) * 600
    assert torch.allclose(scale({"image": image})["image"], expected({"image": image})["image"])
    assert list(spacing.spacing_transform.pixdim) == SET["spacing_mm"]  # type: ignore[attr-defined]
    assert model.contrasts == tuple(Contrast(Path(name).stem) for name in trained["images"])
    assert list(model.windows.roi) == SET["roi"]


def test_the_demo_networks_settings_are_kept(tmp_path: Path) -> None:
    write_weights(tmp_path / "w.pt", "train.yaml", "demo.yaml")
    said = SAID | {"configs": [TRAIN, CONFIGS / "demo.yaml", CONFIGS / "demo_finetune.yaml"]}
    model = load_model(release(tmp_path / "w.pt", tmp_path / "b", **said))
    shipped = load_model(CONFIGS.parent)
    assert model.probabilities and model.contrasts == shipped.contrasts
    ours, theirs = model.preprocessing.transforms, shipped.preprocessing.transforms
    assert [type(step) for step in ours] == [type(step) for step in theirs]
    assert vars(ours[2].scaler) == vars(theirs[2].scaler)  # type: ignore[attr-defined]


def test_the_training_config_is_kept_without_the_makers_folders(checkpoint: Path, tmp_path: Path) -> None:
    private = {"dataset_dir": "/home/anna/patients", "datalist": "/home/anna/list.json", "ckpt_dir": "/home/anna/c"}
    out = release(checkpoint, tmp_path / "b", **SAID | {"overrides": {**SET, **private, "learning_rate": 0.5}})
    text = "".join(path.read_text(encoding="utf-8") for path in out.rglob("*") if path.suffix in (".yaml", ".json"))
    assert "anna" not in text
    kept = yaml.safe_load((out / "configs" / "train.yaml").read_text(encoding="utf-8"))
    assert kept["learning_rate"] == 0.5 and kept["loss"]["_target_"] == "DiceCELoss"


def test_an_expression_that_gives_a_plain_value_is_written_out(checkpoint: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("intensity_window: '$[10.0 * 2, 500.0]'\ninferer#overlap: '$1 / 2'\n", encoding="utf-8")
    out = release(checkpoint, tmp_path / "b", **SAID | {"configs": [TRAIN, mine]}, verify=load_model)
    model = load_model(out)
    scaler = model.preprocessing.transforms[2].scaler  # type: ignore[attr-defined]
    assert (scaler.a_min, scaler.a_max) == (20.0, 500.0)
    assert model.windows.overlap == (0.5, 0.5, 0.5)


def score(dice: float) -> StructureScores:
    return StructureScores(dice, dice, dice, dice, 4.0, dice, 0.0)


def evaluation(folder: Path, *, weak: bool) -> Path:
    people = [ParticipantScores(name, {"femur": score(dice)}, weak) for name, dice in (("anna", 0.8), ("bert", 0.9))]
    write_tables(people, folder)
    return folder


def test_figures_are_those_of_the_evaluation_and_name_nobody(checkpoint: Path, tmp_path: Path) -> None:
    out = release(checkpoint, tmp_path / "b", **SAID, metrics=evaluation(tmp_path / "m", weak=False))
    assert facts_of(out)["held_out_mean_dice"] == 0.85
    metadata = json.loads((out / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert metadata["eval_metrics"] == {"mean_dice": 0.85}
    text = (out / "docs" / "README.md").read_text(encoding="utf-8")
    assert "| femur | 2 | 0 | 0.850 (0.800 to 0.900) | 4.0 |" in text
    tables = "".join(path.read_text(encoding="utf-8") for path in (out / "docs" / "evaluation").glob("*.csv"))
    assert "anna" not in tables and "\n1,annotated,femur,0.8" in tables and "\n2,annotated,femur,0.9" in tables


def test_agreement_with_another_program_is_not_called_accuracy(checkpoint: Path, tmp_path: Path) -> None:
    out = release(checkpoint, tmp_path / "b", **SAID, metrics=evaluation(tmp_path / "m", weak=True))
    assert facts_of(out)["held_out_mean_dice"] is None
    text = (out / "docs" / "README.md").read_text(encoding="utf-8")
    assert "not accuracy" in text and "Comparison with annotated participants" not in text


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


REFUSED: dict[str, tuple[type[SarcoMapError], str, Callable[[Path], dict[str, Any]]]] = {
    "no name": (UsageError, "--name", lambda _: {"name": "  "}),
    "a name too long for DICOM": (UsageError, "--name", lambda _: {"name": "n" * 65}),
    "no training data": (UsageError, "--training-data", lambda _: {"training_data": ""}),
    "a loss that is no number": (UsageError, "--bf16-dice-loss", lambda _: {"bf16_dice_loss": float("nan")}),
    "a range that is none": (UsageError, "--training-signal", lambda _: {"training_signal": (220.0, 230.0, 240.0)}),
    "configs of another network": (SegmentationError, "--set", lambda _: {"overrides": {**SET, "images": ["a", "b"]}}),
    "an image that it does not read": (UsageError, "--can-lack", lambda _: {"can_lack": ["gold"]}),
    "a config that is not there": (UsageError, "--config", lambda t: {"configs": [t / "no.yaml"]}),
    "no train.yaml": (UsageError, "--config", lambda _: {"configs": [CONFIGS / "overrides" / "mirror.yaml"]}),
    "another number of channels": (SegmentationError, "28", lambda _: {"overrides": {**SET, "channels_out": 28}}),
    "no evaluation": (InputError, "--metrics", lambda t: {"metrics": _empty(t / "m")}),
    "no licence file": (UsageError, "--data-license", lambda t: {"data_license": t / "no.txt"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_released_leaves_nothing(name: str, checkpoint: Path, tmp_path: Path) -> None:
    kind, named, changes = REFUSED[name]
    changed = changes(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(kind) as raised:
        release(checkpoint, tmp_path / "b", **SAID | changed)
    assert named in str(raised.value)
    assert contents(tmp_path) == before


def test_a_bundle_that_cannot_be_loaded_is_not_released(checkpoint: Path, tmp_path: Path) -> None:
    """`load_model` refuses configs that would run a program, and the release names the key."""
    mine = tmp_path / "mine.yaml"
    mine.write_text("inferer#sw_device: '$torch.device(\"cpu\", 0)'\n", encoding="utf-8")
    with pytest.raises(SegmentationError, match="inferer#sw_device"):
        release(checkpoint, tmp_path / "b", **SAID | {"configs": [TRAIN, mine]}, verify=load_model)
    assert contents(tmp_path) == ["mine.yaml"]


def test_a_folder_that_is_not_empty_is_left_alone(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    release(checkpoint, tmp_path / "b", **SAID)  # empty: fine
    before = contents(tmp_path / "b")
    with pytest.raises(OutputError, match="something in it"):
        release(checkpoint, tmp_path / "b", **SAID)
    assert contents(tmp_path / "b") == before


def test_settings_that_the_training_did_not_have_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    """The weights also fit a network with other voxels; only the training's own record shows the difference."""
    shutil.copy(checkpoint, tmp_path / "best.pt")
    record_settings(tmp_path, spacing_mm=[2.0, 2.0, 3.0], scaling="ScaleIntensityRanged")
    with pytest.raises(UsageError, match=r"spacing_mm.*2\.0, 2\.0, 3\.0"):
        release(tmp_path / "best.pt", tmp_path / "b", **SAID)
    percentiles = [TRAIN, CONFIGS / "overrides" / "percentile_intensity.yaml"]
    said = SAID | {"configs": percentiles, "overrides": SET | {"spacing_mm": [2.0, 2.0, 3.0]}}
    with pytest.raises(UsageError, match="scaling"):
        release(tmp_path / "best.pt", tmp_path / "b", **said)
    assert contents(tmp_path) == ["best.pt", SETTINGS_FILE]


@pytest.mark.parametrize("given", [[], ["--synthetic", "--real"]])
def test_the_maker_must_state_the_kind_of_training_data(given: list[str], checkpoint: Path, tmp_path: Path) -> None:
    words = ["release", str(checkpoint), "-o", str(tmp_path / "b"), "--name", "a", "--version", "1"]
    words += ["--training-data", "t", "--intended-use", "u", *given]
    with pytest.raises(UsageError, match="--synthetic or --real"):
        app(words, result_action="return_value")
    assert contents(tmp_path) == []


@pytest.mark.parametrize(
    "words",
    [
        ["datalist", "nowhere"],
        ["check", "nowhere"],
        ["release", "nowhere.pt", "-o", "b", "--name", "a", "--version", "1", "--training-data", "t",
         "--intended-use", "u", "--real"],
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_a_wrong_path_is_refused_before_torch_is_imported(words: list[str], tmp_path: Path) -> None:
    program = "import sys; from sarcomap.__main__ import main; code = main(sys.argv[1:]); "
    program += "sys.exit(99 if 'torch' in sys.modules else code)"
    done = subprocess.run(
        [sys.executable, "-c", program, "bundle", *words], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == (4 if words[0] == "check" else 3), done.stderr
    assert "nowhere" in done.stderr and contents(tmp_path) == []


@pytest.fixture(scope="session")
def released(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release(checkpoint, tmp_path_factory.mktemp("released") / "b", **SAID)


@pytest.mark.slow
def test_check_says_what_it_found(released: Path) -> None:
    found = check(released, coarse=True)
    assert found.card.name == "mine" and found.network == "UNETR" and found.contrasts == (Contrast.WATER,)
    assert 0 <= found.mean_dice < 0.2  # random weights
    assert found.true_tmv_cm3 == pytest.approx(9787, rel=0.05)  # the value at full resolution
    text = found.summary()
    assert "mine 1.0" in text and "Thirty people." in text and "none stated" in text
    assert f"{len(found.found)} of 27 structures" in text and "not how accurate" in text


@pytest.mark.parametrize(
    ("file", "change", "named"),
    [
        ("configs/metadata.json", {"version": "2.0"}, "version"),
        ("configs/metadata.json", {"task": 3}, "task|string"),
        ("configs/metadata.json", {"schema": "other.json"}, "schema|other.json"),
        ("models/shipped.json", {"sha256": "0" * 64}, "SHA-256"),
        ("models/shipped.json", {"weights": "models/none.pt"}, "none.pt"),
    ],
)
def test_check_names_what_is_wrong(released: Path, tmp_path: Path, file: str, change: dict, named: str) -> None:
    broken = shutil.copytree(released, tmp_path / "broken")
    content = json.loads((broken / file).read_text(encoding="utf-8"))
    (broken / file).write_text(json.dumps(content | change), encoding="utf-8")
    with pytest.raises(SegmentationError, match=named) as raised:
        check(broken, coarse=True)
    assert raised.value.exit_code == 4


@pytest.mark.slow
def test_check_runs_in_a_process_of_its_own(released: Path) -> None:
    # There MONAI is imported without what inference does not need, jsonschema among it.
    program = "import sys; from sarcomap.bundle_check import _verified_metadata as check; from pathlib import Path; "
    program += "print(check(Path(sys.argv[1]))['version'])"
    done = subprocess.run(
        [sys.executable, "-c", program, str(released)], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "1.0"
