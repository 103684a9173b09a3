"""docs/security.md names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)


def functions(file: Path) -> set[str]:
    return {node.name for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}


def test_every_test_named_in_the_document_exists() -> None:
    assert len(NAMED) > 30
    absent = [f"{file}::{name}" for file, name in NAMED if not (ROOT / file).is_file()]
    absent += [f"{file}::{name}" for file, name in NAMED if name and not absent and name not in functions(ROOT / file)]
    assert not absent


def test_every_threat_has_a_test() -> None:
    rows = [line.split("|") for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| threat")]
    assert [row[1].strip() for row in rows if "tests/" not in row[-2] and row[-2].strip() != "test"] == []
