"""Figures of docs/fusion.md from the numbers in results/: python -m benchmarks.fusion_figures."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

RESULTS = Path(__file__).resolve().parent / "results"
DOCS = Path(__file__).resolve().parent.parent / "docs"

# Okabe and Ito's palette: colour-blind readers can distinguish its colours.
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#666666"


def seams() -> None:
    """Error and seam visibility of each setting, median and worst."""
    measured = json.loads((RESULTS / "fusion_seams.json").read_text(encoding="utf-8"))
    settings = measured["settings"]
    names = list(settings)
    places = range(len(names))
    figure, (error, seam) = plt.subplots(1, 2, figsize=(9, 0.42 * len(names) + 1.0), sharey=True, layout="constrained")
    for place, name in zip(places, names, strict=True):
        row = settings[name]
        median, worst = 100 * row["rms_error_median"], 100 * row["rms_error_worst"]
        error.plot([median, worst], [place, place], color=_BLUE, lw=1)
        error.plot(worst, place, "|", color=_BLUE, ms=9)
        error.plot(median, place, "o", color=_BLUE)
        seam.plot(row["seam_visibility_median"], place, "o", color=_ORANGE)
    error.set_yticks(list(places), names)
    error.invert_yaxis()
    error.set_xlabel("RMS error in the overlaps, % of mean signal (dot: median, bar: worst)")
    error.set_xlim(left=0)
    seam.axvline(1, color=_GREY, lw=1, ls=":")
    seam.set_xlabel("Seam visibility, median (1: none)")
    seam.set_xlim(left=0)
    for axes in (error, seam):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9)
        axes.xaxis.label.set_fontsize(9)
    figure.suptitle(f"{measured['participants']} phantoms", fontsize=10, x=0.01, ha="left")
    figure.savefig(DOCS / "fusion_seams.svg")


def growth() -> None:
    """Time against voxels, with the line through the origin and the first point."""
    rows = json.loads((RESULTS / "fusion_growth.json").read_text(encoding="utf-8"))["rows"]
    voxels = [row["voxels"] / 1e6 for row in rows]
    wall = [1000 * row["wall"] for row in rows]
    figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    axes.plot([0, voxels[-1]], [0, wall[0] * voxels[-1] / voxels[0]], color=_GREY, ls=":", lw=1, label="linear")
    axes.plot(voxels, wall, "o-", color=_BLUE, label="measured")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("Voxels of the fused grid, millions (four contrasts each)", fontsize=9)
    axes.set_ylabel("Fusion, ms", fontsize=9)
    axes.legend(frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(DOCS / "fusion_growth.svg")


if __name__ == "__main__":
    matplotlib.rcParams["svg.hashsalt"] = "sarcomap"  # the same numbers give the same file
    seams()
    growth()
