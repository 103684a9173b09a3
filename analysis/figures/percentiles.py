"""Reference percentiles against age or height, drawn as published growth and reference curves are."""

from __future__ import annotations

import textwrap

import pandas as pd
from matplotlib.figure import Figure

from analysis.definitions import label_of
from analysis.figures.style import COLOUR, DOUBLE_COLUMN, MEASURE_LABEL, SEX_LABEL, bare, new_figure, thousands

__all__ = ["percentile_figure"]


def percentile_figure(curves: pd.DataFrame, against: str = "age") -> Figure:
    """A row per sex and a column per phenotype; the median is bold, bands are bootstrap intervals.

    Parameters
    ----------
    curves : DataFrame
        From `analysis.reference.percentile_curves` or ``height_curves``.
    against : {"age", "height_cm"}
    """
    phenotypes, sexes = list(curves["phenotype"].unique()), [s for s in ("M", "F") if (curves["sex"] == s).any()]
    figure = new_figure(DOUBLE_COLUMN, 2.1 * len(sexes) + 0.2)
    panels = figure.subplots(len(sexes), len(phenotypes), squeeze=False, sharex=True)
    for line, sex in zip(panels, sexes, strict=True):
        for axes, name in zip(line, phenotypes, strict=True):
            part = curves[(curves["sex"] == sex) & (curves["phenotype"] == name)]
            for percentile, curve in part.groupby("percentile"):
                middle = percentile == 50
                axes.plot(curve[against], curve["value"], color=COLOUR[sex], lw=1.5 if middle else 0.7)
                if curve["ci_low"].notna().all():
                    axes.fill_between(curve[against], curve["ci_low"], curve["ci_high"], color=COLOUR[sex], alpha=0.18,
                                      linewidth=0)  # fmt: skip
                if len(curve):
                    last = curve.iloc[-1]
                    axes.annotate(str(percentile), (last[against], last["value"]), xytext=(2, 0), va="center",
                                  textcoords="offset points", fontsize=5, color="#555555")  # fmt: skip
            if sex == sexes[0]:
                axes.set_title("\n".join(textwrap.wrap(MEASURE_LABEL.get(name, label_of(name)), 22)), fontsize=6.5)
            if name == phenotypes[0]:
                axes.set_ylabel(SEX_LABEL[sex], color=COLOUR[sex], weight="bold")
            if len(part) and part["value"].median() > 1000:
                axes.yaxis.set_major_formatter(thousands)
            bare(axes)
    for axes in panels[-1]:
        axes.set_xlabel("Age, years" if against == "age" else "Height, cm")
    return figure
