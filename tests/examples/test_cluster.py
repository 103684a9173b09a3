"""The recipes for clusters: they are well-formed, and the options that they use exist."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

from app.cohort.tables import _COLUMNS
from sarcomap.__main__ import main

FOLDER = Path(__file__).parents[2] / "examples" / "cluster"
RECIPES = sorted(path for path in FOLDER.iterdir() if path.is_file())
ARRAY = FOLDER / "slurm_array.sh"


@cache
def help_of(command: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        assert main(["cohort", command, "--help"]) == 0
    return shown.getvalue()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_every_option_of_sarcomap_in_a_recipe_exists(recipe: Path) -> None:
    text = re.sub(r"\\\n\s*", " ", recipe.read_text(encoding="utf-8"))
    # YAML and Python write a command as a list of words.
    text = re.sub(r'", "|, "|", |(?<=\w), (?=\w|/|-)', " ", text).replace('"', " ")
    for command, words in re.findall(r"\bcohort (run|collect|status)\b([^\n#]*)", text):
        for flag in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", words):
            assert re.search(rf"(?<![\w-]){flag}(?![\w-])", help_of(command)), f"{flag} in {recipe.name}"


def array(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    return subprocess.run(
        ["bash", ARRAY, *arguments], capture_output=True, text=True, check=False, env=clean | variables
    )


def test_a_job_of_an_array_runs_its_part(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "sarcomap"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    variables = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MAX": "200", "SLURM_CPUS_PER_TASK": "4"}
    done = array("in put", "out", "--keep", "minimal", SARCOMAP_ENVIRONMENT=str(tmp_path), **variables)
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()
    assert words[:5] == ["cohort", "run", "in put", "-o", "out"] and words[-2:] == ["--keep", "minimal"]
    assert words[words.index("--shard") + 1] == "7/200" and words[words.index("--workers") + 1] == "4"

    some = variables | {"SLURM_ARRAY_TASK_COUNT": "2", "SARCOMAP_ENVIRONMENT": str(tmp_path)}
    refused = array("in", "out", **some)  # --array=7,200 would make this the 7th of 200 parts, or of 2, or of 42
    assert refused.returncode == 2 and "SARCOMAP_SHARDS" in refused.stderr
    assert "7/300" in array("in", "out", **some, SARCOMAP_SHARDS="300").stdout.splitlines()


def test_slurm_signals_the_script_and_not_steps_that_do_not_exist() -> None:
    assert re.search(r"^#SBATCH --signal=B:TERM@\d+$", ARRAY.read_text(), re.MULTILINE)


def test_the_workflow_lists_what_it_had_no_time_for(tmp_path: Path) -> None:
    command = (FOLDER / "sarcomap_cohort.wdl").read_text().split("command <<<")[1].split(">>>")[0]
    zips = [tmp_path / f"{n}_20201_2_0.zip" for n in (1, 2)]
    for one in zips:
        one.touch()
    (tmp_path / "zips.txt").write_text("".join(f"{one}\n" for one in zips))
    program = tmp_path / "bin" / "sarcomap"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\nmkdir -p cohort/ledger cohort/studies/1_2\necho {} > cohort/studies/1_2/report.json\n"
        'echo \'{"input":{"path":"/in/1_20201_2_0.zip"}}\' > cohort/ledger/a.jsonl\nexit $CODE\n'
    )
    program.chmod(0o755)
    for old, new in (("~{write_lines(zips)}", "zips.txt"), ('~{default="" model_tar}', ""), ("~{cores}", "1")):
        command = command.replace(old, new)
    command = command.replace("~{keep}", "minimal").replace("~{minutes}", "1")

    def run(code: str) -> int:
        for folder in ("inputs", "cohort"):
            shutil.rmtree(tmp_path / folder, ignore_errors=True)
        where = {"PATH": f"{program.parent}:{os.environ['PATH']}", "CODE": code}
        return subprocess.run(["bash", "-c", command], cwd=tmp_path, env=where, check=False).returncode

    assert run("75") == 0
    header, row = (tmp_path / "failures.csv").read_text().splitlines()
    assert header == ",".join(_COLUMNS) and len(row.split(",")) == len(_COLUMNS)
    assert row.endswith("inputs/2_20201_2_0.zip") and "not begun" in row
    assert run("5") == 5  # a full disk


def test_a_job_that_is_no_array_is_refused() -> None:
    assert array("in", "out").returncode == 2
    assert "usage" in array("in", SLURM_ARRAY_TASK_ID="1").stderr


def test_the_builder_gets_every_package_that_is_installed() -> None:
    root = FOLDER.parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    sent = {line.removeprefix("!") for line in (root / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert "COPY . /src" in (FOLDER / "Dockerfile").read_text() and packages <= sent


def test_containers_run_without_privileges_and_show_nothing_to_other_machines() -> None:
    compose = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    for service in compose["services"].values():
        assert service["cap_drop"] == ["ALL"] and service["read_only"] is True
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert compose["services"]["worker"]["deploy"]["replicas"] == 2
    for document in yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text()):
        pods = [document["spec"].get("template", {}).get("spec"), document["spec"].get("worker", {}).get("spec")]
        for pod in filter(None, pods):
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert [one["securityContext"]["readOnlyRootFilesystem"] for one in pod["containers"]] == [True]


def test_inputs_of_the_platform_are_those_of_the_workflow() -> None:
    inputs = json.loads((FOLDER / "sarcomap_cohort.inputs.json").read_text())
    workflow = (FOLDER / "sarcomap_cohort.wdl").read_text().split("scatter")[0]
    for name in inputs:
        assert re.search(rf"\b{name.removeprefix('sarcomap_cohort.')}\b", workflow), name


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    subprocess.run(["shellcheck", ARRAY], check=True)


def test_miniwdl_finds_nothing() -> None:
    wdl = pytest.importorskip("WDL", reason="miniwdl is not installed")
    document = wdl.load(str(FOLDER / "sarcomap_cohort.wdl"))
    assert document.workflow.name == "sarcomap_cohort" and len(document.tasks) == 2
