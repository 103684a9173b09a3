"""The pages of an analysis and of a cohort's quality, with names from outside that are hostile or very long."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.collect import collect_reports
from analysis.quality import quality_page
from phantom.table import draw_cohort, write_cohort
from tests.analysis.made_reports import made_report, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = "</script><img src=x onerror=alert(1)>\"' \u202eturned <!-- $\\frac$ {{ 7 * 7 }}"
LONG = "W" * 120
WIDTHS = (390, 820, 1400)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    write_cohort(folder, draw_cohort(700, 5))
    people = pd.read_csv(folder / "participants.csv")
    rng = np.random.default_rng(1)
    people[HOSTILE], people[LONG] = rng.normal(size=len(people)), rng.normal(size=len(people))
    people.to_csv(folder / "<b>people.csv", index=False)
    inputs = ["--phenotypes", str(folder / "phenotypes.csv"), "--participants", str(folder / "<b>people.csv")]
    named = ["--exposures", "pa_ratio", "--exposures", HOSTILE, "--adjust", "age", "--adjust", LONG]
    assert main(["run", *inputs, *named, "--out", str(folder / "out"), "--quiet", "--paper"]) == 0
    cohort = folder / "cohort"
    for number in range(12):
        report = made_report((str(number), HOSTILE[:60], LONG)[min(number, 2)] + str(number))
        report["quality"]["flags"] = [{"code": f"flag-{n}", "severity": "info", "message": "m"} for n in range(99)]
        report["quality"]["withheld"] = (HOSTILE, LONG, None)[min(number, 2)]
        report["model"] |= {"name": HOSTILE, "training_data": LONG, "synthetic_training": True}
        write_report(cohort / "studies", str(number), report)
    failures = pd.DataFrame({"outcome": ["oom", "failed"], "found": [HOSTILE, LONG]})
    quality_page(collect_reports(cohort), cohort, cohort / "qc.html", None, failures)
    names = ("report", "supplement")
    return {name: folder / "out" / f"{name}.html" for name in names} | {"quality": cohort / "qc.html"}


@pytest.mark.parametrize("name", ["report", "supplement", "quality"])
def test_names_from_outside_are_text(pages: dict[str, Path], name: str) -> None:
    page = pages[name].read_text("utf-8")
    assert "<img src=x" not in page and "<b>people" not in page
    assert page.count("<script") == page.count("</script>")
    shown = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert "onerror=alert(1)&gt;" in shown


@pytest.mark.parametrize("name", ["report", "quality"])
def test_names_do_not_turn_the_direction_of_the_words_after_them(pages: dict[str, Path], name: str) -> None:
    assert "\u202e" not in re.sub(r"<script.*?</script>", "", pages[name].read_text("utf-8"), flags=re.S)


@pytest.mark.parametrize("name", ["report", "supplement", "quality"])
def test_every_heading_of_a_table_says_what_it_heads(pages: dict[str, Path], name: str) -> None:
    assert not re.search(r"<th(?![^>]*scope=)[ >]", pages[name].read_text("utf-8"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("name", ["report", "supplement", "quality"])
def test_a_page_fits_every_screen_runs_nothing_and_asks_nobody(browser: Any, pages: dict[str, Path], name: str) -> None:
    for width in WIDTHS:
        tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark")
        problems: list[str] = []
        tab.on("console", lambda message, problems=problems: problems.append(message.text))
        tab.on("pageerror", lambda error, problems=problems: problems.append(str(error)))
        tab.on("dialog", lambda dialog, problems=problems: (problems.append("dialog"), dialog.dismiss()))
        tab.on("request", lambda asked, problems=problems: problems.append(asked.url) if "//" in asked.url else None)
        tab.goto(pages[name].as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert [one for one in problems if not one.startswith("file:")] == []
        dark = tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 20, 26)"
        assert dark == (name != "supplement")  # which is for a word processor
        tab.close()
