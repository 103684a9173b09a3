"""References in code and documents to docs/method.md and to other pages are valid."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUFFIXES = {".py", ".md", ".yaml", ".toml", ".sh", ".csv", ".cff", ".j2", ".css", ".txt", ""}

REFERENCE = re.compile(r"\bmethod, sections? ((?:\d+(?:\.\d+)?)(?:(?:, | and | to )\d+(?:\.\d+)?)*)")
PAGE = re.compile(r"(?<![\w/])(?:bundle/)?docs/[\w/-]+\.md\b")  # not those in addresses of other projects
LINK = re.compile(r"\]\(([^)\s#]*)(?:#([^)\s]+))?\)")
INTERNAL = re.compile(r"\b(?:PAPER|DESIGN|STYLE)\b")


def tracked_texts() -> dict[str, str]:
    """Every tracked text file of ours by its path, except this one."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
    ).stdout.split("\0")
    paths = [path for path in listed if path and Path(path).suffix in SUFFIXES and (ROOT / path).is_file()]
    me = str(Path(__file__).relative_to(ROOT))
    return {path: (ROOT / path).read_text(encoding="utf-8") for path in paths if path != me}


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: the tracked files are not known")
    return tracked_texts()


def flowing(text: str) -> str:
    """The text with line breaks, and the comment signs after them, as single spaces."""
    return re.sub(r"\s*\n\s*(?:#+:? |> |\* )?\s*", " ", text)


def anchors(markdown: str) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#{1,6} (.+?)\s*$", re.sub(r"^```.*?^```", "", markdown, flags=re.M | re.S), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def sections_of_the_method() -> set[str]:
    text = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    return set(re.findall(r"^##+ (\d+(?:\.\d+)?)\.? ", text, flags=re.M))


def test_the_method_has_its_sections_and_fourteen_decisions() -> None:
    expected = {str(n) for n in range(1, 9)} | {f"8.{n}" for n in range(1, 15)}
    assert sections_of_the_method() == expected


def test_every_section_of_the_method_that_is_referred_to_exists(texts: dict[str, str]) -> None:
    known = sections_of_the_method()
    found = [
        (path, number)
        for path, text in texts.items()
        for reference in REFERENCE.findall(flowing(text))
        for number in re.findall(r"\d+(?:\.\d+)?", reference)
    ]
    assert len(found) > 50
    assert [(path, number) for path, number in found if number not in known] == []


def test_every_page_that_is_named_exists(texts: dict[str, str]) -> None:
    named = {(path, page) for path, text in texts.items() for page in PAGE.findall(text)}
    # A page inside the bundle names its own folder docs/ relative to the bundle.
    folders = (ROOT, ROOT / "bundle")
    assert {(path, page) for path, page in named if not any((folder / page).is_file() for folder in folders)} == set()


def test_links_between_pages_lead_to_files_and_headings(texts: dict[str, str]) -> None:
    broken = []
    for path, text in texts.items():
        if not path.endswith(".md"):
            continue
        for target, anchor in LINK.findall(text):
            if re.match(r"[a-z]+:", target):
                continue
            file = (ROOT / path).parent / target if target else ROOT / path
            if not file.exists():
                broken.append((path, target))
            elif anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
                broken.append((path, f"{target}#{anchor}"))
    assert broken == []


def test_no_document_is_referred_to_that_is_not_in_the_repository(texts: dict[str, str]) -> None:
    lines = ((path, line) for path, text in texts.items() for line in text.splitlines())
    assert [f"{path}: {line}" for path, line in lines if INTERNAL.search(line)] == []


def test_every_module_that_the_page_on_architecture_names_exists() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[\w/]+/)?\w+\.py)`", page)) - {"operator.py"}
    assert len(named) > 15
    absent = {
        name for name in named if not any((ROOT / folder / name).is_file() for folder in ("", "analysis", "operators"))
    }
    assert not absent


def test_every_flag_that_a_report_can_show_is_on_a_page() -> None:
    codes = set()
    for file in (ROOT / "operators").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            if isinstance(node.func, ast.Name) and node.func.id in ("QualityFlag", "_warning"):
                codes.add(str(node.args[0].value))
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    assert len(codes) > 80
    assert {code for code in codes if f"`{code}`" not in pages} == set()
