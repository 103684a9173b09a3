"""The script that checks a GPU says so where there is none, and runs whole on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gpu_check
from benchmarks.gpu_setting import Part, Row
from operators.core.cuda_driver import driver_sees_device

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(driver_sees_device(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_has_a_code_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_check.main([]) == 2
    said = capsys.readouterr()
    assert "no NVIDIA GPU" in said.err and "--device cpu" in said.err and not said.out


def test_the_table_shows_what_is_wrong_what_was_missed_and_what_failed() -> None:
    rows = [
        Row("labels", "12%", "CPU", "99%", False, parity=True),
        Row("stage", "0.2 s", "MONAI 0.8 s", "0.3 s", True),
        Row("option", "1 ms"),
    ]
    result = {"machine": {"gpu": "a GPU"}, "rows": [row.as_record() for row in rows], "errors": {"x": "E: y"}}
    table = gpu_check._table(result | {"right": False})
    assert "## a GPU" in table and "| labels | 12% | CPU | 99% | NO |" in table
    assert "| 0.3 s | yes |" in table and "failed: x: E: y" in table and "SOMETHING IS WRONG" in table


def test_an_error_loses_only_its_own_step_and_what_was_found_is_written_at_once() -> None:
    kept: list[tuple[int, list[str]]] = []
    part = Part()
    part.keep = lambda: kept.append((len(part.rows), list(part.errors)))
    with part.step("first"):
        part.rows.append(Row("labels", "100%", ok=True, parity=True))
        raise RuntimeError("no memory\nand more")
    with part.step("second"):
        part.rows.append(Row("stage", "0.2 s"))
    assert kept == [(1, ["first"]), (2, ["first"])]
    result = gpu_check._result({"fusion": part, "first": part})
    assert result["errors"] == {"fusion: first": "RuntimeError: no memory", "first": "RuntimeError: no memory"}
    assert "and more" in result["tracebacks"]["first"] and not result["right"] and not result["wrong"]


@pytest.mark.slow
def test_the_whole_script_runs_on_the_cpu(tmp_path: Path) -> None:
    out, tables = tmp_path / "check.json", tmp_path / "profile.txt"
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_check", "--device", "cpu", "--out", str(out), "--profile", str(tables)],
        cwd=ROOT,
        env=os.environ | {"SARCOMAP_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    result = json.loads(out.read_text(encoding="utf-8"))
    assert result["right"] and not result["errors"] and result["small"]
    assert {"fusion", "labels", "training", "stage", "stream", "options"} == set(result["found"])
    assert result["part_s"].keys() >= {"fusion", "profile"} and "phantom" not in result["inputs_s"]
    steps = result["found"]["stage"]["fp32, parts"]["seconds"]
    assert steps["network"] > 0 and steps["network"] < 3 * steps["network, sums, interpolation and labels"]
    titles = [line for line in tables.read_text(encoding="utf-8").splitlines() if line.startswith("####")]
    assert len(titles) == 13 and "Self CPU" in tables.read_text(encoding="utf-8")
    checked = [row for row in result["rows"] if row["parity"]]
    assert len(checked) >= 8 and all(row["ok"] is True for row in checked)
    assert "window_ms" in result["found"]["options"]["eager"]
    assert "needs CUDA" in result["found"]["options"]["CUDA graph of eager"]["failed"]
    assert run.stdout.count("|---") >= 5 and "Every result is right." in run.stdout
