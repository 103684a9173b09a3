"""``python -m analysis``, run as a user runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from analysis.__main__ import main
from analysis.commands import commands
from analysis.definitions import AWGS2019
from analysis.options import Options
from analysis.supplement_files import has_word
from analysis.text_tables import format_p
from phantom.table import draw_cohort, write_cohort

_TABLES = [
    "age_groups",
    "associations",
    "concordance",
    "decline",
    "flow",
    "markers",
    "notes",
    "per_sd",
    "sensitivity",
    "sex_stratified",
    "survival",
    "table1",
    "trend",
]
_FIGURES = ["box_by_age", "concordance", "decline", "flow", "forest"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, draw_cohort(900, 5))
    return folder


@pytest.fixture(scope="module")
def results(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    assert main([*_inputs(data), "--out", str(out), "--quiet"]) == 0
    return out


def _inputs(data: Path) -> list[str]:
    return ["run", "--phenotypes", str(data / "phenotypes.csv"), "--participants", str(data / "participants.csv")]


def test_every_promised_file_is_written(results: Path) -> None:
    written = {path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()}
    expected = {f"tables/{name}.csv" for name in _TABLES} | {"report.html", "provenance.json", "options.yaml"}
    expected |= {f"figures/{name}.{kind}" for name in _FIGURES for kind in ("png", "svg")}
    printed = {*_TABLES, "structures"} - {"notes"}
    expected |= {f"tables/{name}.{kind}" for name in printed for kind in ("md", "tex")}
    expected |= {"methods.md", "strobe.md", "supplement.html", "supplement.tex"}
    expected |= {"supplement.docx"} if has_word() else set()
    assert written == expected


def test_the_supplement_has_every_printed_table_and_the_filled_checklist(results: Path) -> None:
    page = (results / "supplement.html").read_text()
    titles = re.findall(r"<h2>Table S(\d+)\. ([^<]+)</h2>", page)
    assert [int(number) for number, _ in titles] == list(range(1, len(_TABLES) + 2))  # structures and the checklist
    assert titles[-1][1] == "STROBE checklist" and "900 left" in page and "DeLong" in page
    assert (results / "supplement.tex").read_text().isascii()


def test_numbers_of_narrow_screens_keep_their_names(results: Path) -> None:
    """In a card, each number stands beside the head of its column."""
    page = (results / "report.html").read_text()
    assert '<td class="n" data-label="Adjusted OR (95% CI)">' in page
    assert len(re.findall(r"<td(?: class=.n.)? data-label=", page)) > 500
    for width, wide in re.findall(r'style="width:(\d+)px" alt="([^"]+)"', page):
        assert 500 <= int(width) <= 1080, wide


def test_the_page_is_self_contained_and_prints_no_nonsense(results: Path) -> None:
    page = (results / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:|\#)""", page)
    text = re.sub(r"data:image/png;base64,[^\"]+", "", page)
    assert not re.search(r"\b(nan|inf|None|NaN|undefined)\b", text)
    assert len(re.findall("data:image/png", page)) == len(_FIGURES)


