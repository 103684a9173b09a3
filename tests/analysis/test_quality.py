"""The page of a cohort's quality: what is unusual is found, shown, decided and left out of the analysis."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import numpy as np
import pandas as pd
import pytest

from analysis.collect import collect_reports
from analysis.errors import DataError
from analysis.exclusions import read_exclusions
from analysis.participants import sex_of
from analysis.quality import find_extremes, quality_page, robust_z
from sarcomap.__main__ import main
from tests.analysis.made_reports import made_report, write_report

COUNT = 40
LARGE, WITHHELD, ONE_SIDED, SEAM = 3, 5, 7, 9
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty studies; the muscle volume, withholding, a side and a seam of one each are unusual."""
    folder = tmp_path_factory.mktemp("cohort")
    rng = np.random.default_rng(1)
    for number in range(COUNT):
        report = made_report(str(1_000_000 + number))
        man = number % 2 == 0
        report["study"]["visit"] = "2"
        # Even, not normal, so that nothing is unusual by chance.
        volume = (11000 if man else 7500) * rng.uniform(0.9, 1.1)
        report["phenotypes"] |= {"tmv_cm3": 11000.0 if number == LARGE else volume, "pa_ratio": rng.uniform(0.4, 0.5)}
        for structure in report["structures"]:
            structure["left_cm3"] = 5.0 * rng.uniform(0.98, 1.02)
        if number == ONE_SIDED:
            report["structures"][2]["left_cm3"] = 1.0
        seam = {"upper": 0, "lower": 1, "seam_visibility": 4.0 if number == SEAM else rng.uniform(0.9, 1.1)}
        report["quality"]["overlaps"] = [seam]
        report["quality"]["withheld"] = "</script><b>why" if number == WITHHELD else None
        write_report(folder / "studies", f"{report['study']['pseudonym']}_2", report)
        if number:
            (folder / "studies" / f"{report['study']['pseudonym']}_2" / "thumbnail.jpg").write_bytes(b"jpeg")
    people = pd.DataFrame(
        {"eid": range(1_000_000, 1_000_000 + COUNT), "p31": [number % 2 ^ 1 for number in range(COUNT)]}
    )
    people.to_csv(folder / "participants.csv", index=False)
    return folder


def data_of(page: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.S)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_robust_z_is_that_of_the_definition() -> None:
    values = pd.Series([*np.arange(20.0), 100.0, np.nan])
    median = 10.0
    spread = 1.4826 * np.median(np.abs(values.dropna() - median))
    assert robust_z(values)[20] == pytest.approx((100 - median) / spread)
    assert np.isnan(robust_z(values)[21])
    assert robust_z(pd.Series([1.0] * 30)).isna().all() and robust_z(values[:5]).isna().all()


def test_an_outlier_is_one_within_its_sex_only(cohort: Path) -> None:
    table = collect_reports(cohort).table
    sex = sex_of(table["eid"], cohort / "participants.csv")
    assert sex.tolist()[:2] == ["M", "F"]
    assert list(np.flatnonzero(find_extremes(table, sex).outlier)) == [LARGE]
    assert not find_extremes(table).outlier.any()  # a woman with the volume of a man


def test_left_right_and_seam_extremes_name_the_place(cohort: Path) -> None:
    table = collect_reports(cohort).table
    extremes = find_extremes(table)
    assert extremes.sides["z"].abs().idxmax() == ONE_SIDED
    name = made_report("1")["structures"][2]["name"]
    assert extremes.sides["structure"][ONE_SIDED] == name
    assert extremes.sides["ratio"][ONE_SIDED] == pytest.approx(1.0 / made_report("1")["structures"][2]["right_cm3"])
    assert list(np.flatnonzero(extremes.seam_z > 3.5)) == [SEAM]


def test_the_page_holds_every_study_and_needs_no_network(cohort: Path) -> None:
    page = cohort / "qc.html"
    failures = pd.DataFrame({"outcome": ["oom", "oom", "refused"], "found": ["memory", "memory", "<i>"]})
    quality_page(collect_reports(cohort), cohort, page, None, failures)
    text = page.read_text("utf-8")
    assert not re.search(r'(src|href)="(https?:)?//|@import|url\(', text)
    assert "&lt;i&gt;" in text and "<i>" not in text
    data = data_of(page)
    assert len(data["eid"]) == COUNT and data["thumbnail"][:2] == ["", "thumbnail.jpg"]
    assert data["withheld"][WITHHELD] == "</script><b>why"  # it did not end the script
    assert (page.parent / data["base"] / data["folder"][1] / data["thumbnail"][1]).is_file()


