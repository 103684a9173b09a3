"""Compare label maps with the truth: find and read pairs of files, and evaluate a network for `evaluate.yaml`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events

from bundle.scripts.annotations import read_labels
from bundle.scripts.metric_figure import draw_figure
from bundle.scripts.metric_tables import write_tables
from bundle.scripts.participants import labels_on_grid
from bundle.scripts.segmentation_metrics import ParticipantScores, measure_structures
from operators.core.errors import InputError
from operators.core.grid_geometry import LPS_TO_RAS
from operators.core.volume import Grid

__all__ = ["EvaluationReport", "label_files", "report", "score_files"]

#: Patterns of a label file's name, in the order in which they are tried.
_PATTERNS = ("*.seg.nrrd", "*labels*.nrrd", "*labels*.nii.gz", "*.nii.gz", "*.nii", "*.nrrd")


def label_files(folder: Path, pattern: str | None = None) -> dict[str, Path]:
    """Find the label file of every participant.

    Parameters
    ----------
    folder : Path
        Holds one folder per participant with the file at any depth below it, or the files themselves.
    pattern : str, optional
        Pattern of the file's name. Default: `.seg.nrrd`, else a name with "labels", else the only NIfTI or NRRD file.

    Returns
    -------
    dict
        Participant (the folder's name, or the file's without suffixes) to path.

    Raises
    ------
    InputError
        If there is none, or a participant has several.
    """
    found: dict[str, Path] = {}
    places = [path for path in sorted(folder.glob("*")) if path.is_dir() and not path.name.startswith(".")]
    for place in places:
        if files := _matching(place, pattern, nested=True):
            if len(files) > 1:
                raise InputError(
                    f"{place.name}/",
                    f"{len(files)} label files ({', '.join(f.name for f in files[:3])})",
                    "one per participant",
                    "Choose one with --labels-name or --truth-name.",
                )
            found[place.name] = files[0]
    if not found:
        found = {path.name.split(".")[0].removesuffix("_labels"): path for path in _matching(folder, pattern)}
    if not found:
        raise InputError(
            str(folder), "no label file", "a .seg.nrrd, .nrrd or .nii.gz per participant", "Check the path."
        )
    return found


def score_files(
    labels: Mapping[str, Path],
    truth: Mapping[str, Path],
    *,
    weak: Sequence[str] = (),
    resample: bool = False,
    tolerance_mm: float = 2.0,
) -> list[ParticipantScores]:
    """Compute the scores of every participant that has both.

    Parameters
    ----------
    labels, truth : mapping of str to Path
        From `label_files`.
    weak : sequence of str
        Participants whose truth is another program's segmentation.
    resample : bool
        Resample label maps to the truth's grid (nearest label) if the grids differ. Otherwise that is an error.
    tolerance_mm : float
        Tolerance of the surface Dice.

    Raises
    ------
    InputError, GeometryError
        If no participant has both, or grids differ.
    """
    both = [name for name in truth if name in labels]
    if not both:
        raise InputError(
            "--labels and --truth",
            f"{len(labels)} and {len(truth)} participants, none in both",
            "the same names in both folders",
            "Give each participant's folder the same name in both.",
        )
    scores = []
    for name in both:
        known = read_labels(truth[name]).labels
        found = read_labels(labels[name]).labels
        placed = labels_on_grid(found, known.grid, labels[name].name, resample=resample)
        x, y, z = known.grid.spacing_mm
        structures = measure_structures(placed, np.asarray(known.voxels, np.uint8), (z, y, x), tolerance_mm)
        scores.append(ParticipantScores(name, structures, name in weak))
    return scores


def report(scores: Sequence[ParticipantScores], out: Path, title: str = "") -> None:
    """Write the tables, and one figure each for annotated and weak labels, into ``out``."""
    write_tables(scores, out)
    for weak, name in ((False, "metrics"), (True, "metrics_weak")):
        if chosen := [person for person in scores if person.weak == weak]:
            draw_figure(chosen, out / name, title + (" (agreement with weak labels)" if weak else ""))


class EvaluationReport:
    """Ignite handler that scores a network's labels on the images' own grids, then writes tables and figure.

    The evaluator's postprocessing must give ``pred`` as a label map (1, x, y, z)
    on the original grid of the image. The truth is read again from its file, so
    that resampling for the network cannot blur it.

    Parameters
    ----------
    output_dir : path
    pairs : sequence of dict
        The evaluated items, from `list_pairs` or `read_datalist`. They say how to read their labels.
    tolerance_mm : float
        Tolerance of the surface Dice.
    """

    def __init__(self, output_dir: str | Path, pairs: Sequence[Mapping[str, Any]], tolerance_mm: float = 2.0) -> None:
        self.output_dir = Path(output_dir)
        self.reading = {str(pair["label"]): (pair.get("mapping"), pair.get("ignore", ())) for pair in pairs}
        self.tolerance_mm = tolerance_mm
        self.scores: list[ParticipantScores] = []

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._score)
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, _: Engine) -> None:
        report(self.scores, self.output_dir)

    def _begin(self, _: Engine) -> None:
        self.scores = []

    def _score(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        outputs: Any = engine.state.output
        for item, output in zip(batch, outputs, strict=True):
            found = output["pred"]
            affine = LPS_TO_RAS @ np.asarray(found.affine, np.float64)
            voxels = np.ascontiguousarray(torch.as_tensor(found)[0].cpu().numpy().astype(np.uint8).T)
            grid = Grid(voxels.shape, affine)
            path = Path(str(item["label"].meta["filename_or_obj"]))
            mapping, ignore = self.reading[str(path)]
            read = read_labels(path, mapping, ignore)
            where = f"{path.parent.name}/{path.name}"
            truth = labels_on_grid(read.labels, grid, where, resample=mapping is not None)
            x, y, z = grid.spacing_mm
            name = str(item.get("participant", path.parent.name))
            structures = measure_structures(voxels, truth, (z, y, x), self.tolerance_mm)
            self.scores.append(ParticipantScores(name, structures, bool(item.get("weak", False))))


def _matching(folder: Path, pattern: str | None, nested: bool = False) -> list[Path]:
    for name in (pattern,) if pattern else _PATTERNS:
        files = sorted(folder.rglob(name) if nested else folder.glob(name))
        if files := [path for path in files if path.is_file() and not path.name.startswith(".")]:
            return files
    return []