def test_manuscript_tables_are_complete_and_escaped(results: Path) -> None:
    lines = [line for line in (results / "tables/associations.md").read_text().splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 15 and len({line.count("|") for line in lines}) == 1
    for path in (results / "tables").glob("*.tex"):
        body = [line for line in path.read_text().splitlines() if not line.startswith("% ")]
        rows = [line for line in body if line.endswith(r"\\")]
        assert re.findall(r"(?<!\\)%", "\n".join(body)) == [] and path.read_text().isascii(), path.name
        assert len({line.count("&") for line in rows}) == 1 and body[-1] == r"\end{tabular}", path.name
    assert r"$\pm$" in (results / "tables/table1.tex").read_text()


def test_synthetic_people_are_declared_at_the_top_of_the_page_and_in_every_figure(results: Path) -> None:
    page = (results / "report.html").read_text()
    assert page.index("Every participant is synthetic") < page.index("<h1>")
    assert "synthetic participants</h1>" in page
    for name in _FIGURES:
        assert "Synthetic data" in (results / "figures" / f"{name}.svg").read_text(), name


@pytest.mark.slow
def test_people_and_models_of_unknown_origin_are_not_called_synthetic(data: Path, tmp_path: Path) -> None:
    for name in ("participants", "phenotypes"):
        pd.read_csv(data / f"{name}.csv").drop(columns="synthetic").to_csv(tmp_path / f"{name}.csv", index=False)
    assert main([*_inputs(tmp_path), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    assert "ynthetic" not in (tmp_path / "out/report.html").read_text()
    images = (
        pd.read_csv(tmp_path / "phenotypes.csv")
        .copy()
        .assign(
            model_name="demo",
            model_training_data="Drawn shapes.",
            model_intended_use="Tests.",
            model_trained_on_synthetic=1.0,
        )
    )
    images.to_csv(tmp_path / "phenotypes.csv", index=False)
    assert main([*_inputs(tmp_path), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    page = (tmp_path / "out/report.html").read_text()
    assert "Volumes of 900 of 900 participants are those of demo. Drawn shapes. Tests." in page


@pytest.mark.slow
def test_without_dates_of_death_the_page_has_no_survival(data: Path, tmp_path: Path) -> None:
    people = pd.read_csv(data / "participants.csv").drop(columns=["death_date", "imaging_date", "censor_date"])
    people.head(300).to_csv(tmp_path / "people.csv", index=False)
    arguments = [*_inputs(data)[:-1], str(tmp_path / "people.csv"), "--out", str(tmp_path / "out"), "--quiet"]
    assert main(arguments) == 0
    assert 'id="survival"' not in (tmp_path / "out/report.html").read_text()
    assert pd.read_csv(tmp_path / "out/tables/survival.csv").empty


def test_the_page_carries_definitions_cut_offs_versions_hashes_and_seed(results: Path) -> None:
    page = (results / "report.html").read_text()
    made_from = json.loads((results / "provenance.json").read_text())
    for words in ("EWGSOP2", "27 kg (men), 16 kg (women)", "7.0 kg/m² (men), 5.5", "hamstrings", "Seed: none"):
        assert words.lower() in page.lower(), words
    for name, number in made_from["software"].items():
        assert f"{name} {number}" in page
    for source in made_from["inputs"].values():
        assert source["sha256"] in page


def test_no_table_holds_an_infinite_number(results: Path) -> None:
    for name in _TABLES:
        numbers = pd.read_csv(results / "tables" / f"{name}.csv").select_dtypes("number")
        assert not np.isinf(numbers.to_numpy(dtype=float)).any(), name


def test_figures_are_as_wide_as_a_journals_columns(results: Path) -> None:
    for name in _FIGURES:
        with Image.open(results / "figures" / f"{name}.png") as picture:
            assert 300 * 3 <= picture.width <= 300 * 7.3
            assert np.asarray(picture.convert("L")).std() > 5  # not blank


@pytest.mark.slow
def test_a_run_repeats_exactly_from_its_own_options(data: Path, results: Path, tmp_path: Path) -> None:
    assert main(["run", "--config", str(results / "options.yaml"), "--out", str(tmp_path), "--quiet"]) == 0
    for name in _TABLES:
        assert (tmp_path / "tables" / f"{name}.csv").read_bytes() == (results / "tables" / f"{name}.csv").read_bytes()
    assert (tmp_path / "figures/forest.svg").read_bytes() == (results / "figures/forest.svg").read_bytes()


def test_provenance_names_inputs_by_hash_and_software_by_version(data: Path, results: Path) -> None:
    made_from = json.loads((results / "provenance.json").read_text())
    expected = subprocess.run(["sha256sum", data / "phenotypes.csv"], capture_output=True, text=True).stdout.split()[0]
    assert made_from["inputs"]["phenotypes"]["sha256"] == expected
    assert made_from["software"]["pandas"] == version("pandas")
    assert made_from["participants_analysed"] == 900
    assert yaml.safe_load((results / "options.yaml").read_text()) == made_from["options"]


def test_options_change_what_they_name(data: Path, tmp_path: Path) -> None:
    extra = ["--adjust", "none", "--min-age", "60", "--cut-offs", "AWGS2019", "--fixed-cuts", "pa_ratio=0.41,0.48"]
    assert main([*_inputs(data), "--out", str(tmp_path), "--quiet", *extra]) == 0
    ratios = pd.read_csv(tmp_path / "tables/associations.csv")
    assert set(ratios["model"]) == {"crude"}
    assert set(ratios.loc[ratios["exposure"] == "pa_ratio", "low_cut"]) == {0.41}
    flow = pd.read_csv(tmp_path / "tables/flow.csv")
    assert flow["reason"].str.contains("younger than 60").any() and not flow["reason"].str.contains("covariate").any()
    assert "AWGS2019" in (tmp_path / "report.html").read_text()


def test_own_cut_offs_are_used_and_named(data: Path, tmp_path: Path) -> None:
    own = {"name": "mine", "grip_men_kg": 35.5, "grip_women_kg": 20, "almi_men": 7.26, "almi_women": 5.45}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(own))
    extra = ["--cut-offs", str(tmp_path / "mine.yaml"), "--min-age", "70", "--adjust", "none"]
    assert main([*_inputs(data), "--out", str(tmp_path / "out"), "--quiet", *extra]) == 0
    page = (tmp_path / "out/report.html").read_text()
    assert "below 35.5 kg (men), 20 kg (women)" in page and "mine: given by the user" in page
    people = pd.read_csv(data / "participants.csv").query("sex == 'M' and age >= 70")
    weak = (people[["grip_left_kg", "grip_right_kg"]].max(axis=1) < 35.5).sum()
    counted = pd.read_csv(tmp_path / "out/tables/table1.csv").set_index("variable").loc["weak_grip", "men_first"]
    assert 0.85 * weak < counted <= weak  # a few lack a measurement


@pytest.mark.parametrize("sex", ["M", "F"])
@pytest.mark.slow
def test_one_sex_alone_is_analysed(sex: str, data: Path, tmp_path: Path) -> None:
    people = pd.read_csv(data / "participants.csv")
    people[people["sex"] == sex].head(300).to_csv(tmp_path / "one.csv", index=False)
    arguments = [*_inputs(data)[:-1], str(tmp_path / "one.csv"), "--out", str(tmp_path / "out"), "--quiet"]
    assert main(arguments) == 0
    ratios = pd.read_csv(tmp_path / "out/tables/associations.csv")
    adjusted = ratios[ratios["model"] == "adjusted"]
    assert adjusted["note"].str.contains("sex=M is constant: dropped").all()
    assert adjusted["odds_ratio"].notna().any()


@pytest.mark.parametrize(
    ("extra", "code", "says"),
    [
        (["--cut-offs", "nonsense"], 2, "EWGSOP2, AWGS2019 or a YAML file"),
        (["--adjust", "age,shoe_size"], 3, "no column shoe_size"),
        (["--fixed-cuts", "pa_ratio"], 2, "expected NAME=LOW,HIGH"),
        (["--fields", "absent.yaml"], 2, "absent.yaml"),
        (["--fixed-cuts", "pa_ratio=0.5,0.4"], 2, "the lower one first"),
        (["--fixed-cuts", "pa=0.4,0.5"], 2, "one of pa_ratio"),
        (["--paper", "--full"], 2, "--full: given with --paper"),
        (["--read-as", "smoking=text"], 2, "NAME=factor or NAME=number"),
        (["--outcomes", "falls", "--adjust", "falls"], 2, "falls is also an exposure or a covariate"),
        (["--exposures", "shoe_size"], 3, "no column shoe_size; expected every column of --exposures"),
        (["--withdrawn", "absent.txt"], 2, "absent.txt: no such file"),
        (["--censor-date", "May 2020"], 2, "--censor-date: Invalid isoformat"),
        (["--min-age", "-1"], 2, "--min-age: -1; expected years, 0 or more"),
    ],
)
def test_a_wrong_option_is_one_line_and_an_exit_code(
    extra: list[str], code: int, says: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*_inputs(data), "--out", str(tmp_path / "out"), "--quiet", *extra]) == code
    error = capsys.readouterr().err
    assert says in error and error.startswith("error: ") and "Traceback" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "--phenotyps", "p.csv"], 2, "--phenotypes is missing; is --phenotyps meant for it?"),
        (["rnu"], 2, 'Did you mean "run"'),
        (["run", "--phenotypes", "absent.csv", "--participants", "absent.csv", "--out", "out"], 3, "no such file"),
        (["collect", "absent", "--out", "out.csv"], 3, "no such folder"),
        (["collect", ".", "--out", "out.xlsx"], 2, ".csv, .tsv or .parquet"),
        (["collect", ".", "--out", "file/out.csv"], 5, "file is not a folder"),
        (["audit", "absent.csv"], 3, "no such file"),
        (["audit", "example", "--out", "."], 2, "ending nothing"),
    ],
)
def test_wrong_words_and_paths_are_refused_before_pandas_is_imported(
    arguments: list[str], code: int, says: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    script = (
        "import sys\n"
        "from analysis.__main__ import main\n"
        "code = main(sys.argv[1:])\n"
        "assert not {'pandas', 'numpy', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    assert says in lines[0] and lines[0].startswith("error: ")
    assert len(lines) == (2 if "--help" in done.stderr else 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("min_agee: 40", "options.yaml: option min_agee; expected one of adjust"),
        ("min_agee: 40", "Did you mean min_age?"),
        ("min_age: old", "min_age"),
        ("fixed_cuts: {pa_ratio: [0.5, 0.4]}", "--fixed-cuts: 0.5 and 0.4"),
        ("cut_offs: {name: mine}", "--cut-offs: not complete"),
        ("- min_age", "not a mapping of options"),
        ("min_age: [", "not readable"),
    ],
)
def test_a_wrong_configuration_is_named(
    text: str, says: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "options.yaml").write_text(text)
    given = [*_inputs(data), "--out", str(tmp_path / "out"), "--config", str(tmp_path / "options.yaml")]
    assert main(given) == 2
    assert says in capsys.readouterr().err


def test_options_written_to_yaml_are_read_back_and_the_command_line_wins(tmp_path: Path) -> None:
    written = Options(
        Path("p.csv"),
        Path("q.csv"),
        Path("out"),
        adjust=(),
        min_age=60,
        cut_offs=AWGS2019,
        fields=Path("fields.yaml"),
        fixed_cuts={"pa_ratio": (0.41, 0.48)},
        censor_date="2020-05-01",
        exposures=("pa_ratio", "tmv_cm3"),
        interactions=("bmi",),
        read_as={"smoking": ["factor", "-3"]},
        instance=3,
        full=True,
    )
    (tmp_path / "options.yaml").write_text(yaml.safe_dump(written.as_plain()))
    arguments = ["run", "--config", str(tmp_path / "options.yaml")]
    assert commands("analysis").parse_args(arguments)[1].arguments["options"] == written
    more = [*arguments, "--min-age", "70", "--adjust", "age,sex", "--out", "again"]
    read = commands("analysis").parse_args(more)[1].arguments["options"]
    assert read == replace(written, min_age=70, adjust=("age", "sex"), out=Path("again"))


def test_it_runs_as_a_module_and_shows_examples() -> None:
    done = subprocess.run([sys.executable, "-m", "analysis", "run", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "Examples:" in done.stdout and "report.html" in done.stdout


def test_the_analysis_does_without_the_imaging_code() -> None:
    script = (
        "import sys, analysis, analysis.__main__\n"
        "heavy = {'torch', 'monai', 'pydicom', 'holoscan', 'numba', 'phantom', 'app', 'bundle'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert not [name for name in sys.modules if name.startswith('operators')]"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("p", "text"), [(0.0404, "0.040"), (3.2e-5, "3e−5"), (0.0, "<1e−300"), (float("nan"), "–")])
def test_p_values_are_never_printed_as_zero(p: float, text: str) -> None:
    assert format_p(p) == text
