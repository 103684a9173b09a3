"""Every command in bundle/docs/README.md runs; the commands are read from the text."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from bundle.scripts import checkpoints as checkpoints_command
from bundle.scripts import datalist as datalist_command
from bundle.scripts import latest_checkpoint
from bundle.scripts import metrics as metrics_command
from operators.core import anatomy
from tests.bundle.tiny import NETWORK, ROOT, bundle_command, write_weights

README = ROOT / "bundle" / "docs" / "README.md"
SHORT = [
    "--epoch_length", "2", "--max_epochs", "1", "--val_interval", "1", "--batch_size", "1", "--validation_count", "1",
    "--random_transforms#0#num_samples", "1",
]  # fmt: skip
SHAPE = ["--_meta_#network_data_format#inputs#image#spatial_shape", "[32,32,32]"]


def documented_commands() -> list[list[str]]:
    """The words of each command in the README's bash blocks."""
    commands = []
    for block in re.findall(r"^```bash\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                commands.append(words)
    return commands


BUNDLE = [words[3:] for words in documented_commands() if words[:3] == ["python", "-m", "monai.bundle"]]
SCRIPTS = [w[2:] for w in documented_commands() if w[:2] == ["python", "-m"] and w[2].startswith("bundle.scripts.")]
OTHERS = [w for w in documented_commands() if w[3:] not in BUNDLE and w[2:] not in SCRIPTS]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    path = tmp_path_factory.mktemp("weights") / "demo_unetr.pt"
    return path, write_weights(path, "inference.yaml", "demo.yaml")


def placed(words: list[str], pairs: Path, out: Path, weights: Path | None = None) -> list[str]:
    """The words with DIR, OUT and the shipped weights replaced by real paths."""
    found = []
    for word in words:
        parts = word.split("/", 1)
        if parts[0] in ("DIR", "OUT"):
            word = str(Path({"DIR": pairs, "OUT": out}[parts[0]], *parts[1:]))
        elif word == "bundle/models/demo_unetr.pt" and weights is not None:
            word = str(weights)
        found.append(word)
    return found


def name(words: list[str]) -> str:
    configs = re.findall(r"(\w+)\.yaml", " ".join(words))
    return "-".join([words[0], *configs, *(["datalist"] if "--datalist" in words else [])])


def test_the_readme_shows_every_kind_of_command() -> None:
    assert {words[0] for words in BUNDLE} == {
        "run", "verify_metadata", "verify_net_in_out", "ckpt_export", "onnx_export",
    }  # fmt: skip
    run = {tuple(re.findall(r"(\w+)\.yaml", " ".join(words))) for words in BUNDLE if words[0] == "run"}
    assert {("train",), ("train", "demo", "evaluate"), ("inference", "demo")} <= run
    assert {words[0] for words in SCRIPTS} == {
        "bundle.scripts.datalist", "bundle.scripts.metrics", "bundle.scripts.checkpoints",
    }  # fmt: skip


@pytest.mark.parametrize("words", BUNDLE, ids=name)
def test_bundle_command_runs(
    words: list[str],
    pairs: Path,
    weights: tuple[Path, torch.nn.Module],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    if "--datalist" in words:
        assert datalist_command.main([str(pairs), "--folds", "5"]) == 0
    path, network = weights
    text = " ".join(words)
    if words[0] == "verify_metadata":
        extra = []
    elif words[0] != "run":
        extra = [*NETWORK, *SHAPE]
    elif "evaluate.yaml" in text or "inference.yaml" in text:
        extra = [*NETWORK, "--weights", str(path)]
    else:
        extra = [*NETWORK, *SHORT]
        if "--ckpt_dir" not in words:
            extra += ["--ckpt_dir", str(tmp_path / "checkpoints"), "--output_dir", str(tmp_path / "log")]
    bundle_command([*placed(words, pairs, tmp_path, path), *extra])

    if words[0] == "onnx_export":
        image = torch.rand(1, 2, 32, 32, 32, generator=torch.Generator().manual_seed(0))  # water and fat
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
        (scores,) = session.run(["pred"], {"image": image.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(scores, network(image).numpy(), atol=1e-4)
    elif words[0] == "ckpt_export":
        image = torch.rand(1, 2, 32, 32, 32, generator=torch.Generator().manual_seed(0))  # water and fat
        with torch.no_grad():
            torch.testing.assert_close(torch.jit.load(str(tmp_path / "model.ts"))(image), network(image))
    elif words[0] == "run" and "evaluate.yaml" in text:
        assert (tmp_path / "by_structure.csv").read_text().count("\n") == 1 + len(anatomy.STRUCTURES) + 1
        assert (tmp_path / "metrics.png").stat().st_size > 20_000
    elif words[0] == "run" and "inference.yaml" in text:
        assert len(list(tmp_path.glob("*/water_labels.nii.gz"))) == 5
    elif words[0] == "run":
        assert latest_checkpoint(tmp_path / "checkpoints") is not None
        assert (tmp_path / "checkpoints" / "best.pt").is_file()
        assert list((tmp_path / "log").glob("events.out.tfevents*"))


@pytest.mark.parametrize("words", SCRIPTS, ids=lambda words: words[0].rpartition(".")[2])
def test_script_runs(words: list[str], pairs: Path, tmp_path: Path) -> None:
    commands: dict[str, Callable[[list[str]], int | None]] = {
        "bundle.scripts.datalist": datalist_command.main,
        "bundle.scripts.metrics": metrics_command.main,
        "bundle.scripts.checkpoints": checkpoints_command.main,
    }
    for labels in pairs.glob("*/segmentation.seg.nrrd"):  # for metrics: perfect ones
        (tmp_path / labels.parent.name).mkdir()
        shutil.copy(labels, tmp_path / labels.parent.name)
    (tmp_path / "checkpoints").mkdir()
    torch.save({"network": {"a": torch.ones(2)}}, tmp_path / "checkpoints" / "training_checkpoint_epoch=1.pt")
    assert not commands[words[0]](placed(words[1:], pairs, tmp_path))
    if words[0].endswith("metrics"):
        last = (tmp_path / "metrics" / "by_structure.csv").read_text().splitlines()[-1]
        assert last.startswith("annotated,mean over structures,,5,0,1.0000,1.0000,1.0000,")


def test_commands_that_are_not_run_here_name_files_that_are_there() -> None:
    for words in OTHERS:
        if words[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(words[2]) is not None
        for word in words:
            for path in re.findall(r"(?:bundle|benchmarks)/[\w./]+\.(?:py|sh|yaml)", word):
                assert (ROOT / path).is_file(), path
    assert {words[0] for words in OTHERS} <= {"torchrun", "tensorboard", "python", "WORK=/somewhere/outside/git"}


def test_metadata_is_verified_on_the_command_line_without_a_network() -> None:
    words = next(words for words in BUNDLE if words[0] == "verify_metadata")
    dead = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "monai.bundle", *words], cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | dead, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "metadata is verified with no error" in done.stdout + done.stderr
