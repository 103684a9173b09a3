"""docs/licences.md lists every package that pyproject.toml requires, with the licence that the package states."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| ([\w.-]+) \| ([^|]+?) \|", flags=re.M)

# Licences of packages whose metadata has no SPDX expression, as named in their classifiers and free texts.
FAMILIES = {
    "Apache": ("Apache",),
    "BSD": ("BSD",),
    "MIT": ("MIT",),
    "MPL": ("MPL", "Mozilla"),
    "PSF": ("PSF", "Python Software Foundation", "matplotlib"),
    "NVIDIA": ("NVIDIA", "Proprietary"),
}


def normal(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required() -> set[str]:
    """Packages that the project and its extras require."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = [project["dependencies"], *project.get("optional-dependencies", {}).values()]
    names = {normal(re.match(r"[\w.-]+", item)[0]) for items in lists for item in items}  # type: ignore[index]
    return names - {normal(project["name"])}  # an extra may name another


def listed() -> dict[str, str]:
    text = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    rows = ROW.findall(text[text.index("## Installed with SarcoMAP") :])
    return {normal(name): licence for name, licence in rows if name not in ("package", "---")}


LISTED = listed()


def test_every_direct_dependency_is_in_the_table() -> None:
    names = required()
    assert len(names) > 40
    assert names - set(LISTED) == set()


@pytest.mark.parametrize("name", sorted(LISTED))
def test_the_licence_is_the_one_that_the_package_states(name: str) -> None:
    try:
        stated = metadata.metadata(name).json
    except metadata.PackageNotFoundError:
        pytest.skip("not installed here")
    if expression := stated.get("license_expression"):
        assert LISTED[name] == expression
        return
    classifiers = [text for text in stated.get("classifier", []) if text.startswith("License ::")]
    said = "\n".join([str(stated.get("license", "")), *classifiers])
    families = {family for family in FAMILIES if family.lower() in LISTED[name].lower()}
    assert families, f"{LISTED[name]}: of no family known to this test"
    for family in families:
        assert any(word in said for word in FAMILIES[family]), f"{name}: {LISTED[name]} listed, {said!r} stated"
