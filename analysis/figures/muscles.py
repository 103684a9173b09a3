"""Every muscle: forest plot of the odds ratios per SD, and volcano plot against the p values."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from analysis.definitions import label_of
from analysis.figures.style import COLOUR, DOUBLE_COLUMN, GREY, bare, new_figure
from analysis.text_tables import format_count, format_p

__all__ = ["muscle_forest", "volcano"]

_LEVEL = 0.05
_MOST_NAMED, _MOST_TICKS = 6, 5
# Height of a label, as a share of the largest -log10 p.
_LABEL_SHARE = 0.045
_MODELS = (("adjusted", GREY, -0.17), ("adjusted and TMV", COLOUR["M"], 0.17))
_LEGEND = {"adjusted": "Adjusted", "adjusted and TMV": "Adjusted, and for total muscle volume"}
_TICKS = (0.5, 0.67, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0)


def volcano(associations: pd.DataFrame, model: str = "adjusted and TMV") -> Figure:
    """A panel per outcome. Muscles below p (BH) = 0.05 are blue, P/A is orange; the smallest p are named.

    Parameters
    ----------
    associations : DataFrame
        From `analysis.muscles.muscle_associations`.
    model : str
    """
    shown = associations[(associations["model"] == model) & associations["p_value"].notna()]
    outcomes = list(shown["outcome"].unique()) or list(associations["outcome"].unique())
    figure = new_figure(DOUBLE_COLUMN, 2.6)
    panels = figure.subplots(1, len(outcomes), squeeze=False)[0]
    for axes, outcome in zip(panels, outcomes, strict=True):
        part = shown[shown["outcome"] == outcome].sort_values("p_value")
        height = -np.log10(part["p_value"].clip(lower=1e-300))
        found, ratio = (part["p_bh"] < _LEVEL).to_numpy(), (part["muscle"] == "pa_ratio").to_numpy()
        for who, colour in ((~found & ~ratio, GREY), (found, COLOUR["M"]), (ratio, COLOUR["F"])):
            axes.scatter(part["odds_ratio"][who], height[who], s=9, color=colour, linewidths=0)
        named = part[ratio | (np.arange(len(part)) < _MOST_NAMED)]
        span, lowest = max(float(height.max()), -np.log10(_LEVEL)), {True: np.inf, False: np.inf}
        for index, row in named.iterrows():  # from the smallest p down; labels that would meet move down
            left = row["odds_ratio"] < 1
            lowest[left] = min(float(height[index]), lowest[left] - _LABEL_SHARE * span)
            axes.annotate(_name(row["muscle"]), (row["odds_ratio"], lowest[left]), xytext=(-3 if left else 3, -1),
                          textcoords="offset points", fontsize=5, ha="right" if left else "left")  # fmt: skip
        axes.axvline(1.0, color="#555555", lw=0.6, ls=(0, (4, 3)), zorder=0)
        axes.axhline(-np.log10(_LEVEL), color="#999999", lw=0.6, ls=":", zorder=0)
        axes.set_xscale("log")
        axes.set_title(label_of(outcome))
        axes.set_xlabel("Odds ratio per SD")
        axes.margins(x=0.65, y=0.1)  # room for the labels
        low, high = axes.get_xlim()
        ticks = [tick for tick in _TICKS if low <= tick <= high]
        if len(ticks) > _MOST_TICKS:
            ticks = [tick for tick in ticks if tick not in (0.95, 1.05)]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([f"{tick:g}" for tick in ticks])
        bare(axes)
    panels[0].set_ylabel("−log10 p")
    return figure


def muscle_forest(associations: pd.DataFrame) -> Figure:
    """A panel per outcome and a line per muscle: odds ratio per SD with its interval, without and with muscle volume.

    Parameters
    ----------
    associations : DataFrame
        From `analysis.muscles.muscle_associations`. Muscles keep one order in all panels: that of their odds ratio
        with volume in the model, for the first outcome. P/A is the last line.
    """
    shown = associations[associations["odds_ratio"].notna()]
    outcomes = list(shown["outcome"].unique())
    first = shown[(shown["outcome"] == outcomes[0]) & (shown["model"] == _MODELS[1][0])].sort_values("odds_ratio")
    order = [*(name for name in first["muscle"] if name != "pa_ratio"), "pa_ratio"]
    places = {name: place + (0.6 if name == "pa_ratio" else 0.0) for place, name in enumerate(order)}
    figure = new_figure(DOUBLE_COLUMN, 0.9 + 0.165 * len(order))
    panels = figure.subplots(1, len(outcomes), squeeze=False, sharey=True)[0]
    for axes, outcome in zip(panels, outcomes, strict=True):
        part = shown[shown["outcome"] == outcome]
        for model, colour, offset in _MODELS:
            rows = part[(part["model"] == model) & part["muscle"].isin(order)]
            y = rows["muscle"].map(places).to_numpy(dtype=float) + offset
            axes.hlines(y, rows["ci_low"], rows["ci_high"], color=colour, lw=0.9)
            axes.plot(rows["odds_ratio"], y, "s" if offset > 0 else "o", ms=2.6, color=colour, label=_LEGEND[model])
            if offset > 0:
                for row, line in zip(rows.to_dict("records"), y, strict=True):
                    _p_beside(axes, row["p_value"] if row["muscle"] == "pa_ratio" else row["p_bh"], line - offset)
        axes.axvline(1.0, color="#555555", lw=0.6, ls=(0, (4, 3)), zorder=0)
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        ticks = [tick for tick in (0.5, 0.67, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0) if low <= tick <= high]
        axes.xaxis.set_major_locator(FixedLocator(ticks if len(ticks) > 1 else [low, 1.0, high]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.2g}")
        events = part[part["model"] == _MODELS[0][0]].iloc[0]
        people = f"{format_count(events['events'])} / {format_count(events['n'])}"
        axes.set_title(f"{label_of(outcome)}\n{people}", fontsize=7)
        axes.annotate("p (BH)", (1.02, -1.1), xycoords=("axes fraction", "data"), fontsize=5, color="#555555",
                      va="center", annotation_clip=False)  # fmt: skip
        axes.set_xlabel("Odds ratio per SD (95% CI)")
        bare(axes)
    panels[0].set_yticks(list(places.values()), [_name(name) for name in places])
    panels[0].set_ylim(max(places.values()) + 0.7, -0.7)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=2)
    return figure


def _p_beside(axes: Axes, p: float, y: float) -> None:
    axes.annotate(format_p(p), (1.02, y), xycoords=("axes fraction", "data"), fontsize=5, va="center",
                  annotation_clip=False, weight="bold" if p < _LEVEL else "normal")  # fmt: skip


def _name(muscle: str) -> str:
    return "P/A" if muscle == "pa_ratio" else label_of(muscle)
