"""Smallest odds ratio that a cohort finds, against its size."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from analysis.definitions import label_of
from analysis.figures.style import DOUBLE_COLUMN, bare, new_figure, thousands

__all__ = ["power_figure"]

_TICKS = (1.0, 1.1, 1.2, 1.3, 1.5, 1.7, 2.0, 2.5, 3.0, 4.0, 5.0)
_HIGHEST = 5.0
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#333333")


def power_figure(curves: pd.DataFrame, people: int | None = None) -> Figure:
    """A panel per contrast and a line per outcome.

    Parameters
    ----------
    curves : DataFrame
        From `analysis.power.power_curves`.
    people : int, optional
        Size of this cohort; drawn as a vertical line.
    """
    contrasts = list(curves["contrast"].unique())
    highest = curves["smallest_ratio"].max()
    top = float(min(_HIGHEST, 1.05 * highest)) if highest > 0 else _HIGHEST
    figure = new_figure(DOUBLE_COLUMN, 2.5)
    for axes, contrast in zip(
        figure.subplots(1, len(contrasts), squeeze=False, sharey=True)[0], contrasts, strict=True
    ):
        part = curves[curves["contrast"] == contrast]
        for number, (outcome, line) in enumerate(part.groupby("outcome", sort=False)):
            axes.plot(line["people"], line["smallest_ratio"], color=_COLOURS[number % len(_COLOURS)], lw=1.1,
                      label=label_of(str(outcome)))  # fmt: skip
        if people is not None:
            axes.axvline(people, color="#555555", lw=0.6, ls=(0, (4, 3)))
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(1.0, top)
        axes.yaxis.set_major_locator(FixedLocator([tick for tick in _TICKS if tick <= top]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_major_formatter(thousands)
        axes.set_title(contrast[0].upper() + contrast[1:], fontsize=7)
        axes.set_xlabel("People")
        bare(axes)
    figure.axes[0].set_ylabel("Smallest odds ratio found")
    figure.axes[-1].legend(loc="upper right")
    return figure
