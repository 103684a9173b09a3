"""Figures of `benchmarks.inference growth`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot


def draw_growth(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Plot processor time and peak memory of the runs in ``rows`` against the number of voxels."""
    millions = [row["voxels"] / 1e6 for row in rows]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    # Processor time of all cores: other work on the machine makes a run longer, but hardly adds processor time.
    for axes, key, label in ((left, "processor_s", "processor seconds"), (right, "peak_gib", "peak memory, GiB")):
        axes.plot(millions, [row[key] for row in rows], "o-", color="#0f5e7c")
        limits = {"xlim": (0, 1.25 * max(millions)), "ylim": (0, 1.15 * max(row[key] for row in rows))}
        axes.set(xlabel="million voxels of the fused volume", ylabel=label, **limits)
        axes.spines[["top", "right"]].set_visible(False)
    windows = [row["parts_s"]["windows"] for row in rows]
    for x, row, count in zip(millions, rows, windows, strict=True):
        place = {"textcoords": "offset points", "xytext": (6, -10)}
        left.annotate(f"{count} windows", (x, row["processor_s"]), **place)
    figure.suptitle(f"Segmentation stage, full-size UNETR, {rows[0]['engine']}", fontsize=10)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
