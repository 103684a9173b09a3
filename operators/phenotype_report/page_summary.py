"""The top of the page: who was examined, whether the numbers can be trusted, and what they say in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from operators.core.phenotypes import PHENOTYPES
from operators.core.rounding import REPEATABILITY
from operators.core.volume import Study
from operators.phenotype_report.page_numbers import percent, shown

__all__ = ["Verdict", "examined", "few", "sentences", "verdict"]

REMOVED = "removed (de-identified)"
_SEXES = {"F": "female", "M": "male", "O": "other"}
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_AGE_UNITS = {"Y": "years", "M": "months", "W": "weeks", "D": "days"}
_SAME_SIDES = 1.96 * 2**0.5 * REPEATABILITY
"""A difference between the sides that measuring each of them twice would also give (95%)."""


@dataclass(frozen=True)
class Verdict:
    """The traffic light.

    Attributes
    ----------
    light : {"green", "amber", "red"}
    title, text : str
    touched : tuple of str
        Titles of the phenotypes that the flags cast doubt on.
    """

    light: str
    title: str
    text: str
    touched: tuple[str, ...] = ()

    @property
    def doubts(self) -> str:
        """The touched phenotypes in words: those that have a card, or if none has, the first."""
        cards = [phenotype.title for phenotype in PHENOTYPES.values() if phenotype.card and not phenotype.deprecated]
        chosen = [title for title in cards if title in self.touched]
        return "all numbers" if len(chosen) == len(cards) else ", ".join(chosen or self.touched[:1])


def examined(study: Study) -> tuple[tuple[str, str], ...]:
    """Date of the examination, sex, age, height and weight, as pairs of a heading and a value.

    Name, identifier and birth date are never shown. What `--deidentify` removed
    is named as removed.
    """
    known = study.patient
    height = f"{100 * study.height_m:.0f} cm" if study.height_m else ""
    try:
        weight = f"{float(known.get('PatientWeight', '')):.0f} kg"
    except ValueError:
        weight = ""
    facts = (
        ("Examined", _date(known.get("StudyDate", "")) if not study.deidentified else ""),
        ("Sex", _SEXES.get(known.get("PatientSex", ""), "")),
        ("Age", _age(known.get("PatientAge", ""))),
        ("Height", height),
        ("Weight", weight),
    )
    absent = REMOVED if study.deidentified else "not given"
    return tuple((name, value or absent) for name, value in facts)


def verdict(report: Mapping[str, Any]) -> Verdict:
    """Green without a warning, amber with one, red if the phenotypes are withheld."""
    quality = report["quality"]
    flags: Sequence[Mapping[str, Any]] = quality["flags"]
    if quality["withheld"]:
        return Verdict("red", "No result: the phenotypes are withheld", quality["withheld"])
    grave = [flag for flag in flags if flag["severity"] != "info"]
    touched = _touched(report)
    titles = tuple(PHENOTYPES[key].title for key in touched if key in PHENOTYPES and not PHENOTYPES[key].deprecated)
    if grave:
        more = len(grave) - 1
        further = f" {more} more {'warning is' if more == 1 else 'warnings are'} listed under Quality." if more else ""
        return Verdict("amber", "Read with care", few(grave[0]["message"]) + further, titles)
    notes = f" {len(flags)} {'note is' if len(flags) == 1 else 'notes are'} listed under Quality." if flags else ""
    return Verdict("green", "The checks found no problem", f"All automatic checks of images and labels passed.{notes}")


def sentences(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Four sentences about the result, made by rules; they say what is missing and what is in doubt."""
    if report["quality"]["withheld"]:
        return ()
    touched = _touched(report)
    values = report["phenotypes"]
    reasons = {key: few(reason) for key, reason in report["quality"]["not_given"].items()}
    intervals = report.get("uncertainty", {}).get("phenotypes", {})
    errors = {key: interval["standard_error"] for key, interval in intervals.items()}
    said = {
        "tmv_cm3": _amount(values, reasons, errors),
        "pa_ratio": _balance(values, reasons),
        "lr_asymmetry": _symmetry(values, reasons),
        "thigh_dixon_fat_core": _fat(values, reasons),
    }
    return tuple(
        f"{text} A warning casts doubt on this." if key in touched and values.get(key) is not None else text
        for key, text in said.items()
    )


