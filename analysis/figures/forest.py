"""Forest plot of the odds ratios, exposures side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from analysis.definitions import EXPOSURES, OUTCOMES
from analysis.figures.style import COLOUR, DOUBLE_COLUMN, GREY, bare, new_figure

__all__ = ["forest"]

_LOOK = {"crude": {"marker": "o", "colour": GREY}, "adjusted": {"marker": "s", "colour": COLOUR["M"]}}
_TICKS = (0.1, 0.2, 0.25, 0.33, 0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0)


def forest(associations: pd.DataFrame, exposures: tuple[str, ...] = ("pa_ratio", "lr_asymmetry_dexa")) -> Figure:
    """Highest against lowest third, with crude above adjusted.

    Parameters
    ----------
    associations : DataFrame
        `analysis.odds_ratios.Associations.summary`.
    exposures : tuple of str
        One panel each.

    Notes
    -----
    Estimates by Firth's penalised likelihood have an open marker. Where the data
    do not determine an estimate, the figure says so in words.
    """
    models = [name for name in _LOOK if (associations["model"] == name).any()]
    outcomes = [name for name in OUTCOMES if (associations["outcome"] == name).any()]
    figure = new_figure(DOUBLE_COLUMN, 0.5 + 0.42 * len(outcomes) + 0.35)
    panels = figure.subplots(1, len(exposures), sharey=True, squeeze=False)[0]
    shown = associations[associations["exposure"].isin(exposures)]
    ends = shown[["ci_low", "ci_high"]].to_numpy(dtype=float)
    reach = np.nanmax(np.abs(np.log(ends))) if np.isfinite(ends).any() else np.log(2)
    reach = float(np.clip(1.08 * reach, np.log(1.3), np.log(12)))
    ticks = [tick for tick in _TICKS if abs(np.log(tick)) <= reach]
    while len(ticks) > 7:
        ticks = [tick for tick in ticks if tick == 1.0 or ticks.index(tick) % 2 == ticks.index(1.0) % 2]
    for axes, letter, exposure in zip(panels, "abcdefgh", exposures, strict=False):
        axes.axvline(1.0, color="#555555", linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
        for place, outcome in enumerate(outcomes):
            for model in models:
                offset = (0.18 if model == "adjusted" else -0.18) if len(models) > 1 else 0.0
                row = shown[(shown["exposure"] == exposure) & (shown["outcome"] == outcome) & (shown["model"] == model)]
                if len(row):
                    _one(axes, place + offset, row.iloc[0], model, reach)
        axes.set_xscale("log")
        axes.set_xlim(np.exp(-reach), np.exp(reach))
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([f"{tick:g}" for tick in ticks])
        axes.set_ylim(len(outcomes) - 0.45, -0.55)
        axes.set_yticks(range(len(outcomes)), [OUTCOMES[name] for name in outcomes])
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("Odds ratio, highest against lowest third (95% CI)")
        axes.set_title(f"{letter}  {EXPOSURES[exposure]}")
        bare(axes)
        axes.spines["left"].set_visible(False)
    handles = [
        panels[0].plot([], [], color=_LOOK[m]["colour"], marker=_LOOK[m]["marker"], ms=4, lw=1, label=m.capitalize())[0]
        for m in models
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(models))
    return figure


def _one(axes, y: float, row: pd.Series, model: str, reach: float) -> None:  # type: ignore[no-untyped-def]
    colour, marker = _LOOK[model]["colour"], _LOOK[model]["marker"]
    label = {"xycoords": ("axes fraction", "data"), "ha": "left", "va": "center", "fontsize": 5.6, "color": colour}
    if not np.isfinite(row["odds_ratio"]):
        axes.annotate("not estimable", (1.02, y), **label)
        return
    low = row["ci_low"] if np.isfinite(row["ci_low"]) else np.exp(-2 * reach)
    high = row["ci_high"] if np.isfinite(row["ci_high"]) else np.exp(2 * reach)
    axes.plot([low, high], [y, y], color=colour, linewidth=1.1, solid_capstyle="butt", clip_on=True)
    face = "white" if row["method"] == "firth" else colour
    axes.plot([row["odds_ratio"]], [y], marker=marker, ms=4, color=colour, markerfacecolor=face, clip_on=True)
    interval = f"{row['ci_low']:.2f}–{row['ci_high']:.2f}".replace("nan", "?")
    axes.annotate(f"{row['odds_ratio']:.2f} ({interval})", (1.02, y), **label)
