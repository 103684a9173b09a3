"""MRI against DXA: the people, the regression line and the line of identity."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from analysis.describe import PAIRS
from analysis.figures.style import COLOUR, DOUBLE_COLUMN, MEASURE_LABEL, SEX_LABEL, bare, new_figure, thousands
from analysis.limits_of_agreement import line_and_limits

__all__ = ["FEW", "concordance_figure"]

FEW = 2000  # fewer points are drawn individually


def concordance_figure(table: pd.DataFrame) -> Figure:
    """Three panels, the first two as in the paper's figure 3: TMV with leg lean mass, TVI with ALMI, asymmetries.

    Volumes and masses have different units. Their line of identity is where the
    mass equals that of the volume at 1.056 kg/L. Large cohorts are drawn as
    hexagonal cells with one shared scale.
    """
    figure = new_figure(DOUBLE_COLUMN, 2.75)
    norm = LogNorm(1, max(10.0, len(table) / 100))
    drawn = None
    panels = figure.subplots(1, len(PAIRS))
    for axes, letter, (first, second, factor, _) in zip(panels, "abc", PAIRS, strict=True):
        known = table[[first, second, "sex"]].dropna(subset=[first, second])
        x, y = known[first].to_numpy(dtype=float), known[second].to_numpy(dtype=float)
        if len(x) >= FEW:
            extent = (*np.percentile(x, [0.05, 99.95]), *np.percentile(y, [0.05, 99.95]))
            drawn = axes.hexbin(x, y, gridsize=45, mincnt=1, norm=norm, cmap="cividis", linewidths=0, extent=extent)
        else:
            for sex in ("M", "F"):
                who = (known["sex"] == sex).to_numpy(dtype=bool)
                axes.scatter(x[who], y[who], s=3, color=COLOUR[sex], alpha=0.5, linewidths=0)
        _lines(axes, x, y, factor, COLOUR["F"] if len(x) >= FEW else "#111111")
        axes.set_xlabel(MEASURE_LABEL[first])
        axes.set_ylabel(MEASURE_LABEL[second])
        axes.set_title(letter)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        if len(x) and np.median(x) > 1000:
            axes.xaxis.set_major_formatter(thousands)
        bare(axes)
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=panels, pad=0.01, shrink=0.8, aspect=25, format=FuncFormatter(thousands))
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
        bar.set_label("People per cell")
        bar.outline.set_linewidth(0.4)
    else:
        handles = [Patch(facecolor=COLOUR[sex], alpha=0.7, label=SEX_LABEL[sex]) for sex in ("M", "F")]
        figure.legend(handles=handles, loc="outside upper right", ncols=2)
    return figure


def _lines(axes: Axes, x: np.ndarray, y: np.ndarray, factor: float, colour: str) -> None:
    result = line_and_limits(x, y)
    if not np.isfinite(result.slope):
        return
    ends = np.percentile(x, [0.05, 99.95])
    axes.plot(ends, factor * ends, color="#555555", lw=0.9, ls=(0, (4, 2)))
    axes.plot(ends, result.intercept + result.slope * ends, color=colour, lw=1.3)
    text = f"r = {result.pearson:.3f}\n({result.pearson_low:.3f}–{result.pearson_high:.3f})"
    axes.annotate(f"{text}\nn = {thousands(result.n)}", (0.03, 0.98), xycoords="axes fraction", va="top", fontsize=6.5)
    # Leave room for the text above the points.
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top + 0.18 * (top - bottom))
