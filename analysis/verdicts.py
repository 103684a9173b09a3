"""What the comparison of markers says about the P/A ratio, in plain sentences."""

from __future__ import annotations

import pandas as pd

from analysis.definitions import label_of
from analysis.head_to_head import BASE
from analysis.text_tables import format_count, format_interval, format_number, format_p

__all__ = ["verdicts"]

_LEVEL = 0.05
_RATIO, _BOTH, _VOLUME = "+ P/A", "+ P/A and TMV", "+ TMV"


def verdicts(models: pd.DataFrame) -> list[str]:
    """One sentence over all outcomes, then one an outcome.

    Parameters
    ----------
    models : DataFrame
        `analysis.head_to_head.HeadToHead.models`.

    Notes
    -----
    P/A improves prediction if the likelihood ratio test is below 0.05 and the change of AUC or C is above 0.
    """
    said: list[str] = []
    better: list[str] = []
    same: list[str] = []
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
        (better if adds else same).append(f"{name} ({measure} {_signed(row['change'])})")
        if adds and (not len(rivals) or row["change"] >= rivals.max()):
            best.append(name)
        base = format_number(row["value"] - row["change"], 3)
        text = f"{_capital(name)} ({people}): the covariates alone have {_article(measure)} {measure} of {base}; P/A "
        interval = f"{format_interval(row['ci_low'], row['ci_high'], 3)}; p {format_p(row['p_likelihood_ratio'])}"
        text += f"changes it by {_signed(row['change'])} ({interval})" + ("" if adds else ", which is no improvement")
        if len(rivals):
            other = str(rivals.idxmax()).removeprefix("+ ")
            text += f". The best other single marker is {other} ({_signed(rivals.max())})"
        beside = part[part["against"] == _VOLUME]
        if len(beside):
            given = beside.iloc[0]
            text += f". Beyond TMV, P/A changes it by {_signed(given['change'])} (p "
            text += f"{format_p(given['p_likelihood_ratio'])})"
        said.append(text + ".")
    return [_overall(better, same, best), *said] if better or same else said


def _overall(better: list[str], same: list[str], best: list[str]) -> str:
    if not better:
        return f"P/A does not improve the prediction of {_listed(same)} beyond the covariates in these data."
    text = f"Beyond the covariates, P/A improves the prediction of {_listed(better)}"
    text += f", and not of {_listed(same)}" if same else ""
    single = "more than every other single marker"
    if len(best) == len(better):
        return f"{text}; it does so {single}."
    return f"{text}; it does so {single} for {_listed(best)}." if best else f"{text}; another single marker does more."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]


def _signed(change: float) -> str:
    text = format_number(change, 3)
    return text if text.startswith("\u2212") else f"+{text}"


def _article(measure: object) -> str:
    return "an" if measure == "AUC" else "a"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
