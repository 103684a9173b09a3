"""The how-to pages: what they name exists, and the code that they give to paste works."""

from __future__ import annotations

import csv
import re
import shlex
import subprocess
import textwrap
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import yaml

from analysis.fields import read_fields
from operators.core.anatomy import ADIPOSE_INDEX, CHANNEL_COUNT, LABELS, Compartment, Tissue, by_name
from operators.core.label_schemes import load_scheme
from operators.core.phenotypes import PHENOTYPES, Phenotype, registry
from operators.core.report_schema import report_schema
from operators.core.volume import Volume
from operators.dicom_loader import codecs
from operators.phenotype_report import measure
from tests import box_body
from tests.dicom_loader import test_loader_encodings
from tests.project.test_commands_page import FLAG, help_of, subcommands

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "howto"
PAGES = sorted(FOLDER.glob("*.md"))
WORD = re.compile(r"[A-Za-z_]\w+")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)


def blocks(page: str | Path, language: str) -> list[str]:
    """Code blocks of one language, without their indentation."""
    text = (FOLDER / page).read_text(encoding="utf-8")
    return [textwrap.dedent(found) for found in re.findall(rf"^ *```{language}\n(.*?)^ *```", text, flags=re.M | re.S)]


def prose(page: Path) -> str:
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


