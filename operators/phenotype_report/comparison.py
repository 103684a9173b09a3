"""The change between two reports of one person, beside the smallest change that can be detected.

The smallest detectable change is 1.96 * sqrt(2) times the standard error of a
measurement. For the volume of muscle it follows from published repeatability of
volumes with Dixon MRI (`operators.core.rounding.REPEATABILITY`), until there is a
calibration of our own. It covers two examinations on one scanner with one
software; other changes between the examinations add to it. For two-point
Dixon signal fat fractions no figure is published, so none is given.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operators.core.errors import InputError
from operators.core.phenotypes import PHENOTYPES, Phenotype
from operators.core.rounding import REPEATABILITY
from operators.phenotype_report.page_numbers import fixed, percent, shown

__all__ = ["Change", "changes_between", "differences", "read_report"]

_DETECTABLE = 1.96 * math.sqrt(2)
_NAMED = 4


@dataclass(frozen=True)
class Change:
    """One phenotype in two reports.

    Attributes
    ----------
    phenotype : Phenotype
    before, after : float
    detectable : float or None
        Smallest detectable change, in the unit of the values; None if not known.
    """

    phenotype: Phenotype
    before: float
    after: float
    detectable: float | None

    @property
    def difference(self) -> float:
        """After minus before."""
        return self.after - self.before

    @property
    def verdict(self) -> str:
        """``increase``, ``decrease``, ``within error``, or ``not known`` without a smallest detectable change."""
        if self.detectable is None:
            return "not known"
        if abs(self.difference) < self.detectable:
            return "within error"
        return "increase" if self.difference > 0 else "decrease"

    @property
    def words(self) -> str:
        """The change in one line, for a card."""
        if self.phenotype.unit.percent:
            points = fixed(100 * self.difference)
            text = f"{'+' if self.difference > 0 else ''}{points} points since {shown(self.phenotype, self.before)}"
        else:
            relative = self.difference / self.before if self.before else 0.0
            text = f"{'+' if relative > 0 else ''}{percent(relative)} since {shown(self.phenotype, self.before)}"
        return text if self.verdict == "not known" else f"{text}: {self.verdict}"


def read_report(path: Path) -> Mapping[str, Any]:
    """Read an earlier ``report.json``, of any readable version of its schema.

    Raises
    ------
    InputError
        When the file is not a report.
    """
    file = path / "report.json" if path.is_dir() else path
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        phenotypes, study = report["phenotypes"], report["study"]
        known = isinstance(phenotypes, dict) and isinstance(study, dict) and "schema_version" in report
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            file.name, f"not readable ({_reason(error)})", "a report.json", "Give the file that a run wrote."
        ) from error
    if not known:
        raise InputError(file.name, "not a report", "a report.json", "Give the file that a run wrote.")
    found: Mapping[str, Any] = report
    return found


def _reason(error: Exception) -> str:
    """What is wrong with a file, in words rather than as the name of an exception."""
    if isinstance(error, OSError):
        return (error.strerror or "it cannot be opened").lower()
    return "an entry is missing" if isinstance(error, KeyError) else "it is no JSON object"


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """The phenotypes that both reports give, in the order of the registry; deprecated ones are left out."""
    found = []
    for key, phenotype in PHENOTYPES.items():
        first, second = before["phenotypes"].get(key), after["phenotypes"].get(key)
        if phenotype.deprecated or first is None or second is None:
            continue
        found.append(Change(phenotype, float(first), float(second), _detectable(phenotype, float(first))))
    return tuple(found)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs between the two runs besides the person, so that numbers may differ for this reason."""
    found = []
    for name, key in (("network or labels", "model"), ("software", "software")):
        first, second = ((one[key]["name"], one[key]["version"]) for one in (before, after))
        if first != second:
            found.append(f"the {name} ({' '.join(map(str, first))}, then {' '.join(map(str, second))})")
    if before.get("options", {}).get("fusion") != after.get("options", {}).get("fusion"):
        found.append("the options of fusion")
    earlier, later = _labelled(before), _labelled(after)
    if earlier and later and earlier != later:
        called = sorted({name for name, _ in earlier ^ later})
        more = f" and {len(called) - _NAMED} more" if len(called) > _NAMED else ""
        found.append(f"what is labelled ({', '.join(called[:_NAMED])}{more})")
    return tuple(found)


def _labelled(report: Mapping[str, Any]) -> set[tuple[str, str]]:
    """The structures that have a volume, and the sides that have one: a mean over other muscles is another mean."""
    volumes = ("volume_cm3", "left_cm3", "right_cm3")
    structures = report.get("structures") or ()
    return {(one["display_name"], key) for one in structures for key in volumes if one.get(key) is not None}


def _detectable(phenotype: Phenotype, before: float) -> float | None:
    if phenotype.unit.relative:
        return _DETECTABLE * REPEATABILITY * before
    if phenotype.key.startswith("pa_ratio"):  # of two volumes whose errors are independent
        return _DETECTABLE * math.sqrt(2) * REPEATABILITY * before
    if phenotype.key == "lr_asymmetry":  # likewise, about 0
        return _DETECTABLE * math.sqrt(2) * REPEATABILITY
    return None
