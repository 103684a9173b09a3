"""The page in Chromium: it fits the screen of a telephone, prints on two pages, and works with the keyboard."""

from __future__ import annotations

import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from operators.core.options import ReportOptions, RunOptions
from operators.core.volume import QualityFlag
from tests import box_body
from tests.phenotype_report.test_page import reference
from tests.phenotype_report.test_reports import WITHHELD, written

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (tests/install_pacs.sh)"),
]

#: Elements that reach beyond the window.
BEYOND = """() => [...document.querySelectorAll("body *")].filter((element) => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1);
}).map((element) => element.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    clean = written(folder / "clean")
    warnings = tuple(
        QualityFlag(code, "warning", f"{code} of the station of series 10, 11, 12, 13. " * 2)
        for code in ("ghosting", "signal-void", "intensity-step", "shifted-station")
    )
    long = replace(box_body.MODEL, name="W" * 200, training_data="W" * 300, made_elsewhere=True)
    page = ReportOptions(reference=reference(folder / "r.csv", 0), previous=clean.json)
    return {
        "clean": clean.html,
        "withheld": written(folder / "withheld", flags=(WITHHELD,)).html,
        "warnings": written(folder / "warnings", flags=warnings).html,
        "long": written(folder / "long", flags=(QualityFlag("ghosting", "warning", "W" * 300),), model=long).html,
        "compared": written(folder / "compared", options=RunOptions(report=page)).html,
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


def opened(browser: Any, page: Path, width: int) -> Any:
    tab = browser.new_page(viewport={"width": width, "height": 900})
    tab.goto(page.as_uri())
    return tab


@pytest.mark.parametrize("name", ["clean", "withheld", "warnings", "long", "compared"])
@pytest.mark.parametrize("width", [400, 700, 900, 1100, 1600])
def test_nothing_reaches_beyond_the_window(browser: Any, pages: dict[str, Path], name: str, width: int) -> None:
    tab = opened(browser, pages[name], width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(BEYOND) == []
    tab.close()


@pytest.mark.parametrize("name", ["clean", "warnings", "compared"])
def test_it_prints_on_two_pages(browser: Any, pages: dict[str, Path], name: str) -> None:
    tab = opened(browser, pages[name], 1200)
    assert printed_pages(tab.pdf(prefer_css_page_size=True)) == 2
    tab.close()


def printed_pages(pdf: bytes) -> int:
    parts = [pdf]
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, flags=re.S):
        with suppress(zlib.error):
            parts.append(zlib.decompress(stream))
    return sum(len(re.findall(rb"/Type\s*/Page\b", part)) for part in parts)


def test_the_keyboard_reaches_every_control_and_shows_where_it_is(browser: Any, pages: dict[str, Path]) -> None:
    tab = opened(browser, pages["clean"], 1200)
    tab.wait_for_selector(".has-viewer")
    seen = set()
    for _ in range(60):
        tab.keyboard.press("Tab")
        found = tab.evaluate(
            """() => { const e = document.activeElement; const ring = e.labels && e.closest(".map") ? e.labels[0] : e;
            return [e.tagName, e.name || e.textContent.trim().slice(0, 20), getComputedStyle(ring).outlineStyle]; }"""
        )
        if found[0] == "BODY":
            break
        assert found[2] != "none", found
        seen.add((found[0], found[1]))
    kinds = [kind for kind, _ in seen]
    assert "CANVAS" in kinds and "SUMMARY" in kinds and ("INPUT", "image") in seen and ("INPUT", "map") in seen
    assert ("BUTTON", "Copy as CSV") in seen and ("BUTTON", "Structure") in seen


def test_on_a_telephone_the_keyboard_passes_over_headings_that_are_not_shown(
    browser: Any, pages: dict[str, Path]
) -> None:
    tab = opened(browser, pages["clean"], 400)
    assert (
        tab.evaluate("() => [...document.querySelectorAll('thead button')].some((e) => e.checkVisibility())") is False
    )
    words = tab.evaluate("() => getComputedStyle(document.querySelector('.stations tbody th'), '::before').content")
    assert words.startswith('"Station')  # as one text or as two, by the version of Chromium
    tab.close()


def test_pictures_and_charts_have_a_text(browser: Any, pages: dict[str, Path]) -> None:
    tab = opened(browser, pages["clean"], 1200)
    texts = tab.evaluate(
        """() => [...document.querySelectorAll("img, svg, canvas")]
        .map((e) => e.getAttribute("alt") ?? e.getAttribute("aria-label") ?? "")"""
    )
    assert len(texts) > 6 and all(len(text) > 15 for text in texts), texts
    unscoped = tab.evaluate("() => [...document.querySelectorAll('th:not([scope])')].length")
    assert unscoped == 0
    assert tab.evaluate("() => [...document.querySelectorAll('table')].every((t) => t.caption)")


def test_the_viewer_names_a_structure_and_moves(browser: Any, pages: dict[str, Path]) -> None:
    tab = opened(browser, pages["clean"], 1200)
    tab.wait_for_selector(".has-viewer")
    canvas = tab.locator('[data-plane="axial"] canvas')
    before = tab.locator('[data-plane="axial"] .slice').inner_text()
    canvas.focus()
    tab.keyboard.press("ArrowDown")
    assert tab.locator('[data-plane="axial"] .slice').inner_text() != before
    canvas.click()
    assert "Fat fraction here" in tab.locator("#viewer output").inner_text()
    tab.emulate_media(color_scheme="dark")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(243, 245, 247)"
