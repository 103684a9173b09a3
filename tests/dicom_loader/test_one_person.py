"""A study that holds the images of two people is refused, whoever numbered it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from operators.core.errors import InputError
from operators.dicom_loader.one_person import check_one_person


def image(series: int, **patient: str) -> Any:
    return SimpleNamespace(series_number=series, patient=patient)


ONE = {"PatientID": "HOSP-17", "PatientName": "DOE^JANE", "PatientBirthDate": "19500101", "PatientSex": "F"}
OTHER = {"PatientID": "HOSP-18", "PatientBirthDate": "19610203", "PatientSex": "M"}


@pytest.mark.parametrize(
    "second",
    [
        ONE,
        {"PatientID": "  hosp-17 "},
        {},
        {"PatientID": "", "PatientSex": "F"},
        {**ONE, "PatientSex": "M"},  # corrected later
        {**ONE, "PatientBirthDate": "19500102"},
        {"PatientBirthDate": "19610203", "PatientSex": "F"},  # of one without identifier only one of the two differs
    ],
)
def test_one_person_is_let_through(second: dict[str, str]) -> None:
    check_one_person("study.zip", [image(2, **ONE), image(3, **second), image(4)])


@pytest.mark.parametrize(
    ("second", "told_by"),
    [
        (OTHER, "PatientID"),
        ({"PatientID": "HOSP-18"}, "PatientID"),
        ({**ONE, "PatientID": "HOSP-18"}, "PatientID"),
        ({"PatientBirthDate": "19610203", "PatientSex": "M"}, "PatientBirthDate and PatientSex"),
        # one identifier for everybody, as some anonymisers write
        ({**OTHER, "PatientID": ONE["PatientID"]}, "PatientBirthDate and PatientSex"),
        ({**ONE, "PatientName": "ROE^RICHARD", "PatientBirthDate": "19610203"}, "PatientBirthDate and PatientName"),
        ({**ONE, "PatientID": "HOSP17", "PatientSex": "M"}, "PatientID"),
    ],
)
def test_two_people_are_refused_without_naming_them(second: dict[str, str], told_by: str) -> None:
    with pytest.raises(InputError) as raised:
        check_one_person("study.zip", [image(2, **ONE), image(2, **ONE), image(31, **second)])
    text = str(raised.value)
    assert "2 patients" in text and told_by in text and "series 2; series 31" in text
    assert raised.value.exit_code == 3
    for value in (*ONE.values(), *OTHER.values()):
        assert value not in text or value in ("F", "M")


@pytest.mark.parametrize(
    ("second", "differs"),
    [
        ({**ONE, "PatientName": "ROE^RICHARD"}, "PatientName"),
        ({**ONE, "PatientBirthDate": "19610203"}, "PatientBirthDate"),
        ({**ONE, "PatientSex": "M"}, "PatientSex"),
    ],
)
def test_one_differing_detail_is_said(second: dict[str, str], differs: str) -> None:
    (flag,) = check_one_person("study.zip", [image(2, **ONE), image(31, **second)])
    assert (flag.code, flag.severity) == ("patient-details-differ", "warning")
    assert differs in flag.message and "series 2; series 31" in flag.message
    assert not any(value in flag.message for value in (*ONE.values(), *second.values()) if len(value) > 1)


@pytest.mark.parametrize("trait", ["PatientName", "PatientBirthDate", "PatientSex"])
def test_a_differing_detail_is_another_person_where_nothing_else_tells(trait: str) -> None:
    one, other = {trait: ONE[trait]}, {trait: {**OTHER, "PatientName": "ROE^RICHARD"}[trait]}
    with pytest.raises(InputError, match=f"2 patients, told by {trait}"):
        check_one_person("study.zip", [image(2, **one), image(31, **other)])


@pytest.mark.parametrize("spelling", ["HOSP17", "0hosp-17", "HOSP 17", " 00HOSP_17"])
def test_spellings_of_one_identifier_are_one_person_with_a_warning(spelling: str) -> None:
    flags = check_one_person("study.zip", [image(2, **ONE), image(3, **{**ONE, "PatientID": spelling})])
    assert [(flag.code, flag.severity) for flag in flags] == [("patient-id-spellings", "warning")]


@pytest.mark.parametrize("name", ["Jane Doe", "DOE^JANE^MARY", "doe^jane^^^"])
def test_a_name_in_another_order_or_with_more_given_names_is_one_persons(name: str) -> None:
    assert (
        check_one_person("s.zip", [image(2, **ONE), image(3, **{**ONE, "PatientName": name, "PatientSex": ""})]) == ()
    )
