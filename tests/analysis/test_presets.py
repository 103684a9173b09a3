"""``--paper`` and ``--full``, run as a user runs them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import main
from phantom.table import draw_cohort, write_cohort

_DEFAULT = {"age_groups", "associations", "concordance", "decline", "flow", "markers", "notes", "per_sd", "sensitivity",
            "sex_stratified", "survival", "table1", "trend"}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, draw_cohort(900, 5))
    return folder


def inputs(data: Path) -> list[str]:
    """Arguments of a run on the cohort."""
    return ["run", "--phenotypes", str(data / "phenotypes.csv"), "--participants", str(data / "participants.csv")]


@pytest.mark.slow
def test_full_makes_every_further_table_also_of_repeated_visits(data: Path, tmp_path: Path) -> None:
    first = pd.read_csv(data / "phenotypes.csv", dtype={"eid": str}).copy().assign(visit=2)
    noise = 1 + 0.01 * np.random.default_rng(1).normal(size=120)
    second = first.head(120).assign(visit=3)
    second["pa_ratio"], second["tmv_cm3"] = first["pa_ratio"].head(120) * noise, first["tmv_cm3"].head(120)
    second = second.drop(columns=["hamstrings_cm3", "quadriceps_cm3"])
    pd.concat([first, second]).to_csv(tmp_path / "phenotypes.csv", index=False)
    arguments = [*inputs(data)[:2], str(tmp_path / "phenotypes.csv"), *inputs(data)[3:]]
    arguments += ["--visit", "2", "--full", "--bootstraps", "10", "--out", str(tmp_path / "out"), "--quiet"]
    assert main(arguments) == 0
    files = [path for path in (tmp_path / "out/tables").glob("*.csv") if path.stat().st_size > 1]
    tables = {path.stem: pd.read_csv(path) for path in files}
    further = {"markers", "by_group", "quality", "muscles", "muscle_selection", "repeats", "undiluted", "reference"}
    assert further | {"calibration", "decision_curve", "percentiles"} <= set(tables)
    ratio = tables["repeats"].set_index("measure").loc["pa_ratio"]
    assert ratio["n"] == pytest.approx(120, abs=15) and 0.95 < ratio["icc"] < 1
    assert set(tables["repeats"]["measure"]) == {"pa_ratio"}  # the other measures of the second visit are copies
    corrected = tables["undiluted"].dropna()
    assert (np.abs(np.log(corrected["odds_ratio"])) >= np.abs(np.log(corrected["odds_ratio_measured"]))).all()
    page = (tmp_path / "out/report.html").read_text()
    for section in ("markers", "muscles", "percentiles", "repeats"):
        assert f'<section id="{section}">' in page
    strobe, methods = (tmp_path / "out/strobe.md").read_text(), (tmp_path / "out/methods.md").read_text()
    assert (
        strobe.count("\n| ") >= 33
        and "| 13a | Numbers at each stage | " in strobe
        and "10 bootstraps" in methods
        and "below 27 kg" in methods
    )
    for ending in ("html", "tex", "docx"):
        assert (tmp_path / f"out/supplement.{ending}").stat().st_size > 20_000
    assert (tmp_path / "out/supplement.html").read_text().count("<table>") > 15
    assert (tmp_path / "out/supplement.tex").read_text().encode("latin-1")  # every sign that LaTeX lacks is written out
    text = re.sub(r"data:image/png;base64,[^\"]+", "", page)
    assert not re.search(r"\b(nan|inf|None|NaN|undefined)\b", text)
    assert "seed 1" in json.loads((tmp_path / "out/provenance.json").read_text())["random_numbers"]


def test_the_papers_preset_makes_only_what_the_paper_has(data: Path, tmp_path: Path) -> None:
    people = pd.read_csv(data / "participants.csv").head(250)
    people.to_csv(tmp_path / "people.csv", index=False)
    arguments = [*inputs(data)[:-1], str(tmp_path / "people.csv"), "--paper", "--exposures", "pa_ratio"]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--quiet"]) == 0
    written = {path.stem for path in (tmp_path / "out/tables").glob("*.csv")}
    assert written == _DEFAULT - {"markers", "per_sd", "sensitivity", "survival"}
    assert set(pd.read_csv(tmp_path / "out/tables/associations.csv")["exposure"]) == {"pa_ratio"}
    assert 'id="sensitivity"' not in (tmp_path / "out/report.html").read_text()
