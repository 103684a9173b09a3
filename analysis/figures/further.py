"""Figures of the further analyses: survival by thirds, Bland and Altman, curves of odds ratios, decision curves."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.definitions import label_of
from analysis.describe import PAIRS
from analysis.figures.concordance import FEW
from analysis.figures.style import COLOUR, DOUBLE_COLUMN, GREY, SINGLE_COLUMN, bare, new_figure, thousands
from analysis.kaplan_meier import log_rank_p, survival_curve
from analysis.limits_of_agreement import line_and_limits
from analysis.survival import FollowUp
from analysis.text_tables import format_p
from analysis.thirds import tertiles

__all__ = ["bland_altman", "calibration_figure", "odds_ratio_figure", "survival_by_thirds"]

_THIRDS = ((0, "Lowest third", COLOUR["M"]), (1, "Middle third", GREY), (2, "Highest third", COLOUR["F"]))


def survival_by_thirds(
    table: pd.DataFrame, followed: FollowUp, exposure: str = "pa_ratio", cuts: tuple[float, float] | None = None
) -> Figure:
    """Kaplan and Meier's curves by thirds (or ``cuts``), with bands, and the numbers at risk below."""
    group = tertiles(table[exposure].to_numpy(dtype=float), cuts).group
    figure = new_figure(SINGLE_COLUMN * 1.4, 3.1)
    axes, below = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    known = np.isfinite(followed.years) & (group >= 0)
    last = float(np.percentile(followed.years[known], 99)) if known.any() else 1.0
    marks = np.arange(0, np.floor(last) + 1)
    for line, (code, label, colour) in enumerate(_THIRDS):
        own = known & (group == code)
        time, died = followed.years[own], followed.died[own]
        if not own.any():
            continue
        curve = survival_curve(time, died)
        edges = np.concatenate([[0.0], curve.time, [last]])
        alive, low, high = (np.concatenate([[1.0], ends, ends[-1:] if len(ends) else [1.0]])
                            for ends in (curve.alive, curve.low, curve.high))  # fmt: skip
        axes.step(edges, alive, where="post", color=colour, lw=1.1, label=label)
        axes.fill_between(edges, low, high, step="post", color=colour, alpha=0.15, linewidth=0)
        for mark in marks:
            below.text(
                mark, -line, thousands((time >= mark).sum()), ha="center", va="center", fontsize=5.5, color=colour
            )
        below.annotate(label.split()[0], (-0.01, -line), xycoords=("axes fraction", "data"), ha="right", va="center",
                       fontsize=5.5, color=colour, annotation_clip=False)  # fmt: skip
    p = log_rank_p(followed.years[known], followed.died[known], group[known], [0, 1, 2])
    axes.legend(loc="lower left")
    axes.annotate(
        f"log-rank p {format_p(p)}", (0.98, 0.04), xycoords="axes fraction", ha="right", va="bottom", fontsize=6.5
    )
    axes.set_ylabel("Share alive")
    axes.set_title(f"{label_of(exposure)}: {thousands(np.nansum(followed.died[known]))} deaths")
    axes.set_xlim(-0.25, last)
    below.set_ylim(-2.6, 0.8)
    below.set_yticks([])
    below.set_xlabel("Years since imaging")
    below.set_title("Number at risk", fontsize=6.5)
    below.spines[["top", "right", "left", "bottom"]].set_visible(False)
    bare(axes)
    return figure


_UNIT = {"leg_lean_kg": ", kg", "almi": ", kg/m²"}  # of the measures from DXA; asymmetries have none


