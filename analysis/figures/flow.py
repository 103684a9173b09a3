"""Flow of participants, as STROBE recommends."""

from __future__ import annotations

import textwrap

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.style import COLOUR, SINGLE_COLUMN, new_figure, thousands

__all__ = ["flow_figure"]


def flow_figure(flow: pd.DataFrame) -> Figure:
    """Who entered, who was excluded and why, who was analysed. Steps that excluded nobody are left out.

    Parameters
    ----------
    flow : DataFrame
        `analysis.cohort.Cohort.flow`.
    """
    left = flow[(flow["step"] > 0) & (flow["excluded"] > 0)]
    figure = new_figure(SINGLE_COLUMN * 1.25, 0.95 + 0.42 * len(left))
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_xlim(0, 10)
    top = len(left) + 1.0
    axes.set_ylim(-0.55, top + 0.45)
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "linewidth": 0.8}
    first, last = flow.iloc[0], flow.iloc[-1]
    arrow = {"arrowstyle": "-|>", "color": "#555555", "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (2.4, 0.42), (2.4, top - 0.3), arrowprops=arrow)
    text = f"In the participants table\nn = {thousands(first['remaining'])}"
    axes.text(2.4, top, text, ha="center", va="center", bbox=box | {"edgecolor": "#555555"})
    text = f"Analysed\nn = {thousands(last['remaining'])}"
    axes.text(2.4, 0, text, ha="center", va="center", weight="bold", bbox=box | {"edgecolor": COLOUR["M"]})
    for place, (_, row) in enumerate(left.iterrows()):
        y = top - 1 - place
        axes.annotate("", (4.2, y), (2.4, y), arrowprops=arrow)
        words = str(row["reason"])
        reason = "\n".join(textwrap.wrap(words[0].upper() + words[1:].replace("bmi", "BMI"), 40))
        axes.text(4.35, y, f"{reason}: n = {thousands(row['excluded'])}", ha="left", va="center", fontsize=6.5,
                  bbox=box | {"edgecolor": "#BBBBBB", "boxstyle": "round,pad=0.35"})  # fmt: skip
    return figure
