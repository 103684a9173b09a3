"""Shared style of the figures: colours, sizes and output files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from analysis.files import replacing

__all__ = [
    "COLOUR",
    "DOUBLE_COLUMN",
    "GREY",
    "MEASURE_LABEL",
    "SEX_LABEL",
    "SINGLE_COLUMN",
    "bare",
    "new_figure",
    "save",
    "thousands",
]

# Okabe and Ito's palette: distinguishable with any colour vision.
COLOUR = {"M": "#0072B2", "F": "#D55E00", "all": "#333333"}
GREY = "#8A8A8A"
SEX_LABEL = {"M": "Men", "F": "Women", "all": "All"}
MEASURE_LABEL = {
    "almi": "ALMI, kg/m²",
    "tmv_cm3": "Total muscle volume, cm³",
    "tvi_cm3_per_cm2": "Total volume index, cm³/cm²",
    "grip_kg": "Grip strength, kg",
    "pa_ratio": "P/A ratio",
    "leg_lean_kg": "DXA leg lean mass, kg",
    "lr_asymmetry_mri": "L/R asymmetry, MRI",
    "lr_asymmetry_dexa": "L/R asymmetry, DXA",
}
# Inches: 89 and 183 mm.
SINGLE_COLUMN, DOUBLE_COLUMN = 3.5, 7.2
_DPI = 300

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # no figure has ticks at its top, so that matplotlib need not look for the title's place
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "text.parse_math": False,  # a name of a column may hold "$"
    "svg.fonttype": "none",  # text stays text, so that it can be searched and edited
    "svg.hashsalt": "sarcomap",  # equal figures give equal files
}


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure (size in inches) in our style, without a window."""
    mpl.rcParams.update(_STYLE)
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def thousands(number: float, place: object = None) -> str:
    """Format with thin spaces between thousands; also usable as a tick formatter."""
    return f"{number:,.0f}".replace(",", "\u2009")


def bare(axes: Axes) -> None:
    """Remove the frame above and on the right."""
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, folder: Path, name: str, mark: str = "") -> tuple[Path, Path]:
    """Write ``name.png`` (300 dpi) and ``name.svg``, each whole or not at all, with a small ``mark`` in a corner."""
    if mark:
        figure.text(0.003, 0.004, mark, fontsize=4.5, color=GREY, ha="left", va="bottom")
    mpl.rcParams.update(_STYLE)
    # The layout is computed once for both files, because that takes longer than drawing. `Figure.savefig` would draw
    # every figure twice more to compute it again, so the canvases write the files themselves.
    # At the resolution and on the canvas of the PNG, so that the sizes of its texts are measured once.
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(_DPI)
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
    figure.set_facecolor("white")
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    with replacing(png) as temporary:
        canvas.print_png(temporary)
    with replacing(svg) as temporary:
        FigureCanvasSVG(figure).print_svg(temporary, metadata={"Date": None})
    return png, svg
