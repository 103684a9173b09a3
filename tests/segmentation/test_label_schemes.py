"""The lists of other tools' labels: complete, as published, or refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from operators.core.anatomy import STRUCTURES
from operators.core.errors import UsageError
from operators.core.label_schemes import load_scheme, scheme_names
from tests.segmentation.thighs import (
    CUSTOM,
)


@pytest.mark.parametrize("name", scheme_names())
def test_every_shipped_scheme_is_complete(name: str) -> None:
    scheme = load_scheme(name)
    targets = scheme.targets()
    assert targets and set(targets) <= set(scheme.labels.values())
    sides = scheme.sides()
    assert name == "ours" or len(sides) == len(targets)
    for label, side in sides.items():  # both sides are listed and mean the same structure
        other = label.replace("left", "right") if side == 1 else label.replace("right", "left")
        assert targets[other] == targets[label] and sides[other] == 3 - side


@pytest.mark.parametrize(
    ("name", "count", "numbers"),
    [
        ("totalsegmentator", 50, {36: "femur_left", 40: "gluteus_maximus_left", 48: "iliopsoas_left"}),
        ("totalsegmentator_2_4", 56, {34: "femur_left", 46: "iliopsoas_left", 48: "quadriceps_femoris_left"}),
        ("totalsegmentator_ct", 117, {75: "femur_left", 80: "gluteus_maximus_left", 88: "iliopsoas_left"}),
        ("totalsegmentator_thigh", 18, {1: "quadriceps_femoris_left", 7: "sartorius_left"}),
        ("totalsegmentator_abdomen", 22, {3: "rectus_abdominis_right", 11: "external_oblique_right"}),
        ("musclemap", 99, {6121: "gluteus_maximus_left", 7141: "sartorius_left", 8151: "tibia_left"}),
        ("musclemap_1_4", 113, {6121: "gluteus_maximus_left", 7231: "patella_left", 8161: "tibia_left"}),
        ("mrsegmentator", 40, {30: "right_femur", 33: "left_iliopsoas_muscle", 35: "left_gluteus_maximus"}),
        ("mrsegmentator_body_comp", 10, {3: "left_rectus_abdominis", 6: "right_oblique_muscle"}),
        ("vibesegmentator", 72, {48: "femur_left", 53: "gluteus_maximus_left", 62: "iliopsoas_right"}),
    ],
)
def test_schemes_have_the_numbers_of_their_published_lists(name: str, count: int, numbers: dict[int, str]) -> None:
    scheme = load_scheme(name)
    assert len(scheme.labels) == count and re.search(r"/blob/[0-9a-f]{40}/|/\d+\.\d+\.\d+/$", scheme.source)
    assert {number: scheme.labels[number] for number in numbers} == numbers


def test_the_two_lists_of_musclemap_differ_below_the_knee_only() -> None:
    old, new = load_scheme("musclemap"), load_scheme("musclemap_1_4")
    assert old.structures == new.structures
    assert all(new.labels[number] == name for number, name in old.labels.items() if number < 8000)


def test_musclemap_has_all_but_two_of_our_structures() -> None:
    known = set(load_scheme("musclemap").structures)
    assert {s.name for s in STRUCTURES} - known == {"abdominal_oblique", "rectus_abdominis"}


@pytest.mark.parametrize(
    "change",
    [
        {"structures": {"biceps": "sart"}},
        {"structures": {"sartorius": "quad"}},
        {"structures": {"sartorius": "sart", "gracilis": "sart"}},
        {"structures": {}},
        {"labels": None},
        {"made": "by magic"},
        {"mapping": {}},
        {"wider": {"femur": "the patella"}},
        {"groups": {"adductors": {"of": [], "from": ["skin"]}}},
        {"groups": {"adductors": {"of": ["gracilis"], "from": []}}},
        {"labels": {4: "sart", 1.5: "skin"}},
        {"labels": {4: "sart", -1: "skin"}},
        {"labels": {4: "sart", 70000: "skin"}},
        {"labels": {4: "sart", True: "skin"}},
    ],
    ids=str,
)
def test_a_scheme_that_makes_no_sense_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({**CUSTOM, **change}), encoding="utf-8")
    with pytest.raises(UsageError, match="scheme"):
        load_scheme(str(tmp_path / "own.yaml"))


def test_numbers_of_a_scheme_may_be_quoted(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({**CUSTOM, "labels": {"4": "sart"}}), encoding="utf-8")
    assert load_scheme(str(tmp_path / "own.yaml")).labels == {4: "sart"}


def test_an_unknown_scheme_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="musclemap"):
        load_scheme("muscle-map")
    with pytest.raises(UsageError, match="cannot be read"):
        load_scheme(str(tmp_path / "missing.yaml"))
    (tmp_path / "own.yaml").write_bytes("name: Überblick".encode("latin-1"))
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        load_scheme(str(tmp_path / "own.yaml"))
    (tmp_path / "own.yaml").write_bytes(b"")
    with pytest.raises(UsageError, match=r"not a scheme \(ValueError: it has no keys"):
        load_scheme(str(tmp_path / "own.yaml"))
