"""MRI against DXA: where the people lie, and the line through them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.agreement import agreement
from analysis.figures.style import COLOUR, DOUBLE_COLUMN, MEASURE_LABEL, bare, new_figure

__all__ = ["concordance_figure"]

_PAIRS = (("tmv_cm3", "leg_lean_kg"), ("tvi_cm3_per_cm2", "almi"))
_FEW = 2000  # fewer points are shown one by one


def concordance_figure(table: pd.DataFrame) -> Figure:
    """Two panels, as the paper's figure 3: TMV with leg lean mass, TVI with ALMI.

    Both pairs have their own units, so the line is the regression's and not
    the identity.
    """
    figure = new_figure(DOUBLE_COLUMN, 3.1)
    for axes, (first, second) in zip(figure.subplots(1, 2), _PAIRS, strict=True):
        known = table[[first, second, "sex"]].dropna(subset=[first, second])
        x, y = known[first].to_numpy(dtype=float), known[second].to_numpy(dtype=float)
        result = agreement(x, y)
        if len(x) >= _FEW:
            extent = (*np.percentile(x, [0.05, 99.95]), *np.percentile(y, [0.05, 99.95]))
            cells = axes.hexbin(x, y, gridsize=55, mincnt=1, bins="log", cmap="cividis", linewidths=0, extent=extent)
            bar = figure.colorbar(cells, ax=axes, pad=0.02, shrink=0.7, aspect=22)
            bar.set_label("people per cell")
            bar.outline.set_linewidth(0.4)
        else:
            for sex in ("M", "F"):
                who = (known["sex"] == sex).to_numpy(dtype=bool)
                axes.scatter(x[who], y[who], s=3, color=COLOUR[sex], alpha=0.5, linewidths=0)
        if np.isfinite(result.slope):
            ends = np.percentile(x, [0.05, 99.95])
            axes.plot(ends, result.intercept + result.slope * ends, color=COLOUR["F"], lw=1.3)
            text = f"r = {result.pearson:.3f} ({result.pearson_low:.3f}–{result.pearson_high:.3f})"
            count = f"{result.n:,}".replace(",", " ")
            axes.annotate(f"{text}\nn = {count}", (0.03, 0.97), xycoords="axes fraction", va="top", fontsize=7)
        axes.set_xlabel(MEASURE_LABEL[first])
        axes.set_ylabel(MEASURE_LABEL[second])
        bare(axes)
    return figure
