"""Do odds ratios differ between groups? By sex with stratified models, and tests of other interactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.definitions import EXPOSURES, OUTCOMES
from analysis.design import Covariates, beside
from analysis.logistic import fit_logistic, likelihood_ratio_p
from analysis.odds_ratios import associate
from analysis.thirds import Tertiles, tertiles

__all__ = ["interactions", "sex_stratified"]

Vector = NDArray[np.float64]


def sex_stratified(
    table: pd.DataFrame,
    covariates: Sequence[str],
    *,
    exposures: Sequence[str] = tuple(EXPOSURES),
    outcomes: Sequence[str] = tuple(OUTCOMES),
    cuts: Mapping[str, tuple[float, float]] | None = None,
) -> pd.DataFrame:
    """Estimate adjusted odds ratios by sex, with the test of interaction.

    Thirds are those of everyone, so that both sexes have the same cuts.
    ``p_interaction`` is the likelihood ratio test of exposure by sex in the model
    of both sexes; where it is missing, ``note`` says why.

    Returns
    -------
    DataFrame
        Columns of `Associations.summary` after ``sex``, and ``p_interaction``.
    """
    sexes = {sex: (table["sex"] == sex).to_numpy(dtype=bool) for sex in ("M", "F")}
    sexes = {sex: mask for sex, mask in sexes.items() if mask.any()}
    needed = table[[*dict.fromkeys(["sex", *exposures, *outcomes, *covariates])]]
    parts = {sex: needed[mask] for sex, mask in sexes.items()}
    rows = []
    for exposure in exposures:
        groups = tertiles(table[exposure].to_numpy(dtype=float), (cuts or {}).get(exposure))
        shared = [name for name in covariates if name not in ("sex", exposure)]
        model = "adjusted" if shared else "crude"
        columns = Covariates(table, shared)
        own = {sex: Covariates(part, shared) for sex, part in parts.items()}
        for outcome in outcomes:
            p_interaction, reason = float("nan"), "people of one sex"
            if len(sexes) == 2:
                p_interaction, reason = _interaction_p(table, outcome, groups, columns, Covariates(table, ("sex",)))
            for sex, mask in sexes.items():
                thirds = Tertiles(groups.group[mask], groups.low_cut, groups.high_cut, groups.note)
                row = associate(parts[sex], exposure, outcome, thirds, own[sex], model)
                note = "; ".join(
                    [*([row.note] if row.note else []), *([f"no test of interaction: {reason}"] if reason else [])]
                )
                rows.append({"sex": sex, **vars(row), "note": note, "p_interaction": p_interaction})
    return pd.DataFrame(rows)


def interactions(
    table: pd.DataFrame,
    covariates: Sequence[str],
    modifiers: Sequence[str],
    *,
    exposures: Sequence[str] = tuple(EXPOSURES),
    outcomes: Sequence[str] = tuple(OUTCOMES),
    cuts: Mapping[str, tuple[float, float]] | None = None,
) -> pd.DataFrame:
    """Test the interaction of every exposure (highest against lowest third) with some modifiers.

    Returns
    -------
    DataFrame
        ``exposure, outcome, modifier, p_interaction, note``: likelihood ratio
        test of all products of the exposure with the modifier's columns, in a
        model with the modifier and the covariates. A row without a p value has
        its reason in ``note``.
    """
    rows = []
    for exposure in exposures:
        groups = tertiles(table[exposure].to_numpy(dtype=float), (cuts or {}).get(exposure))
        for modifier in modifiers:
            shared = Covariates(table, [name for name in covariates if name not in (exposure, modifier)])
            by = Covariates(table, (modifier,))
            for outcome in outcomes:
                p, reason = float("nan"), "the exposure itself"
                if modifier != exposure:
                    p, reason = _interaction_p(table, outcome, groups, shared, by)
                note = "; ".join(note for note in (groups.note, reason) if note)
                rows.append(
                    {"exposure": exposure, "outcome": outcome, "modifier": modifier, "p_interaction": p, "note": note}
                )
    return pd.DataFrame(rows)


def _interaction_p(
    table: pd.DataFrame, outcome: str, groups: Tertiles, shared: Covariates, modifier: Covariates
) -> tuple[float, str]:
    """p of the likelihood ratio test, and why there is none; one of the two is missing."""
    values = table[outcome].to_numpy(dtype=float, na_value=np.nan)
    rows = shared.known & modifier.known & np.isfinite(values) & ((groups.group == 0) | (groups.group == 2))
    high = (groups.group[rows] == 2).astype(float)
    events, by = values[rows], modifier.of(rows).values
    none = float("nan")
    if not len(events) or np.ptp(high) == 0:
        return none, "a group of nobody: not estimable"
    if np.ptp(events) == 0:
        return none, "everyone has the outcome" if events[0] == 1 else "no events"
    if not by.shape[1]:
        return none, "one value of the other column: not estimable"
    if _empty_cell(events, high, by):  # then the interaction is infinite
        return none, "nobody in a combination of exposure, outcome and the other column: not estimable"
    base = beside(high, by, shared.of(rows).values)
    try:
        without = fit_logistic(base, events)
        start = np.concatenate([without.coefficients, np.zeros(by.shape[1])])
        full = fit_logistic(beside(base, high[:, None] * by), events, start=start)
    except np.linalg.LinAlgError:
        return none, "the other column or the product is collinear with the covariates: not estimable"
    return (none, "separated events: not estimable") if full.separated else (likelihood_ratio_p(full, without), "")


def _empty_cell(events: Vector, high: Vector, by: Vector) -> bool:
    """Whether an indicator of the modifier has no people of some exposure and outcome."""
    for column in by.T:
        if (
            np.isin(column, (0, 1)).all()
            and (np.bincount((4 * events + 2 * high + column).astype(int), minlength=8) == 0).any()
        ):
            return True
    return False
