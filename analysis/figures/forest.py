"""Forest plot of the odds ratios: a block per exposure, with the numbers beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from analysis.definitions import label_of
from analysis.figures.style import COLOUR, DOUBLE_COLUMN, GREY, bare, new_figure
from analysis.text_tables import format_count, format_p, format_ratio

__all__ = ["forest"]

_LOOK = {"crude": {"marker": "o", "colour": GREY}, "adjusted": {"marker": "s", "colour": COLOUR["M"]}}
_TICKS = (0.1, 0.2, 0.25, 0.33, 0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0)
_MOST_EXPOSURES = 6
# Places of the columns of numbers, as shares of the plot's width: left of it and right of it.
_EVENTS_LOW, _EVENTS_HIGH, _RATIO, _P = -0.42, -0.12, 1.04, 1.62
_SIZE = 6


def forest(associations: pd.DataFrame, exposures: tuple[str, ...] | None = None) -> Figure:
    """Highest against lowest third, crude above adjusted, with events, numbers of people and p.

    Parameters
    ----------
    associations : DataFrame
        `analysis.odds_ratios.Associations.summary`.
    exposures : tuple of str, optional
        Default: the first six in the table.

    Notes
    -----
    Estimates by Firth's penalised likelihood have an open marker. Where the data
    do not determine an estimate, the figure says so in words.
    """
    chosen = tuple(associations["exposure"].unique())[:_MOST_EXPOSURES] if exposures is None else exposures
    shown = associations[associations["exposure"].isin(chosen)]
    models = [name for name in _LOOK if (shown["model"] == name).any()]
    outcomes = list(shown["outcome"].unique())
    lines = len(chosen) * (len(outcomes) + 1)
    figure = new_figure(DOUBLE_COLUMN, 0.75 + 0.24 * lines)
    axes = figure.add_axes((0.46, 0.42 / (0.75 + 0.24 * lines), 0.27, 1 - 0.72 / (0.75 + 0.24 * lines)))
    figure.set_layout_engine("none")
    reach = _reach(shown)
    axes.axvline(1.0, color="#555555", linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
    y = 0.0
    ticks: list[tuple[float, str]] = []
    for exposure in chosen:
        axes.annotate(label_of(exposure), (-1.66, y), xycoords=("axes fraction", "data"), weight="bold", va="center",
                      annotation_clip=False)  # fmt: skip
        for outcome in outcomes:
            y += 1
            ticks.append((y, label_of(outcome)))
            rows = shown[(shown["exposure"] == exposure) & (shown["outcome"] == outcome)]
            for model in models:
                offset = (0.17 if model == "adjusted" else -0.17) if len(models) > 1 else 0.0
                row = rows[rows["model"] == model]
                if len(row):
                    _one(axes, y + offset, row.iloc[0], model, reach)
            if len(rows):
                _numbers(axes, y, rows.iloc[-1])
        y += 1
    _dress(axes, y, ticks, reach)
    handles = [
        axes.plot([], [], color=_LOOK[m]["colour"], marker=_LOOK[m]["marker"], ms=4, lw=1, label=m.capitalize())[0]
        for m in models
    ]
    figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.005, 0.005), ncols=len(models))
    return figure


def _reach(shown: pd.DataFrame) -> float:
    """Half width of the logarithmic axis."""
    ends = shown[["ci_low", "ci_high"]].to_numpy(dtype=float)
    widest = np.nanmax(np.abs(np.log(ends))) if np.isfinite(ends).any() else np.log(2)
    return float(np.clip(1.08 * widest, np.log(1.3), np.log(12)))


def _dress(axes: Axes, lowest: float, rows: list[tuple[float, str]], reach: float) -> None:
    ticks = [tick for tick in _TICKS if abs(np.log(tick)) <= reach]
    while len(ticks) > 7:
        ticks = [tick for tick in ticks if tick == 1.0 or ticks.index(tick) % 2 == ticks.index(1.0) % 2]
    axes.set_xscale("log")
    axes.set_xlim(np.exp(-reach), np.exp(reach))
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{tick:g}" for tick in ticks])
    axes.set_ylim(lowest - 0.4, -0.6)
    axes.set_yticks([])
    for y, label in rows:
        axes.annotate(label, (-1.6, y), xycoords=("axes fraction", "data"), va="center", fontsize=_SIZE + 0.5,
                      annotation_clip=False)  # fmt: skip
    heads = ((_EVENTS_LOW, "Lowest: events / n"), (_EVENTS_HIGH, "Highest"), (_RATIO, "Odds ratio (95% CI)"), (_P, "p"))
    for place, text in heads:
        axes.annotate(text, (place, 0.0), xycoords=("axes fraction", "data"), va="center", fontsize=_SIZE,
                      ha="right" if place < 0 else "left", color="#555555", annotation_clip=False)  # fmt: skip
    axes.set_xlabel("Odds ratio, highest against lowest third (95% CI)")
    bare(axes)
    axes.spines["left"].set_visible(False)


def _numbers(axes: Axes, y: float, row: pd.Series) -> None:
    """Events and people, and the fullest model's odds ratio and p, on the outcome's line."""
    look: dict[str, Any] = {
        "xycoords": ("axes fraction", "data"),
        "va": "center",
        "fontsize": _SIZE,
        "annotation_clip": False,
    }
    for place, third in ((_EVENTS_LOW, "low"), (_EVENTS_HIGH, "high")):
        text = f"{format_count(row[f'events_{third}'])} / {format_count(row[f'n_{third}'])}"
        axes.annotate(text, (place, y), ha="right", **look)
    if not np.isfinite(row["odds_ratio"]):
        axes.annotate("not estimable", (_RATIO, y), ha="left", **look)
        return
    axes.annotate(format_ratio(row["odds_ratio"], row["ci_low"], row["ci_high"]), (_RATIO, y), ha="left", **look)
    axes.annotate(format_p(row["p_value"]), (_P, y), ha="left", **look)


def _one(axes: Axes, y: float, row: pd.Series, model: str, reach: float) -> None:
    if not np.isfinite(row["odds_ratio"]):
        return
    colour, marker = _LOOK[model]["colour"], _LOOK[model]["marker"]
    low = row["ci_low"] if np.isfinite(row["ci_low"]) else np.exp(-2 * reach)
    high = row["ci_high"] if np.isfinite(row["ci_high"]) else np.exp(2 * reach)
    axes.plot([low, high], [y, y], color=colour, linewidth=1.1, solid_capstyle="butt", clip_on=True)
    face = "white" if row["method"] == "firth" else colour
    axes.plot([row["odds_ratio"]], [y], marker=marker, ms=3.6, color=colour, markerfacecolor=face, clip_on=True)
