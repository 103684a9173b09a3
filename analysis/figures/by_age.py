"""Figures by age and sex: box plots and the decline."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.definitions import CutOffs
from analysis.figures.style import COLOUR, DOUBLE_COLUMN, MEASURE_LABEL, SEX_LABEL, bare, new_figure, thousands
from analysis.splines import KNOT_PERCENTILES, restricted_cubic_spline
from analysis.trend import AGE_GROUPS, age_group

__all__ = ["box_by_age", "decline_by_age"]

_MEASURES = ("almi", "tmv_cm3", "tvi_cm3_per_cm2")


def box_by_age(table: pd.DataFrame, cut_offs: CutOffs, measures: tuple[str, ...] = _MEASURES) -> Figure:
    """Median, quartiles and 5th to 95th percentile by age group and sex; numbers of people below.

    Parameters
    ----------
    table : DataFrame
        All ages, as `analysis.cohort.Cohort.all_ages`.
    cut_offs : CutOffs
        Drawn as lines in the panel of ALMI.
    measures : tuple of str
        Columns of the table; a panel for each.
    """
    figure = new_figure(DOUBLE_COLUMN, 2.9)
    groups = age_group(table["age"])
    names = [name for name in AGE_GROUPS if (groups == name).any()]
    sexes = [sex for sex in ("M", "F") if (table["sex"] == sex).any()]
    panels = figure.subplots(1, len(measures), squeeze=False)[0]
    for axes, letter, measure in zip(panels, "abcdefgh", measures, strict=False):
        for sex in sexes:
            shift = {"M": -0.2, "F": 0.2}[sex] if len(sexes) == 2 else 0.0
            for place, name in enumerate(names):
                values = table.loc[(groups == name) & (table["sex"] == sex), measure].dropna().to_numpy(dtype=float)
                if len(values) >= 5:
                    _box(axes, place + shift, values, COLOUR[sex])
                count = thousands(len(values))
                row = -0.145 - 0.055 * sexes.index(sex)
                axes.annotate(count, (place, row), xycoords=("data", "axes fraction"), ha="center", fontsize=5,
                              color=COLOUR[sex], annotation_clip=False)  # fmt: skip
        if measure == "almi":
            for sex, cut in (("M", cut_offs.almi_men), ("F", cut_offs.almi_women)):
                axes.axhline(cut, color=COLOUR[sex], linewidth=0.8, linestyle=(0, (4, 2)), zorder=0)
                axes.annotate(f"{cut:.1f}", (1.0, cut), xycoords=("axes fraction", "data"), xytext=(1, 0),
                              textcoords="offset points", fontsize=5.5, color=COLOUR[sex], va="center")  # fmt: skip
        axes.set_xticks(range(len(names)), [name.replace("-", "–") for name in names])
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.set_title(f"{letter}  {MEASURE_LABEL[measure]}")
        axes.set_xlabel("Age, years; number of people", labelpad=20)
        _tidy(axes, table[measure])
        bare(axes)
    handles = [Patch(facecolor=COLOUR[sex], alpha=0.55, label=SEX_LABEL[sex]) for sex in sexes]
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    return figure


def decline_by_age(table: pd.DataFrame, measures: tuple[str, ...] = _MEASURES) -> Figure:
    """Mean per year of age with its 95% interval, the straight line, and the natural cubic spline (dashed), by sex.

    Parameters
    ----------
    table : DataFrame
        The analysed people. Years with fewer than 10 people are not drawn.
    measures : tuple of str
        Columns of the table; a panel for each.
    """
    figure = new_figure(DOUBLE_COLUMN, 2.4)
    year = np.floor(table["age"])
    panels = figure.subplots(1, len(measures), squeeze=False)[0]
    for axes, letter, measure in zip(panels, "abcdefgh", measures, strict=False):
        for sex in ("M", "F"):
            part = table[(table["sex"] == sex) & table[measure].notna()]
            if len(part) < 10:
                continue
            by_year = part.groupby(year[part.index])[measure].agg(["mean", "std", "count"])
            by_year = by_year[by_year["count"] >= 10]
            half = 1.96 * by_year["std"] / np.sqrt(by_year["count"])
            axes.errorbar(
                by_year.index + 0.5, by_year["mean"], half, fmt="o", ms=1.8, lw=0.6, color=COLOUR[sex], alpha=0.6
            )
            if part["age"].nunique() < 2:
                continue  # one age has no slope
            slope, intercept = np.polyfit(part["age"].astype(float), part[measure].astype(float), 1)
            ages = np.array([part["age"].min(), part["age"].max()], dtype=float)
            axes.plot(ages, intercept + slope * ages, color=COLOUR[sex], lw=1.3)
            curve = _curve(part["age"].to_numpy(dtype=float), part[measure].to_numpy(dtype=float))
            if curve is not None:
                axes.plot(*curve, color="#222222", lw=0.8, ls=(0, (3, 2)))
            axes.annotate(
                f"{SEX_LABEL[sex]}: {_signed(10 * slope)} per decade",
                (0.03, 0.98 if sex == "M" else 0.02),
                xycoords="axes fraction", va="top" if sex == "M" else "bottom", fontsize=6.5, color=COLOUR[sex],
            )  # fmt: skip
        axes.margins(y=0.16)
        axes.set_title(f"{letter}  {MEASURE_LABEL[measure]}")
        axes.set_xlabel("Age, years")
        _tidy(axes, table[measure])
        bare(axes)
    return figure


def _box(axes: Axes, x: float, values: np.ndarray, colour: str) -> None:
    p5, q1, median, q3, p95 = np.percentile(values, [5, 25, 50, 75, 95])
    axes.plot([x, x], [p5, p95], color=colour, lw=0.8, solid_capstyle="butt", zorder=1)
    axes.bar(x, q3 - q1, bottom=q1, width=0.34, facecolor=_pale(colour), edgecolor=colour, linewidth=0.8, zorder=2)
    axes.plot([x - 0.17, x + 0.17], [median, median], color=colour, lw=1.6, solid_capstyle="butt", zorder=3)


def _curve(age: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The natural cubic spline of `analysis.trend.decline_per_decade`, over the ages in the data."""
    knots = np.percentile(age, KNOT_PERCENTILES)
    ages = np.linspace(age.min(), age.max(), 80)
    try:
        basis, shown = restricted_cubic_spline(age, knots), restricted_cubic_spline(ages, knots)
    except ValueError:
        return None
    coefficients = np.linalg.lstsq(np.column_stack([np.ones_like(age), basis]), values)[0]
    return ages, coefficients[0] + shown @ coefficients[1:]


def _tidy(axes: Axes, values: pd.Series) -> None:
    if values.median() > 1000:
        axes.yaxis.set_major_formatter(thousands)


def _pale(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 1 - 0.35 * (1 - red), 1 - 0.35 * (1 - green), 1 - 0.35 * (1 - blue)


def _signed(number: float) -> str:
    digits = max(0, 1 - int(np.floor(np.log10(abs(number))))) if number else 0
    return f"{number:+.{digits}f}".replace("-", "−")
