"""Check a published table of odds ratios against its own counts."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.distributions import normal_quantile
from analysis.errors import DataError
from analysis.logistic import fit_logistic
from analysis.profile_likelihood import profile_interval
from analysis.tables import read_table

__all__ = ["Audit", "audit", "audit_file"]

_NUMBERS = ("n_low", "n_high", "events_low", "events_high", "odds_ratio", "ci_low", "ci_high")


@dataclass(frozen=True)
class Audit:
    """Comparison of a printed table with its own counts.

    Attributes
    ----------
    summary : DataFrame
        One row per printed odds ratio: the crude odds ratio, both intervals and
        the p value from the counts, and a verdict on each printed number.
    """

    summary: pd.DataFrame

    @property
    def text(self) -> str:
        """The findings as text."""
        lines = []
        for row in self.summary.to_dict("records"):
            lines.append(
                f"{row['outcome']}: printed {row['printed']}; crude from the counts {row['crude_odds_ratio']:.3f} "
                f"(profile {row['profile_low']:.3f}-{row['profile_high']:.3f}, "
                f"Wald {row['wald_low']:.3f}-{row['wald_high']:.3f}), p = {row['crude_p']:.2g}"
            )
            lines.append(f"    odds ratio: {row['odds_ratio_is']}; interval: {row['interval_is']}; p: {row['p_is']}")
        crude = int((self.summary["odds_ratio_is"] == "the crude one").sum())
        lines.append(f"{crude} of {len(self.summary)} printed odds ratios are the crude ones to the printed decimals.")
        return "\n".join(lines)


def audit_file(path: Path) -> Audit:
    """Audit a CSV. ``example`` means the shipped P/A rows of Kim et al. 2026."""
    if str(path) == "example":
        with resources.as_file(resources.files("analysis").joinpath("audit_example.csv")) as shipped:
            return audit(_read(shipped), "audit_example.csv")
    return audit(_read(path), path.name)


def audit(printed: pd.DataFrame, where: str = "table") -> Audit:
    """Compare every printed odds ratio with its own two-by-two table.

    Parameters
    ----------
    printed : DataFrame
        ``outcome, n_low, n_high, events_low, events_high, odds_ratio, ci_low,
        ci_high`` and perhaps ``p_value``. Numbers given as text keep the printed
        number of decimals.
    where : str
        Name of the table in messages.

    Notes
    -----
    A printed number may equal that of the crude model although the table calls
    it adjusted. Then the adjustment changed no printed decimal, or was not made.
    """
    missing = [name for name in ("outcome", *_NUMBERS) if name not in printed.columns]
    if missing:
        raise DataError(where, f"no column {missing[0]}", f"outcome, {', '.join(_NUMBERS)}", "Add it.")
    rows = []
    for number, row in enumerate(printed.astype("string").to_dict("records"), 1):
        try:
            values = {name: float(str(row[name])) for name in _NUMBERS}
            printed_p = _p(row.get("p_value"))
        except ValueError:
            raise DataError(f"{where}, row {number}", "text where a number is", "numbers", "Correct it.") from None
        low, high = (values["events_low"], values["n_low"]), (values["events_high"], values["n_high"])
        if not all(0 < events < n for events, n in (low, high)):
            raise DataError(f"{where}, row {number}", "no events, or nobody without", "0 < events < n", "Remove it.")
        if wrong := _impossible(values, printed_p):
            raise DataError(
                f"{where}, row {number}", wrong, "a printed table's numbers", "Correct it, or remove the row."
            )
        rows.append(_one(row, values, printed_p))
    return Audit(pd.DataFrame(rows))


def _impossible(values: dict[str, float], printed_p: tuple[str, float] | None) -> str:
    """What no table can have printed, as words; empty if nothing."""
    counts = [values[name] for name in ("n_low", "n_high", "events_low", "events_high")]
    if not all(np.isfinite(count) and count == round(count) for count in counts):
        return "counts that are no whole numbers"
    # 0.00 may be a small number that was rounded.
    if not (0 <= values["odds_ratio"] < np.inf and 0 <= values["ci_low"] <= values["ci_high"] < np.inf):
        return "an odds ratio or an interval that is below 0, or whose ends are exchanged"
    return "" if printed_p is None or 0 <= printed_p[1] <= 1 else f"a p value of {printed_p[0]}"


def _one(row: dict[Any, Any], values: dict[str, float], printed_p: tuple[str, float] | None) -> dict[str, Any]:
    regressors = np.array([[0.0], [1.0]])
    weights = np.array([values["n_low"], values["n_high"]])
    shares = np.array([values["events_low"], values["events_high"]]) / weights
    fit = fit_logistic(regressors, shares, ("high",), weights=weights)
    beta, error = float(fit.coefficients[1]), float(fit.standard_errors[1])
    profile_low, profile_high = profile_interval(fit, regressors, shares, 0, weights=weights)
    half = float(normal_quantile(0.975)) * error
    wald, profile = np.exp([beta - half, beta + half]), np.exp([float(profile_low or 0), float(profile_high or 0)])
    ends = [str(row["ci_low"]), str(row["ci_high"])]
    is_wald = all(_prints_as(value, text) for value, text in zip(wald, ends, strict=True))
    is_profile = all(_prints_as(value, text) for value, text in zip(profile, ends, strict=True))
    implied = "not known"
    if values["ci_low"] > 0:
        implied = f"{(np.log(values['ci_high']) - np.log(values['ci_low'])) / (2 * 1.959964):.3f}"
    interval = {
        (True, True): "Wald or profile, which agree here",
        (True, False): "Wald of the crude model",
        (False, True): "profile likelihood of the crude model",
        (False, False): f"neither (its log standard error is {implied}, the counts give {error:.3f})",
    }[is_wald, is_profile]
    p = float(fit.p_values[1])
    return {
        "outcome": row["outcome"],
        "printed": f"{row['odds_ratio']} ({row['ci_low']}-{row['ci_high']})",
        "crude_odds_ratio": float(np.exp(beta)),
        "wald_low": wald[0],
        "wald_high": wald[1],
        "profile_low": profile[0],
        "profile_high": profile[1],
        "crude_p": p,
        "odds_ratio_is": "the crude one"
        if _prints_as(np.exp(beta), str(row["odds_ratio"]))
        else "the crude one of the reversed contrast"
        if _prints_as(np.exp(-beta), str(row["odds_ratio"]))
        else "not the crude one",
        "interval_is": interval,
        "p_is": _judge_p(p, printed_p),
    }


def _prints_as(value: float, text: str) -> bool:
    """Whether a number, rounded to the printed decimals, equals the printed one."""
    decimals = len(text.partition(".")[2])
    return bool(abs(round(float(value), decimals) - float(text)) < 10 ** -(decimals + 2))


def _p(text: Any) -> tuple[str, float] | None:
    if text is None or pd.isna(text) or not str(text).strip():
        return None
    stripped = str(text).strip()
    return stripped, float(stripped.lstrip("<"))


def _judge_p(p: float, printed: tuple[str, float] | None) -> str:
    if printed is None:
        return "not printed"
    text, value = printed
    if text.startswith("<"):
        return "agrees" if p < value else f"does not agree: the counts give {p:.3g}"
    decimals = len(text.partition(".")[2])
    return "agrees" if abs(p - value) <= 0.5 * 10**-decimals + 1e-12 else f"does not agree: the counts give {p:.3g}"


def _read(path: Path) -> pd.DataFrame:
    return read_table(path, text_columns=("outcome", *_NUMBERS, "p_value"))