def few(reason: str) -> str:
    """A reason with the first three of many structures that are absent; the table has all of them.

    Examples
    --------
    >>> few("Not in the label map: Sartorius, Gracilis, Piriformis, Multifidus, Femur. They are needed.")
    'Not in the label map: Sartorius, Gracilis, Piriformis and 2 more. They are needed.'
    """
    return re.sub(r"(label map[^:.]*: )([^.]+)", _first_three, reason)


def _first_three(listed: re.Match[str]) -> str:
    names = listed[2].split(", ")
    return listed[0] if len(names) < 5 else f"{listed[1]}{', '.join(names[:3])} and {len(names) - 3} more"


def _touched(report: Mapping[str, Any]) -> dict[str, None]:
    """Keys of the phenotypes that errors and warnings cast doubt on, in the flags' order."""
    grave = [flag for flag in report["quality"]["flags"] if flag["severity"] != "info"]
    return dict.fromkeys(key for flag in grave for key in flag.get("touches", ()))


def _amount(values: Mapping[str, float | None], reasons: Mapping[str, str], errors: Mapping[str, float]) -> str:
    if values["tmv_cm3"] is None:
        return f"The total muscle volume is not given. {reasons.get('tmv_cm3', '')}"
    index = values["tvi_cm3_per_cm2"]
    over = (
        f", {shown('tvi_cm3_per_cm2', index, errors.get('tvi_cm3_per_cm2'))} cm³ for each cm² of squared height"
        if index
        else ""
    )
    amount = shown("tmv_cm3", values["tmv_cm3"], errors.get("tmv_cm3"))
    return f"The muscles from pelvis to knee measure {amount} cm³{over}."


def _balance(values: Mapping[str, float | None], reasons: Mapping[str, str]) -> str:
    ratio, left, right = (values[f"pa_ratio{side}"] for side in ("", "_left", "_right"))
    if ratio is None:
        return f"The ratio of hamstrings to quadriceps is not given. {reasons.get('pa_ratio', '')}"
    sides = f" ({percent(left, 0)} on the left, {percent(right, 0)} on the right)" if left and right else ""
    return f"The hamstrings have {percent(ratio, 0)} of the volume of the quadriceps{sides}."


def _symmetry(values: Mapping[str, float | None], reasons: Mapping[str, str]) -> str:
    left, right = values["thigh_left_cm3"], values["thigh_right_cm3"]
    if not left or not right:
        return f"The thighs cannot be compared. {reasons.get('lr_asymmetry', '')}"
    larger, smaller = ("left", "right") if left > right else ("right", "left")
    excess = max(left, right) / min(left, right) - 1
    if excess < _SAME_SIDES:
        return (
            f"The muscles of both thighs are of equal volume: they differ by {percent(excess)}, "
            f"which is within the error of measurement ({percent(_SAME_SIDES)})."
        )
    return f"The muscles of the {larger} thigh are {percent(excess, 0)} larger than those of the {smaller}."


def _fat(values: Mapping[str, float | None], reasons: Mapping[str, str]) -> str:
    core = values.get("thigh_dixon_fat_core")
    if core is None:
        return f"The fat in the thigh muscles is not given. {reasons.get('thigh_dixon_fat_core', '')}"
    left, right = values.get("thigh_dixon_fat_core_left"), values.get("thigh_dixon_fat_core_right")
    sides = f" (left {percent(left)}, right {percent(right)})" if left is not None and right is not None else ""
    return f"Of the signal inside the thigh muscles, {percent(core)} is that of fat{sides}."


def _date(date: str) -> str:
    if len(date) != 8 or not date.isdigit() or not 1 <= int(date[4:6]) <= 12:
        return ""
    return f"{int(date[6:])} {_MONTHS[int(date[4:6]) - 1]} {date[:4]}"


def _age(age: str) -> str:
    number, unit = age[:-1], _AGE_UNITS.get(age[-1:], "")
    return f"{int(number)} {unit}" if unit and number.isdigit() else ""
