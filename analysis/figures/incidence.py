"""Cumulative incidence of dated events by thirds of an exposure."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analysis.definitions import label_of
from analysis.figures.style import COLOUR, DOUBLE_COLUMN, GREY, bare, new_figure

__all__ = ["incidence_figure"]

_THIRDS = (("lowest third", COLOUR["M"]), ("middle third", GREY), ("highest third", COLOUR["F"]))


def incidence_figure(curves: pd.DataFrame) -> Figure:
    """A panel per event: share with the event (solid), and share who died before it (dotted).

    Parameters
    ----------
    curves : DataFrame
        From `analysis.competing_risks.incidence_by_thirds`.
    """
    events = list(curves["event"].unique())
    figure = new_figure(DOUBLE_COLUMN * min(1.0, 0.5 * len(events)), 2.4)
    for axes, event in zip(figure.subplots(1, len(events), squeeze=False)[0], events, strict=True):
        for third, (label, colour) in enumerate(_THIRDS):
            part = curves[(curves["event"] == event) & (curves["third"] == third)]
            axes.plot(part["time"], 100 * part["share"], color=colour, lw=1.2, label=label)
            axes.plot(part["time"], 100 * part["died_first"], color=colour, lw=0.7, ls=":")
        axes.set_title(label_of(event), fontsize=7)
        axes.set_xlabel("Years since imaging")
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        bare(axes)
    first = figure.axes[0]
    first.set_ylabel("Cumulative incidence, %")
    first.legend(loc="upper left", title="dotted: died first", title_fontsize=6)
    return figure