@pytest.fixture(scope="module")
def words() -> set[str]:
    """Every word of the tracked code and tables; documents and this test do not count."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: the tracked files are not known")
    chosen = [
        ROOT / path for path in listed.stdout.splitlines() if Path(path).suffix in (".py", ".yaml", ".csv", ".json")
    ]
    texts = (path.read_text(encoding="utf-8") for path in chosen if path.is_file() and path != Path(__file__))
    return {word for text in texts for word in WORD.findall(text)} | set(dir(imagecodecs))


def test_there_are_five_pages_that_say_what_they_take() -> None:
    assert len(PAGES) == 5
    for page in PAGES:
        assert re.search(r"\*\*\d files?\b[^*]*about \d+\s+minutes", page.read_text(encoding="utf-8")), page.name


@each_page
def test_every_name_in_a_page_exists_or_is_what_it_adds(page: Path, words: set[str]) -> None:
    text = page.read_text(encoding="utf-8")
    added = set(WORD.findall(" ".join(re.findall(r"^ *```.*?^ *```", text, flags=re.M | re.S))))
    # A span of letters only may be a word of English; one with an underscore or a capital inside is a name.
    spans = [word for span in re.findall(r"`([^`\n]+)`", prose(page)) for word in WORD.findall(span)]
    unknown = {word for word in spans if word not in words and word not in added}
    assert unknown <= {"QUADRATUS_FEM", "dataset", "private", "thigh_net"}


@each_page
def test_a_name_that_a_page_places_in_a_file_is_there(page: Path) -> None:
    placed = re.findall(r"`(\w+)`(?: there)? (?:in|of)\s+\[[^\]]+\]\(([^)#]+)\)", prose(page))
    for name, target in placed:
        assert re.search(rf"\b{name}\b", (FOLDER / target).read_text(encoding="utf-8")), f"{name} in {target}"


@each_page
def test_every_command_of_a_page_can_be_run(page: Path) -> None:
    for line in "".join(blocks(page, "bash")).splitlines():
        program, *arguments = shlex.split(line)
        if program == "sarcomap":
            command = arguments[:2] if arguments[1] in subcommands(arguments[0]) else arguments[:1]
            for flag in FLAG.findall(" ".join(arguments)):
                assert re.search(rf"{flag}(?![\w-])", help_of(*command)), f"{flag} in: {line}"
        elif arguments[:2] == ["-m", "pytest"]:
            paths = [word for word in arguments if word.startswith("tests/")]
            assert paths and all((ROOT / path).exists() for path in paths), line
        elif arguments[0] == "-m":
            assert (ROOT / (arguments[1].replace(".", "/") + ".py")).is_file(), line
        else:
            compile(arguments[arguments.index("-c") + 1], line, "exec")


def test_the_phenotype_is_computed_and_in_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    entry, test = blocks("add-a-phenotype.md", "python")
    phenotype = eval(entry, vars(registry))
    assert isinstance(phenotype, Phenotype)
    monkeypatch.setitem(PHENOTYPES, phenotype.key, phenotype)
    assert phenotype.key in report_schema()["properties"]["phenotypes"]["required"]
    names = {"box_body": box_body, "CM3": 0.2, "pytest": pytest, "measured": measured}
    exec(test, names)
    names["test_adductors_are_magnus_longus_and_brevis"]()  # type: ignore[operator]


def measured(left_scale: float) -> object:
    labels, _ = box_body.box_labels(left_scale)
    fused = box_body.fused_of(box_body.grid())
    return measure(Volume(labels, fused.grid), fused, 1.7)


def test_the_compression_is_the_one_that_was_added_and_decodes_what_the_encoder_makes() -> None:
    entry, encoder = blocks("add-a-compression.md", "python")
    uids = re.findall(r"`(from pydicom.uid import [^`]+)`", prose(FOLDER / "add-a-compression.md"))
    names = dict(vars(codecs))
    exec(uids[0], names)
    codec = eval(entry, names)
    ((syntax, encode),) = eval(f"{{{encoder}}}", vars(test_loader_encodings)).items()
    added = next(known for known in codecs.CODECS if known.name == codec.name)
    assert (codec.syntaxes, codec.stated_shape, codec.end) == (added.syntaxes, added.stated_shape, added.end)
    assert syntax in codec.syntaxes and syntax in test_loader_encodings.ENCODERS
    image = np.arange(40 * 48, dtype=np.uint16).reshape(40, 48)
    for decode in (codec.decode, added.decode):
        np.testing.assert_array_equal(decode(bytes(encode(image))), image)


def test_the_scheme_loads(tmp_path: Path) -> None:
    (text,) = blocks("add-a-label-scheme.md", "yaml")
    path = tmp_path / "thigh_net.yaml"
    path.write_text(text, encoding="utf-8")
    scheme = load_scheme(str(path))
    assert scheme.targets()["gracilis_left"] == by_name("gracilis").index
    assert set(scheme.groups["hamstrings"][0]) == {"semimembranosus", "semitendinosus", "biceps_femoris"}


def test_the_outcome_is_derived_from_its_column(tmp_path: Path) -> None:
    (column,) = blocks("add-an-outcome.md", "yaml")
    (tmp_path / "fields.yaml").write_text(column, encoding="utf-8")
    field = read_fields(tmp_path / "fields.yaml")["walking_pace"]
    assert field.codes["1"] == "slow" and field.codes["-3"] == "missing"
    formula, name, _ = blocks("add-an-outcome.md", "python")
    assert yaml.safe_load("{" + name.strip().rstrip(",") + "}") == {"slow_gait": "Slow usual gait"}
    names = {"out": pd.DataFrame({"walking_pace": pd.Series(["slow", "brisk", pd.NA], dtype="string")})}
    exec(formula, names)
    np.testing.assert_array_equal(names["out"]["slow_gait"], [1.0, 0.0, np.nan])


def test_the_structures_row_fits_into_the_table() -> None:
    rows, part = blocks("add-a-structure.md", "csv")
    header = (ROOT / "operators/core/anatomy/structures.csv").read_text(encoding="utf-8").splitlines()[0]
    added, adipose = csv.DictReader([header, *rows.splitlines()])
    assert (int(added["index"]), int(adipose["index"])) == (ADIPOSE_INDEX, CHANNEL_COUNT)
    assert Compartment(added["compartment"]) and Tissue(added["tissue"])
    assert added["name"] not in {s.name for s in LABELS}
    colours = {s.colour_rgb for s in LABELS}
    assert tuple(int(added[c]) for c in ("red", "green", "blue")) not in colours
    parts = (ROOT / "phantom/centre_lines.csv").read_text(encoding="utf-8")
    assert parts.count("other_bone,tibia,") == 4 and part.startswith("tibia,")
