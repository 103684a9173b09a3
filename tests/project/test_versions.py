"""The version of the software is the same wherever it is written, and the changelog knows it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def found(path: str, pattern: str) -> str:
    match = re.search(pattern, (ROOT / path).read_text(encoding="utf-8"), flags=re.M)
    assert match, f"{path}: no {pattern}"
    return match[1]


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("MAP.yaml", r"^  version: (\S+)$"),
        ("Dockerfile", r"^ARG VERSION=(\S+)$"),
        ("CITATION.cff", r"^version: (\S+)$"),
    ],
)
def test_the_version_is_the_projects(path: str, pattern: str) -> None:
    assert found(path, pattern) == PROJECT["version"]


def test_the_changelog_has_the_version_and_a_place_for_the_next() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)
    assert headings[0] == "Unreleased"
    assert re.fullmatch(re.escape(PROJECT["version"]) + r" - \d{4}-\d{2}-\d{2}", headings[1])


def test_the_classifiers_name_the_pythons_that_may_install_it() -> None:
    from packaging.specifiers import SpecifierSet

    named = {each.rpartition(" ")[2] for each in PROJECT["classifiers"] if "Language :: Python :: 3." in each}
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert named == {f"3.{minor}" for minor in range(8, 30) if f"3.{minor}.0" in allowed}


def test_the_citation_names_software_method_and_licence() -> None:
    assert CITATION["title"] == "SarcoMAP" and CITATION["type"] == "software"
    assert CITATION["license"] == PROJECT["license"]
    assert PROJECT["urls"]["Method"].endswith(CITATION["references"][0]["doi"])
    assert {"cff-version", "message", "authors"} <= set(CITATION)
    article = CITATION["references"][0]
    assert "Dixon MRI" in article["title"] and len(article["authors"]) > 1
    assert all({"family-names", "given-names"} <= set(each) for each in article["authors"])
