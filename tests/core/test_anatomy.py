"""The label table against the paper's list, SNOMED CT's check digit and pydicom's own dictionary."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from pydicom.sr._concepts_dict import concepts
from pydicom.sr.codedict import codes

from operators.core.anatomy import (
    ADIPOSE_INDEX,
    ADIPOSE_TISSUE,
    BACKGROUND_INDEX,
    CHANNEL_COUNT,
    HAMSTRINGS,
    LABELS,
    MUSCLES,
    QUADRICEPS,
    STRUCTURES,
    Compartment,
    Structure,
    Tissue,
    by_index,
    by_name,
)

PRIVATE_SCHEME = "99SARCOMAP"

# The paper's order (method, section 4), repeated here so that a reordered table fails.
PAPER_ORDER = {
    Compartment.ANTERIOR: (
        "sartorius",
        "rectus_femoris",
        "vastus_lateralis",
        "vastus_medialis",
        "vastus_intermedius",
    ),
    Compartment.GLUTEAL: (
        "gluteus_maximus",
        "gluteus_medius",
        "gluteus_minimus",
        "piriformis",
        "obturator_internus",
        "obturator_externus",
        "pectineus",
        "tensor_fasciae_latae",
    ),
    Compartment.MEDIAL: (
        "adductor_magnus",
        "adductor_longus",
        "adductor_brevis",
        "gracilis",
        "quadratus_femoris",
    ),
    Compartment.POSTERIOR: ("semimembranosus", "semitendinosus", "biceps_femoris"),
    Compartment.CORE: ("multifidus", "iliopsoas", "abdominal_oblique", "rectus_abdominis"),
    Compartment.BONE: ("iliac_bone", "femur"),
}

# The dihedral group of order 10 and the permutation of Verhoeff's scheme, which SNOMED CT identifiers use.
_DIHEDRAL = (
    "0123456789",
    "1234067895",
    "2340178956",
    "3401289567",
    "4012395678",
    "5987604321",
    "6598710432",
    "7659821043",
    "8765932104",
    "9876543210",
)
_PERMUTATION = (
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
)

each_structure = pytest.mark.parametrize("structure", LABELS, ids=lambda s: s.name)
each_snomed_structure = pytest.mark.parametrize(
    "structure", [s for s in LABELS if s.scheme == "SCT"], ids=lambda s: s.name
)


def verhoeff_holds(identifier: str) -> bool:
    check = 0
    for place, digit in enumerate(reversed(identifier)):
        check = int(_DIHEDRAL[check][int(_PERMUTATION[place % 8][int(digit)])])
    return check == 0


def words_of(meaning: str) -> frozenset[str]:
    """The anatomical words: 'Structure of gracilis muscle' and 'Gracilis muscle' mean the same."""
    return frozenset(re.findall(r"[a-z]+", meaning.lower())) - {"structure", "of", "body", "bone"}


def test_indices_follow_the_papers_order_before_any_structure_of_ours() -> None:
    expected = [name for names in PAPER_ORDER.values() for name in names]
    assert [s.name for s in STRUCTURES[: len(expected)]] == expected
    assert [s.index for s in STRUCTURES] == list(range(1, 1 + len(STRUCTURES)))


def test_background_structures_and_adipose_tissue_fill_the_channels() -> None:
    indices = [BACKGROUND_INDEX, *(s.index for s in STRUCTURES), ADIPOSE_INDEX]
    assert indices == list(range(CHANNEL_COUNT))
    assert (*STRUCTURES, ADIPOSE_TISSUE) == LABELS


def test_adipose_tissue_is_labelled_but_neither_measured_nor_of_a_compartment() -> None:
    assert not ADIPOSE_TISSUE.measured and all(s.measured for s in STRUCTURES)
    assert ADIPOSE_TISSUE.compartment is None
    assert ADIPOSE_TISSUE.name not in MUSCLES
    fat = codes.SCT.AdiposeTissue
    assert (ADIPOSE_TISSUE.code, ADIPOSE_TISSUE.meaning) == (fat.value, fat.meaning)


def test_each_of_the_papers_structures_is_in_its_compartment() -> None:
    assert [len(names) for names in PAPER_ORDER.values()] == [5, 8, 5, 3, 4, 2]
    for compartment, names in PAPER_ORDER.items():
        assert {by_name(name).compartment for name in names} == {compartment}


def test_the_muscles_that_are_summed_are_the_papers_25() -> None:
    assert len(MUSCLES) == 25
    assert set(MUSCLES) == {n for c, names in PAPER_ORDER.items() if c is not Compartment.BONE for n in names}
    assert all((s.tissue is Tissue.BONE) == (s.compartment is Compartment.BONE) for s in STRUCTURES)


def test_posterior_anterior_ratio_groups_are_muscles_of_the_right_compartments() -> None:
    assert len(set(HAMSTRINGS)) == 3
    assert len(set(QUADRICEPS)) == 4
    assert {by_name(name).compartment for name in HAMSTRINGS} == {Compartment.POSTERIOR}
    assert {by_name(name).compartment for name in QUADRICEPS} == {Compartment.ANTERIOR}
    assert "sartorius" not in QUADRICEPS  # anterior, but no head of the quadriceps


@pytest.mark.parametrize("attribute", ["name", "display_name", "code", "meaning", "colour_rgb"])
def test_no_two_structures_share_a(attribute: str) -> None:
    counts = Counter(getattr(s, attribute) for s in LABELS)
    assert [value for value, count in counts.items() if count > 1] == []


@each_structure
def test_structure_is_found_by_index_and_by_name(structure: Structure) -> None:
    assert by_index(structure.index) is structure
    assert by_name(structure.name) is structure


@pytest.mark.parametrize("index", [BACKGROUND_INDEX, CHANNEL_COUNT, -1])
def test_a_value_that_is_not_in_the_table_is_refused(index: int) -> None:
    with pytest.raises(KeyError):
        by_index(index)


@each_structure
def test_names_and_colours_are_well_formed(structure: Structure) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", structure.name)
    assert structure.display_name.lower().replace(" ", "_") == structure.name
    assert all(0 <= channel <= 255 for channel in structure.colour_rgb)
    assert structure.paired is structure.measured  # every muscle and bone comes in left and right


@each_structure
def test_code_fits_dicoms_value_representations(structure: Structure) -> None:
    """Code Value and Coding Scheme Designator are SH, Code Meaning is LO (PS3.5 section 6.2)."""
    assert 0 < len(structure.code) <= 16
    assert 0 < len(structure.scheme) <= 16
    assert 0 < len(structure.meaning) <= 64
    for text in (structure.code, structure.scheme, structure.meaning):
        assert text == text.strip()
        assert "\\" not in text


@each_structure
def test_code_comes_from_snomed_ct_or_is_declared_private(structure: Structure) -> None:
    assert structure.code_source.strip()
    if structure.scheme == PRIVATE_SCHEME:
        assert structure.code_source.startswith("private:")
        assert re.fullmatch(r"[A-Z_]+", structure.code)
    else:
        assert structure.scheme == "SCT"
        assert "private" not in structure.code_source


@each_snomed_structure
def test_snomed_identifier_is_an_international_concept_with_a_true_check_digit(structure: Structure) -> None:
    assert re.fullmatch(r"[1-9][0-9]{5,15}", structure.code)
    assert structure.code[-3:-1] == "00"  # partition of a core concept, not of a description or extension
    assert verhoeff_holds(structure.code)


def test_check_digit_notices_a_wrong_or_swapped_digit() -> None:
    femur = "71341001"
    assert verhoeff_holds(femur)
    assert not verhoeff_holds("71341002")
    assert not verhoeff_holds("17341001")


@each_snomed_structure
def test_meaning_names_the_part_itself_and_one_of_its_sides_only_by_modifier(structure: Structure) -> None:
    """'Entire ...' claims the whole organ in view (PS3.16 section 8.1.1); sides are given by a modifier."""
    assert not {"entire", "left", "right", "tendon"} & words_of(structure.meaning)


@each_snomed_structure
def test_code_agrees_with_pydicoms_dictionary_in_both_directions(structure: Structure) -> None:
    meanings_of_code: dict[str, set[frozenset[str]]] = {}
    codes_of_meaning: dict[frozenset[str], set[str]] = {}
    snomed: dict[str, Any] = concepts["SCT"]  # pydicom types its nested dictionary as objects
    for entries in snomed.values():
        for code, (meaning, _groups) in entries.items():
            words = words_of(meaning)
            meanings_of_code.setdefault(code, set()).add(words)
            codes_of_meaning.setdefault(words, set()).add(code)
    ours = words_of(structure.meaning)
    if structure.code in meanings_of_code:
        assert ours in meanings_of_code[structure.code]
    if ours in codes_of_meaning:
        assert structure.code in codes_of_meaning[ours]


@pytest.mark.parametrize(("name", "keyword"), [("femur", "Femur"), ("iliac_bone", "Ilium")])
def test_bones_carry_the_concept_of_the_dicom_standard(name: str, keyword: str) -> None:
    standard = getattr(codes.SCT, keyword)
    structure = by_name(name)
    assert (structure.code, structure.scheme, structure.meaning) == (
        standard.value,
        standard.scheme_designator,
        standard.meaning,
    )
