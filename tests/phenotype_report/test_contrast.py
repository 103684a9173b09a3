"""Text can be read on its ground, in light and dark: the contrast of WCAG 2.2, computed from the style sheets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {
    "study": ROOT / "operators/phenotype_report/templates/study_page.css",
    "cohort": ROOT / "analysis/templates/cohort_page.css",
    "quality": ROOT / "analysis/templates/quality_page.css",
}
LEAST = 4.5
LEAST_GRAPHIC = 3.0
"""Of lines and marks (WCAG 1.4.11)."""

# The colour variables of text, and of the grounds that it stands on.
TEXT = {
    "study": {
        "paper": ("ink", "soft", "accent", "amber"),
        "ground": ("ink", "soft", "accent"),
        **{f"{name}-paper": (name,) for name in ("red", "amber", "green", "blue")},
    }
}
GRAPHIC = {"study": {"paper": ("left", "right", "soft")}}


def rgb(colour: str) -> tuple[float, ...]:
    digits = colour.lstrip("#")
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    return tuple(int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4))


def luminance(colour: str) -> float:
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in rgb(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def themes(page: str) -> dict[str, dict[str, str]]:
    """The colour variables of a page in light, and where it has one, in dark."""
    css = PAGES[page].read_text(encoding="utf-8")
    blocks = re.findall(r":root\s*\{(.*?)\}", css, flags=re.S)
    found = [dict(re.findall(r"--([\w-]+):\s*(#[0-9a-fA-F]{3,6})\b", block)) for block in blocks]
    named = {"light": found[0]}
    if len(found) > 1:
        named["dark"] = found[0] | found[1]
    return named


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_of_the_study_page_can_be_read(theme: str) -> None:
    colours = themes("study")[theme]
    for ground, texts in TEXT["study"].items():
        for text in texts:
            assert contrast(colours[text], colours[ground]) >= LEAST, (text, ground)
    for ground, marks in GRAPHIC["study"].items():
        for mark in marks:
            assert contrast(colours[mark], colours[ground]) >= LEAST_GRAPHIC, (mark, ground)
    # The chosen body map: paper on accent.
    assert contrast(colours["paper"], colours["accent"]) >= LEAST


@pytest.mark.parametrize("page", sorted(PAGES))
def test_each_rule_with_text_and_ground_can_be_read(page: str) -> None:
    """Rules that set both, by variable or by value."""
    css = PAGES[page].read_text(encoding="utf-8")
    for theme, colours in themes(page).items():
        checked = 0
        for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", css):
            text = value(body, r"(?<![\w-])color", colours)
            ground = value(body, r"(?<![\w-])background(?:-color)?", colours)
            if text and ground:
                checked += 1
                assert contrast(text, ground) >= LEAST, (theme, selector.strip())
        assert checked >= 1


def value(body: str, name: str, colours: dict[str, str]) -> str | None:
    found = re.search(name + r":\s*(?:var\(--([\w-]+)\)|(#[0-9a-fA-F]{3,6})\b)", body)
    return None if found is None else colours.get(found[1]) if found[1] else found[2]


def test_labels_in_the_templates_use_variables_of_both_themes() -> None:
    colours = themes("study")
    assert set(colours["light"]) == set(colours["dark"])
    used = set()
    for path in PAGES["study"].parent.glob("*"):
        used |= set(re.findall(r"var\(--([\w-]+)\)", path.read_text(encoding="utf-8")))
    assert used <= set(colours["light"])
