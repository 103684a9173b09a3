"""Phenotypes of both sides together, where one side only is labelled: half of a body must not pass for a small one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from operators.core.anatomy import HAMSTRINGS, LABELS, QUADRICEPS, by_name
from operators.core.phenotypes.measured_body import MeasuredBody
from operators.core.phenotypes.registry import PHENOTYPES
from operators.core.phenotypes.units import CUBIC_CM, CUBIC_CM_PER_SQUARE_CM, SQUARE_CM

__all__ = ["withheld_for_one_side"]

_SIZES = (CUBIC_CM, CUBIC_CM_PER_SQUARE_CM, SQUARE_CM)
_NAMES = frozenset(structure.name for structure in LABELS)

_TRACE = 0.1
"""Of the larger side: less on the other is a stray part of the label. An atrophied muscle has more."""

_MOST_LACKING = 0.05
"""Of a sum, if the other side is as large as the labelled one. A small muscle that a network missed costs less."""

_NAMED = 4
_UNKNOWN = "Left and right could not be told apart, so that it is not known whether both are labelled."


def withheld_for_one_side(body: MeasuredBody, values: Mapping[str, float | None]) -> dict[str, str]:
    """The phenotypes of both sides that must not be given, because one side only is labelled, and why.

    Volumes and areas need both sides. The P/A ratio needs the same sides of hamstrings and quadriceps. Fractions of
    fat are means, so that one side is enough.

    Parameters
    ----------
    body : MeasuredBody
    values : mapping of str to float or None
        As `evaluate` gives them; those that are None have their reason already.
    """
    reasons: dict[str, str] = {}
    for key, phenotype in PHENOTYPES.items():
        if values.get(key) is None or phenotype.sides:
            continue
        if phenotype.unit in _SIZES:
            lacking = _lacking(body, phenotype.needs)
            withheld = not body.sided or sum(lacking) > _MOST_LACKING
        elif key == "pa_ratio":
            pairs = zip(_lacking(body, HAMSTRINGS), _lacking(body, QUADRICEPS), strict=True)
            withheld = body.sided and any(abs(back - front) > _MOST_LACKING for back, front in pairs)
        else:
            continue
        if withheld:
            reasons[key] = _UNKNOWN if not body.sided else _reason(body, phenotype.needs)
    return reasons


def _lacking(body: MeasuredBody, names: Iterable[str]) -> tuple[float, float]:
    """The share of the sum over structures that is not labelled on the left and on the right."""
    one_sided = _one_sided(body, names)
    lacking = [sum(volume for _, side, volume in one_sided if side != here) for here in ("left", "right")]
    whole = sum(body.volumes_cm3[one] for one in _labelled(body, names)) + sum(lacking)
    return (lacking[0] / whole, lacking[1] / whole) if whole > 0 else (0.0, 0.0)


def _one_sided(body: MeasuredBody, names: Iterable[str]) -> list[tuple[str, str, float]]:
    """Structures and groups that are labelled on one side only: name, side and volume."""
    found = []
    for name in _labelled(body, names):
        if name in _NAMES and not by_name(name).paired:
            continue
        left, right = body.left_cm3.get(name) or 0.0, body.right_cm3.get(name) or 0.0
        if min(left, right) < _TRACE * max(left, right):
            found.append((name, "left" if left > right else "right", max(left, right)))
    return found


def _labelled(body: MeasuredBody, names: Iterable[str]) -> list[str]:
    """The structures that have a volume of their own, and the groups that stand for others."""
    wanted = set(names)
    alone = [name for name in names if name in body.volumes_cm3]
    groups = [
        group
        for group, members in body.groups.items()
        if group in body.volumes_cm3 and wanted.issuperset(members) and not set(members) & set(alone)
    ]
    return alone + groups


def _reason(body: MeasuredBody, names: Iterable[str]) -> str:
    one_sided = _one_sided(body, names)
    called = [f"{by_name(name).display_name if name in _NAMES else name} ({side})" for name, side, _ in one_sided]
    more = f" and {len(called) - _NAMED} more" if len(called) > _NAMED else ""
    return f"Labelled on one side of the body only: {', '.join(called[:_NAMED])}{more}."