def test_a_page_elsewhere_still_finds_the_pictures_and_says_where_it_is(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = tmp_path / "100% of #2"
    shutil.copytree(cohort, strange)
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    assert main(["cohort", "qc", str(strange), "--out", "page.html"]) == 0
    said = capsys.readouterr().out
    assert f"{tmp_path / 'in' / 'page.html'}\n" in said and f"pictures in {strange}: move both" in said
    data = data_of(Path("page.html"))
    address = urljoin((tmp_path / "in" / "page.html").as_uri(), data["base"])
    assert Path(unquote(urlsplit(address).path), data["folder"][1], data["thumbnail"][1]).is_file()


def test_participants_of_another_application_are_refused(cohort: Path, tmp_path: Path) -> None:
    pd.DataFrame({"eid": ["5"], "sex": ["F"]}).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(DataError, match="no participant in common"):
        sex_of(pd.Series(["1"], dtype="string"), tmp_path / "p.csv")


def test_sex_is_read_as_the_analysis_reads_it(tmp_path: Path) -> None:
    eid = pd.Series(["1", "2", "3"], dtype="string")
    pd.DataFrame({"Participant ID": eid, "Sex": ["female", "MALE", "Female"]}).to_csv(tmp_path / "p.csv", index=False)
    assert sex_of(eid, tmp_path / "p.csv").tolist() == ["F", "M", "F"]
    pd.DataFrame({"eid": eid, "sex": [1, 2, 2]}).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(DataError, match=r"sex: an unknown code \('2'\)"):
        sex_of(eid, tmp_path / "p.csv")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_keys_decide_and_the_saved_file_excludes(cohort: Path, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    collected = collect_reports(cohort)
    quality_page(collected, cohort, cohort / "qc.html", sex_of(collected.table["eid"], cohort / "participants.csv"))
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1200, "height": 900})
        problems: list[str] = []
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.goto((cohort / "qc.html").as_uri())
        tab.select_option("#show", "outlier")
        tab.focus("#grid")
        tab.keyboard.press("r")
        tab.select_option("#show", "seams")
        tab.focus("#grid")
        tab.keyboard.press("a")
        with tab.expect_download() as download:
            tab.click("#save")
        download.value.save_as(tmp_path / "decisions.csv")
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        tab.select_option("#show", "all")
        tab.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert (tab.locator(".study").count(), tab.text_content("#printed")) == (
            COUNT,
            f"{COUNT} studies, most unusual first",
        )
        tab.evaluate("dispatchEvent(new Event('afterprint'))")
        assert tab.locator(".study").count() < COUNT
        assert problems == []
        browser.close()
    (tmp_path / "few").mkdir()
    write_report(
        tmp_path / "few" / "studies", "1", made_report("1") | {"quality": made_report("1")["quality"] | {"flags": []}}
    )
    quality_page(collect_reports(tmp_path / "few"), tmp_path / "few", tmp_path / "few" / "qc.html")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page()
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.goto((tmp_path / "few" / "qc.html").as_uri())
        assert "1 of 1" in (tab.text_content("#count") or "") and problems == []
        browser.close()
    excluded = read_exclusions(tmp_path / "decisions.csv").rows(collected.table)
    assert list(np.flatnonzero(excluded)) == [LARGE]


def test_the_core_of_muscles_stands_for_their_fat_where_a_report_has_it() -> None:
    fat = pd.DataFrame({"tmv_cm3": range(12), "muscle_fat_fraction": range(12), "muscle_dixon_fat_core": range(12)})
    assert list(find_extremes(fat.astype(float)).z) == ["tmv_cm3", "muscle_dixon_fat_core"]
    assert "muscle_fat_fraction" in find_extremes(fat.astype(float).drop(columns="muscle_dixon_fat_core")).z
