"""Run docs/training.md from its first command to its last, on a tiny network and coarse phantoms."""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import jsonschema
import pydicom
import pytest

from bundle.scripts import load_checkpoint
from operators.core import anatomy
from operators.core.nrrd_files import read_volume, write_segmentation
from operators.core.output_folder import OUTPUT_FILES
from operators.core.volume import Volume
from operators.segmentation import load_model
from phantom.anatomy import build_labels, fit_body
from phantom.participant import draw_participant
from sarcomap.__main__ import main as sarcomap
from tests.app.made_study import SEED, scan
from tests.bundle.tiny import NETWORK, ROOT, bundle_command, write_pairs

PAGE = ROOT / "docs" / "training.md"
SCHEMA = json.loads((ROOT / "operators" / "core" / "schema" / "report.schema.json").read_text(encoding="utf-8"))
SHORT = [
    "--epoch_length", "2", "--max_epochs", "1", "--val_interval", "1", "--batch_size", "1",
    "--random_transforms#0#num_samples", "1",
]  # fmt: skip
SET = [word for n, v in zip(NETWORK[::2], NETWORK[1::2], strict=True) for word in ("--set", f"{n[2:]}={v}")]


def documented_commands() -> list[list[str]]:
    """The words of each command in the page's bash blocks."""
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [words for block in blocks for line in block.splitlines() if (words := shlex.split(line, comments=True))]


def placed(words: Sequence[str], places: dict[str, Path]) -> list[str]:
    """The words with DIR, OUT and STUDY replaced by real paths."""
    return [str(places[top] / rest) if (top := word.partition("/")[0]) in places else word
            for word in words for rest in [word.partition("/")[2]]]  # fmt: skip


class Walk:
    """Run the page's commands, each chosen by its first words."""

    def __init__(self, folder: Path) -> None:
        self.places = {"DIR": folder / "DIR", "OUT": folder / "OUT", "STUDY": folder / "STUDY"}
        self.done: list[str] = []

    def run(self, words: Sequence[str]) -> None:
        words = placed(words, self.places)
        match words:
            case ["sarcomap", *rest]:
                more = {"release": SET, "check": ["--coarse"]}.get(rest[1], [])
                assert sarcomap([*rest, *more]) == 0
                if "--fuse-only" in rest:
                    self._annotate(self.places["DIR"] / "1000123")
            case ["python", "-m", "monai.bundle", *rest]:
                bundle_command([*rest, *NETWORK, *([] if "--weights" in words else SHORT)])
            case _:
                pytest.fail(f"a command that this test cannot run: {shlex.join(words)}")
        self.done.append(" ".join(word for word in words[:3] if "/" not in word))

    def _annotate(self, folder: Path) -> None:
        """Draw labels on the fused image roughly, as people do."""
        grid = read_volume(folder / "fused" / "water.nrrd").grid
        labels = build_labels(fit_body(draw_participant(SEED), 12.0, 2), grid)
        labels[labels == anatomy.by_name("piriformis").index] = 0  # nobody drew it
        write_segmentation(folder / "segmentation.seg.nrrd", Volume(labels, grid))


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """Run every command of the page in order."""
    folder = tmp_path_factory.mktemp("walk")
    walk = Walk(folder)
    scan().write_folder(walk.places["STUDY"])
    write_pairs(walk.places["DIR"], 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for words in documented_commands():
            walk.run(words)
    return walk


def outputs_that_say_synthetic(out: Path) -> set[str]:
    """Files of a run that mention synthetic weights."""
    named = set()
    for name in ("report.json", "report.html"):
        text = (out / name).read_text(encoding="utf-8").lower().replace('"synthetic_training":', "")
        named |= {name} if "synthetic" in text else set()
    for name in ("segmentation.dcm", "report.sr.dcm"):
        dataset = pydicom.dcmread(out / name, stop_before_pixels=True)
        for keyword in ("SyntheticData", "StudyDescription", "PatientName"):  # the phantom's own, from its study
            delattr(dataset, keyword)
        named |= {name} if "synthetic" in str(dataset).lower() or "ContentQualification" in dataset else set()
    return named


@pytest.mark.slow
def test_the_page_goes_from_annotation_to_report(walk: Walk) -> None:
    assert walk.done == [
        "sarcomap run", "sarcomap bundle datalist", "python -m monai.bundle", "python -m monai.bundle",
        "sarcomap bundle release", "sarcomap bundle release", "sarcomap bundle check", "sarcomap run",
    ]  # fmt: skip


@pytest.mark.slow
def test_what_nobody_drew_is_not_trained_on(walk: Walk) -> None:
    entries = json.loads((walk.places["DIR"] / "datalist.json").read_text(encoding="utf-8"))["training"]
    drawn = {entry["participant"]: entry["annotated"] for entry in entries}
    assert set(drawn) == {"000000", "000001", "1000123"}
    assert "piriformis" not in drawn["1000123"] and "piriformis" in drawn["000000"]


@pytest.mark.slow
def test_the_bundle_has_the_trained_weights_and_the_evaluated_figures(walk: Walk) -> None:
    out = walk.places["OUT"]
    trained = load_checkpoint(out / "checkpoints" / "best.pt")
    model = load_model(out / "bundle")
    assert model.card.name == "thigh_unetr" and not model.card.synthetic_training
    assert all(
        (trained.get("network", trained)[name] == v.cpu()).all() for name, v in model.network.state_dict().items()
    )
    with (out / "metrics" / "by_structure.csv").open(newline="", encoding="utf-8") as file:
        mean = next(row for row in csv.DictReader(file) if row["structure"] == "mean over structures")
    card = json.loads((out / "bundle" / "models" / "shipped.json").read_text(encoding="utf-8"))
    assert card["held_out_mean_dice"] == round(float(mean["dice"]), 3)
    text = (out / "bundle" / "docs" / "README.md").read_text(encoding="utf-8")
    assert f"**{float(mean['dice']):.3f}**" in text and "No figures" not in text
    assert "No figures were given" in (out / "bundle-mirror" / "docs" / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_every_output_says_what_the_card_says(walk: Walk, kind: str, tmp_path: Path) -> None:
    if kind == "real":
        out = walk.places["OUT"] / "study"
    else:
        words = next(words for words in documented_commands() if words[2] == "release")
        words = [
            "--synthetic" if word == "--real" else word.replace("OUT/bundle", str(tmp_path / "b")) for word in words
        ]
        walk.run(words)
        out = tmp_path / "study"
        walk.run(["sarcomap", "run", "STUDY", "-m", str(tmp_path / "b"), "-o", str(out)])
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    jsonschema.validate(report, SCHEMA)
    assert all((out / name).is_file() for name in OUTPUT_FILES)
    assert report["model"]["training_data"] == "Dixon MRI of 30 volunteers, annotated by two radiographers."
    assert report["model"]["intended_use"] == "Research on muscle volumes. Not for diagnosis."
    assert report["model"]["synthetic_training"] is (kind == "synthetic")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "thigh_unetr" in page and "Demonstration" not in page
    banner = "thigh_unetr 1.0.0, trained on synthetic images, not validated on people: not for clinical use"
    assert (banner in page) is (kind == "synthetic")
    expected = {"report.html", "segmentation.dcm", "report.sr.dcm"} if kind == "synthetic" else set()
    assert outputs_that_say_synthetic(out) == expected


def test_the_page_names_every_segment() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [s.display_name for s in anatomy.STRUCTURES if s.display_name not in text] == []
    for path in re.findall(r"`((?:bundle|docs|tests)/[\w./]+)`", text):
        assert (ROOT / path).exists() or path == "docs/data_license.txt", path
