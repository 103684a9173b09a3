"""The segmentation metrics as one figure: bars with intervals, precision against recall, participants by structure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bundle.scripts.metric_tables import bootstrap_mean, score_matrix, structure_means
from bundle.scripts.segmentation_metrics import ParticipantScores
from operators.core import anatomy
from operators.core.anatomy import Compartment
from operators.core.output_files import replacing

__all__ = ["draw_figure"]

# Okabe and Ito's palette: colour-blind readers can distinguish its colours.
_COLOURS: dict[Compartment | None, str] = {
    Compartment.ANTERIOR: "#0072B2",
    Compartment.GLUTEAL: "#D55E00",
    Compartment.MEDIAL: "#009E73",
    Compartment.POSTERIOR: "#CC79A7",
    Compartment.CORE: "#E69F00",
    Compartment.BONE: "#7F7F7F",
}
_SCATTER_SIDE_PT = 260.0  # about: the layout is known only when the figure is drawn
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.hashsalt": "sarcomap",
    "savefig.facecolor": "white",
}


def draw_figure(scores: Sequence[ParticipantScores], out: Path, title: str = "") -> None:
    """Write ``out`` with the suffixes ``.png`` and ``.svg``.

    Parameters
    ----------
    scores : sequence of ParticipantScores
        Scores for one kind of labels: annotated or weak.
    out : Path
        Path without a suffix.
    title : str
        Title above the panels. It must not name participants.
    """
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        figure = _figure(scores, title)
        for suffix in (".png", ".svg"):
            metadata = {"Date": None} if suffix == ".svg" else None  # equal figures give equal files
            with replacing(out.with_name(out.name + suffix)) as temporary:
                figure.savefig(temporary, format=suffix[1:], dpi=200, metadata=metadata)


def _figure(scores: Sequence[ParticipantScores], title: str) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 9.6), layout="constrained")
    if title:
        figure.suptitle(title, fontsize=10, x=0.01, ha="left", fontweight="bold")
    heat_height = float(np.clip(0.13 * len(scores), 1.3, 3.0))
    grid = figure.add_gridspec(2, 2, height_ratios=[5.2, heat_height], width_ratios=[1.15, 1.0])
    _bars(figure.add_subplot(grid[0, 0]), scores)
    _scatter(figure.add_subplot(grid[0, 1]), scores)
    _heat_map(figure, figure.add_subplot(grid[1, :]), scores)
    return figure


def _bars(axes: Any, scores: Sequence[ParticipantScores]) -> None:
    """Dice (filled) and IoU (open) of every structure, with 95% intervals."""
    positions, place = [], 0.0
    for index, structure in enumerate(anatomy.STRUCTURES):
        if index and structure.compartment != anatomy.STRUCTURES[index - 1].compartment:
            place += 0.7
        positions.append(place)
        place += 1.0
    for metric, offset, filled in (("dice", -0.19, True), ("iou", 0.19, False)):
        matrix = score_matrix(scores, metric)
        for index, structure in enumerate(anatomy.STRUCTURES):
            estimate = bootstrap_mean(matrix[:, index])
            if estimate.count:
                colour = _COLOURS[structure.compartment]
                axes.barh(
                    positions[index] + offset,
                    estimate.mean,
                    height=0.36,
                    color=colour if filled else "white",
                    edgecolor=colour,
                    linewidth=0.7,
                    xerr=[[estimate.mean - estimate.low], [estimate.high - estimate.mean]],
                    error_kw={"elinewidth": 0.8, "capsize": 1.4, "ecolor": "#222222"},
                )
    mean = bootstrap_mean(structure_means(score_matrix(scores, "dice")))
    axes.axvline(mean.mean, color="#222222", linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    axes.set_yticks(positions, [s.display_name for s in anatomy.STRUCTURES])
    axes.set_ylim(place + 0.2, -0.8)
    axes.set_xlim(0, 1)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("Dice (filled) and IoU (open), mean with 95% interval over participants")
    label = f"mean Dice {mean.mean:.3f} ({mean.low:.3f} to {mean.high:.3f})"
    axes.text(mean.mean, place + 0.1, f"{label} ", ha="right", va="bottom", fontsize=7, color="#222222",
              bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85})  # fmt: skip
    _letter(axes, "a")


def _scatter(axes: Any, scores: Sequence[ParticipantScores]) -> None:
    """Recall against precision, one point per structure, with lines of equal Dice."""
    precision, recall = score_matrix(scores, "precision"), score_matrix(scores, "recall")
    points: dict[int, tuple[float, float]] = {}
    for index in range(len(anatomy.STRUCTURES)):
        across, up = bootstrap_mean(precision[:, index]), bootstrap_mean(recall[:, index])
        if across.count:
            points[index] = (across.mean, up.mean)
            colour = _COLOURS[anatomy.STRUCTURES[index].compartment]
            axes.errorbar(
                across.mean,
                up.mean,
                xerr=[[across.mean - across.low], [across.high - across.mean]],
                yerr=[[up.mean - up.low], [up.high - up.mean]],
                fmt="none",
                ecolor=colour,
                elinewidth=0.5,
                alpha=0.45,
            )
            axes.plot(across.mean, up.mean, "o", color=colour, markersize=4.5, markeredgecolor="white", mew=0.5)
    lowest = min((min(point) for point in points.values()), default=0.5)
    low = max(0.0, np.floor((lowest - 0.04) * 20) / 20)
    along = np.linspace(max(low, 0.01), 1.0, 200)
    for dice in np.arange(0.1, 1.0, 0.1):
        with np.errstate(divide="ignore", invalid="ignore"):
            other = dice * along / (2 * along - dice)
        shown = (other >= low) & (other <= 1.0)
        if shown.any():
            axes.plot(along[shown], other[shown], color="#CCCCCC", linewidth=0.6, zorder=0)
            end = np.flatnonzero(shown)[-1]
            at_side = along[end] > 0.999  # a lower line ends at the bottom
            axes.text(along[end] + 0.003, other[end], f"{dice:.1f}", color="#888888", fontsize=6.5,
                      va="center" if at_side else "bottom")  # fmt: skip
    _name_extremes(axes, points, low)
    axes.set_xlim(low, 1.0)
    axes.set_ylim(low, 1.0)
    axes.set_aspect("equal", anchor="N")
    axes.set_xlabel("Precision")
    axes.set_ylabel("Recall")
    for compartment, colour in _COLOURS.items():
        axes.plot([], [], "o", color=colour, markersize=4.5, label=str(compartment).capitalize())
    axes.plot([], [], color="#CCCCCC", linewidth=0.8, label="Equal Dice")
    legend = axes.legend(fontsize=7, loc="upper left", handletextpad=0.4, labelspacing=0.3, framealpha=0.85)
    legend.get_frame().set_linewidth(0.0)
    _letter(axes, "b")


def _name_extremes(axes: Any, points: dict[int, tuple[float, float]], low: float, count: int = 5) -> None:
    """Write the names of the structures with the lowest Dice near their points, where they cover nothing."""
    point = (1.0 - low) / _SCATTER_SIDE_PT
    taken = [(x - 3 * point, y - 3 * point, x + 3 * point, y + 3 * point) for x, y in points.values()]
    weakest = sorted(points, key=lambda i: 2 / (1 / max(points[i][0], 1e-9) + 1 / max(points[i][1], 1e-9)))[:count]
    for index in sorted(weakest, key=lambda i: points[i]):
        x, y = points[index]
        name = anatomy.STRUCTURES[index].display_name
        width = 3.7 * len(name)
        for right, up in _label_places(width):
            left, bottom = x + right * point, y + up * point
            box = (left, bottom, left + width * point, bottom + 8 * point)
            inside = box[0] > low and box[1] > low and box[2] < 1.0 and box[3] < 1.0
            if inside and not any(_overlap(box, other) for other in taken):
                break
        taken.append(box)
        far = up < -3
        axes.annotate(
            name,
            (x, y),
            xytext=(right, up),
            textcoords="offset points",
            fontsize=6.5,
            color="#333333",
            arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.4, "shrinkB": 2.5} if far else None,
        )


def _label_places(width: float) -> Iterator[tuple[float, float]]:
    """Lower left corners of a label, in points from what it names: beside it, then lower and lower."""
    for down in range(12):
        for right in (6.0, -width - 6.0, -width / 2):
            if down or right != -width / 2:
                yield right, -2.5 - 9.0 * down


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _heat_map(figure: Any, axes: Any, scores: Sequence[ParticipantScores]) -> None:
    """Dice of every participant (sorted, best on top) and structure; white if the truth lacks the structure."""
    import matplotlib

    matrix = score_matrix(scores, "dice")
    matrix = matrix[np.argsort(-structure_means(matrix), kind="stable")]
    low = float(np.clip(np.floor(np.nanmin(matrix, initial=1.0) * 10) / 10, 0.0, 0.8))
    colours = matplotlib.colormaps["viridis"].with_extremes(bad="#FFFFFF")
    image = axes.imshow(matrix, aspect="auto", cmap=colours, vmin=low, vmax=1.0, interpolation="nearest")
    axes.set_xticks(
        range(len(anatomy.STRUCTURES)),
        [s.display_name for s in anatomy.STRUCTURES],
        rotation=40,
        ha="right",
        rotation_mode="anchor",
        fontsize=7,
    )
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.set_ylabel(f"{len(scores)} participant{'s' if len(scores) != 1 else ''}\nbest on top", fontsize=7)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for index in range(1, len(anatomy.STRUCTURES)):
        if anatomy.STRUCTURES[index].compartment != anatomy.STRUCTURES[index - 1].compartment:
            axes.axvline(index - 0.5, color="white", linewidth=2.0)
    bar = figure.colorbar(image, ax=axes, fraction=0.02, pad=0.01)
    bar.outline.set_visible(False)
    bar.set_label("Dice")
    _letter(axes, "c")


def _letter(axes: Any, letter: str) -> None:
    axes.set_title(letter, loc="left", fontweight="bold", fontsize=10)
