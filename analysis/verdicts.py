"""What the comparison of markers says about the P/A ratio, in plain sentences."""

from __future__ import annotations

import pandas as pd

from analysis.definitions import label_of
from analysis.head_to_head import BASE
from analysis.text_tables import format_count, format_interval, format_number, format_p

__all__ = ["verdicts"]

_LEVEL = 0.05
# Below this change of AUC or C, fewer than one more of 100 pairs of people is in the right order. The limit is ours.
_MUCH = 0.01
_WORDS = {"much": "", "little": ", which is little", "none": ", which is no improvement"}
_RATIO, _BOTH, _VOLUME = "+ P/A", "+ P/A and TMV", "+ TMV"


def verdicts(models: pd.DataFrame) -> list[str]:
    """One sentence over all outcomes, then one an outcome.

    Parameters
    ----------
    models : DataFrame
        `analysis.head_to_head.HeadToHead.models`.

    Notes
    -----
    P/A improves prediction if the likelihood ratio test is below 0.05 and the change of AUC or C is at least 0.01. With
    a smaller change above 0 it adds little, however small p is in a large cohort.
    """
    said: list[str] = []
    found: dict[str, list[str]] = {"much": [], "little": [], "none": []}
    best: list[str] = []
    for (outcome, measure), part in models.groupby(["outcome", "measure"], sort=False):
        name = label_of(str(outcome)).lower() + (" (dated)" if measure == "C" else "")
        first = part.iloc[0]
        people = f"{format_count(first['events'])} of {format_count(first['n'])} people"
        if part["value"].isna().all():
            said.append(f"{_capital(name)} ({people}): {first['note']}.")
            continue
        left_out = part[part["value"].isna() & (part["model"] == _RATIO)]
        if len(left_out):
            said.append(f"{_capital(name)} ({people}): P/A is {left_out['note'].iloc[0]}.")
            continue
        part = part.dropna(subset=["value"])
        against = part[part["against"] == BASE].set_index("model")
        if _RATIO not in against.index or len(against) < 2:
            continue
        row = against.loc[_RATIO]
        rivals = against["change"].drop([one for one in (_RATIO, _BOTH) if one in against.index])
        adds = bool(row["p_likelihood_ratio"] < _LEVEL and row["change"] > 0)
        amount = "none" if not adds else "much" if row["change"] >= _MUCH else "little"
        found[amount].append(f"{name} ({measure} {_signed(row['change'])})")
        if adds and (not len(rivals) or row["change"] >= rivals.max()):
            best.append(name)
        base = format_number(row["value"] - row["change"], 3)
        text = f"{_capital(name)} ({people}): the covariates alone have {_article(measure)} {measure} of {base}; P/A "
        interval = f"{format_interval(row['ci_low'], row['ci_high'], 3)}; p {format_p(row['p_likelihood_ratio'])}"
        text += f"changes it by {_signed(row['change'])} ({interval})" + _WORDS[amount]
        if len(rivals):
            other = str(rivals.idxmax()).removeprefix("+ ")
            text += f". The best other single marker is {other} ({_signed(rivals.max())})"
        beside = part[part["against"] == _VOLUME]
        if len(beside):
            given = beside.iloc[0]
            text += f". Beyond TMV, P/A changes it by {_signed(given['change'])} (p "
            text += f"{format_p(given['p_likelihood_ratio'])})"
        said.append(text + ".")
    return [_overall(found, best), *said] if any(found.values()) else said


def _overall(found: dict[str, list[str]], best: list[str]) -> str:
    adds = found["much"] + found["little"]
    if not adds:
        return f"P/A does not improve the prediction of {_listed(found['none'])} beyond the covariates in these data."
    verbs = {"much": "improves", "little": "adds little to", "none": "does not improve"}
    parts = [f"{verbs[amount]} the prediction of {_listed(names)}" for amount, names in found.items() if names]
    text = "Beyond the covariates, P/A " + ", and it ".join(parts)
    if len(best) == len(adds):
        return f"{text}. No other single marker adds more."
    return f"{text}. It adds more than every other single marker for {_listed(best)} only." if best else (
        f"{text}. Another single marker adds more.")  # fmt: skip


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _signed(change: float) -> str:
    text = format_number(change, 3)
    return text if text.startswith("\u2212") else f"+{text}"


def _article(measure: object) -> str:
    return "an" if measure == "AUC" else "a"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
