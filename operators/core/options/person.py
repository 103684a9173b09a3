"""What is known of a person whose images do not say it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from operators.core.options.declaration import OptionError, check_choices, section

if TYPE_CHECKING:  # importing NumPy takes as long as importing all options
    from operators.core.volume import Study

__all__ = ["READING", "PersonOptions", "with_person"]

READING = section("Reading", 10)

_RANGES: dict[str, tuple[float, float]] = {"age": (0, 130), "height_cm": (50, 250), "weight_kg": (2, 500)}
_IN_SECTION = Parameter(group=READING, show_default=False)


@dataclass(frozen=True)
class PersonOptions:
    """Stands in for the header where that is silent; NIfTI says nothing of a person.

    Attributes
    ----------
    sex : {"F", "M"} or None
        The person's sex, where the images do not say it.
    age : float or None
        Age in years at the scan, where the images do not say it.
    height_cm : float or None
        Standing height in centimetres, where the images do not say it. Without it there is no TVI.
    weight_kg : float or None
        Weight in kilograms, where the images do not say it.

    Raises
    ------
    OptionError
        For a value that no person has.
    """

    sex: Annotated[Literal["F", "M"] | None, _IN_SECTION] = None
    age: Annotated[float | None, _IN_SECTION] = None
    height_cm: Annotated[float | None, _IN_SECTION] = None
    weight_kg: Annotated[float | None, _IN_SECTION] = None

    def __post_init__(self) -> None:
        check_choices(self)
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise OptionError(name, f"{value:g}", f"{low:g} to {high:g}", "Check the unit.")

    @property
    def given(self) -> bool:
        """Whether anything was given."""
        return any(value is not None for value in (self.sex, self.age, self.height_cm, self.weight_kg))

    def as_header(self) -> dict[str, str]:
        """The values as DICOM attributes, by keyword (PS3.3 C.7.1.1 and C.7.2.2)."""
        header: dict[str, str] = {}
        if self.sex is not None:
            header["PatientSex"] = self.sex
        if self.age is not None:
            header["PatientAge"] = f"{int(self.age):03d}Y"
        if self.height_cm is not None:
            header["PatientSize"] = f"{self.height_cm / 100:.4g}"
        if self.weight_kg is not None:
            header["PatientWeight"] = f"{self.weight_kg:.5g}"
        return header


def with_person(study: Study, person: PersonOptions | None) -> Study:
    """The study with what is known of its person; what its header says is kept.

    Attributes of a de-identified study stay removed: then only the height is taken, for TVI.
    """
    if person is None or not person.given:
        return study
    height_m = study.height_m
    if height_m is None and person.height_cm is not None:
        height_m = round(person.height_cm / 100, 4)
    stated = {key: value for key, value in study.patient.items() if value}
    patient = study.patient if study.deidentified else {**study.patient, **person.as_header(), **stated}
    return replace(study, height_m=height_m, patient=patient)
