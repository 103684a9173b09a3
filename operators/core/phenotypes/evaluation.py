"""Evaluation of all phenotypes of one body, with the reason for each missing value."""

from __future__ import annotations

import math

from operators.core.anatomy import by_name
from operators.core.phenotypes.measured_body import MeasuredBody, Side
from operators.core.phenotypes.phenotype import Phenotype
from operators.core.phenotypes.registry import PHENOTYPES

__all__ = ["evaluate"]


def evaluate(body: MeasuredBody) -> tuple[dict[str, float | None], dict[str, str]]:
    """Compute every phenotype of the registry.

    Parameters
    ----------
    body : MeasuredBody
        The measurements of one study.

    Returns
    -------
    values : dict of str to float or None
        In the order of the registry.
    reasons : dict of str to str
        For each phenotype that is None, why.
    """
    values: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for key, phenotype in PHENOTYPES.items():
        value = phenotype.compute(body)
        values[key] = float(value) if value is not None and math.isfinite(value) else None
        if values[key] is None:
            reasons[key] = _reason(phenotype, body)
    return values, reasons


def _reason(phenotype: Phenotype, body: MeasuredBody) -> str:
    if phenotype.sides and not body.sided:
        return "Left and right could not be told apart."
    cut = [by_name(name).display_name for name in phenotype.needs if name in body.cut]
    if cut:
        return f"Only a part is in the label map: {', '.join(cut)}."
    sides: tuple[Side | None, ...] = phenotype.sides or (None,)
    for side in sides:
        absent = [by_name(name).display_name for name in body.missing(phenotype.needs, side)]
        if absent:
            return f"Not in the label map{f' on the {side}' if side else ''}: {', '.join(absent)}."
    together = [by_name(name).display_name for name in body.only_with_others(phenotype.needs)]
    if together:
        return f"Labelled only together with other structures: {', '.join(together)}."
    if phenotype.needs_height and body.height_m is None:
        return body.no_height
    return phenotype.otherwise