def bland_altman(table: pd.DataFrame) -> Figure:
    """Difference against mean for MRI and DXA, volumes as mass, with bias and limits of agreement."""
    figure = new_figure(DOUBLE_COLUMN, 2.4)
    for axes, (first, second, factor, label) in zip(figure.subplots(1, len(PAIRS)), PAIRS, strict=True):
        known = table[[first, second]].dropna()
        x, y = factor * known[first].to_numpy(dtype=float), known[second].to_numpy(dtype=float)
        if len(x) < FEW:
            axes.scatter((x + y) / 2, x - y, s=3, color=COLOUR["all"], alpha=0.5, linewidths=0)
        else:
            axes.hexbin((x + y) / 2, x - y, gridsize=45, mincnt=1, bins="log", cmap="cividis", linewidths=0)
        found = line_and_limits(x, y)
        for value, style in ((found.bias, "-"), (found.limit_low, "--"), (found.limit_high, "--")):
            if np.isfinite(value):
                axes.axhline(value, color=COLOUR["F"], lw=0.9, ls=style)
                text, place = f"{value:.3g}".replace("-", "−"), ("axes fraction", "data")
                axes.annotate(text, (1.0, value), xycoords=place, xytext=(2, 0), textcoords="offset points",
                              fontsize=5.5, va="center")  # fmt: skip
        axes.set_title(label, fontsize=7)
        unit = _UNIT.get(second, "")
        axes.set_xlabel(f"Mean of both{unit}")
        axes.set_ylabel(f"MRI minus DXA{unit}")
        bare(axes)
    return figure


def odds_ratio_figure(curves: pd.DataFrame) -> Figure:
    """Odds ratio against the median of the exposure, with its band; a panel per outcome."""
    outcomes = list(curves["outcome"].unique())
    figure = new_figure(DOUBLE_COLUMN, 2.2)
    for axes, outcome in zip(figure.subplots(1, max(len(outcomes), 1), squeeze=False)[0], outcomes, strict=True):
        part = curves[curves["outcome"] == outcome]
        axes.fill_between(part["value"], part["ci_low"], part["ci_high"], color=COLOUR["M"], alpha=0.2, linewidth=0)
        axes.plot(part["value"], part["odds_ratio"], color=COLOUR["M"], lw=1.2)
        axes.axhline(1.0, color="#555555", lw=0.6, ls=(0, (4, 3)), zorder=0)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if value in (0.5, 2, 5) else "")
        axes.set_title(label_of(outcome), fontsize=7)
        axes.set_xlabel(label_of(str(part["exposure"].iloc[0])))
        bare(axes)
    return figure


def calibration_figure(calibration: pd.DataFrame, decision: pd.DataFrame, outcome: str | None = None) -> Figure:
    """Predicted against observed risk in tenths, and the decision curve, for covariates with and without P/A.

    Both are apparent: of the people whom the models were fitted to.

    Without ``outcome``: the first in the table, which is the one that no marker defines.
    """
    outcome = str(calibration["outcome"].iloc[0]) if outcome is None else outcome
    figure = new_figure(DOUBLE_COLUMN, 2.6)
    left, right = figure.subplots(1, 2)
    for model, colour in (("covariates", GREY), ("+ P/A", COLOUR["F"]), ("+ TMV", COLOUR["M"])):
        part = calibration[(calibration["outcome"] == outcome) & (calibration["model"] == model)]
        if part.empty:
            continue
        errors = np.array([part["observed"] - part["ci_low"], part["ci_high"] - part["observed"]])
        left.errorbar(part["predicted"], part["observed"], errors, fmt="o", ms=2.5, lw=0.7, color=colour, label=model)
        curve = decision[(decision["outcome"] == outcome) & (decision["model"] == model)]
        right.plot(curve["threshold"], curve["net_benefit"], "o-", ms=2.5, lw=0.9, color=colour)
    everybody = decision[(decision["outcome"] == outcome) & (decision["model"] == "everybody")]
    right.plot(
        everybody["threshold"], everybody["net_benefit"], lw=0.7, ls=":", color="#333333", label="act on everybody"
    )
    right.axhline(0, lw=0.7, color="#333333")
    right.set_ylim(bottom=min(-0.002, -0.1 * float(decision["net_benefit"].max())))
    top = max(left.get_xlim()[1], left.get_ylim()[1])
    left.plot([0, top], [0, top], lw=0.6, ls=(0, (4, 3)), color="#555555", zorder=0)
    left.legend(loc="upper left")
    right.legend(loc="upper right")
    left.set_title(f"{label_of(outcome)}: apparent calibration", fontsize=7)
    right.set_title("Apparent decision curve", fontsize=7)
    left.set_xlabel("Predicted risk")
    left.set_ylabel("Observed share")
    right.set_xlabel("Threshold of risk")
    right.set_ylabel("Net benefit")
    bare(left)
    bare(right)
    return figure
