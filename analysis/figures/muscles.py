"""Every muscle: volcano plot of odds ratio against p value, and forest plot."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from analysis.definitions import label_of
from analysis.figures.style import COLOUR, DOUBLE_COLUMN, GREY, bare, new_figure

__all__ = ["muscle_forest", "volcano"]

_LEVEL = 0.05
_MOST_NAMED = 6
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
        for index, row in named.iterrows():
            text = "P/A" if row["muscle"] == "pa_ratio" else label_of(row["muscle"])
            axes.annotate(
                text, (row["odds_ratio"], height[index]), xytext=(3, 1), textcoords="offset points", fontsize=5
            )
        axes.axvline(1.0, color="#555555", lw=0.6, ls=(0, (4, 3)), zorder=0)
        axes.axhline(-np.log10(_LEVEL), color="#999999", lw=0.6, ls=":", zorder=0)
        axes.set_xscale("log")
        axes.set_title(label_of(outcome))
        axes.set_xlabel("Odds ratio per SD")
        axes.margins(x=0.2, y=0.1)
        low, high = axes.get_xlim()
        ticks = [tick for tick in _TICKS if low <= tick <= high]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([f"{tick:g}" for tick in ticks])
        bare(axes)
    panels[0].set_ylabel("−log10 p")
    return figure


def muscle_forest(associations: pd.DataFrame) -> Figure:
    """A panel per outcome and a line per muscle with its interval; with and without total muscle volume.

    Parameters
    ----------
    associations : DataFrame
        From `analysis.muscles.muscle_associations`. Muscles are in the order of
        the first outcome's odds ratios with total muscle volume in the model.
    """
    known = associations[associations["odds_ratio"].notna()]
    outcomes = list(known["outcome"].unique()) or list(associations["outcome"].unique())
    with_volume = known[(known["outcome"] == outcomes[0]) & (known["model"] == "adjusted and TMV")]
    order = list(with_volume.sort_values("odds_ratio")["muscle"]) or list(known["muscle"].unique())
    place = {muscle: number for number, muscle in enumerate(order)}
    figure = new_figure(DOUBLE_COLUMN, 0.8 + 0.15 * len(order))
    panels = figure.subplots(1, len(outcomes), squeeze=False, sharey=True)[0]
    looks = (("adjusted", -0.17, GREY, "o"), ("adjusted and TMV", 0.17, COLOUR["M"], "s"))
    for axes, outcome in zip(panels, outcomes, strict=True):
        for model, offset, colour, marker in looks:
            part = known[(known["outcome"] == outcome) & (known["model"] == model) & known["muscle"].isin(order)]
            heights = part["muscle"].map(place).to_numpy(dtype=float) + offset
            axes.hlines(heights, part["ci_low"], part["ci_high"], color=colour, lw=0.8)
            axes.scatter(part["odds_ratio"], heights, s=7, color=colour, marker=marker, linewidths=0, label=model)
        axes.axvline(1.0, color="#555555", lw=0.6, ls=(0, (4, 3)), zorder=0)
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        ticks = [tick for tick in _TICKS if low <= tick <= high][:: 2 if high / low > 2 else 1]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([f"{tick:g}" for tick in ticks])
        axes.set_title(label_of(outcome))
        axes.set_xlabel("Odds ratio per SD (95% CI)")
        bare(axes)
    panels[0].set_yticks(range(len(order)), ["P/A ratio" if name == "pa_ratio" else label_of(name) for name in order])
    panels[0].tick_params(axis="y", labelsize=5.5, length=0)
    panels[0].set_ylim(-0.7, len(order) - 0.3)
    panels[-1].legend(loc="lower right")
    return figure
