"""Accuracy of the shipped model on phantoms that it has never seen, through the whole pipeline.

    python -m benchmarks.held_out --n 30 --studies /tmp/held-out --out bundle/docs/held_out

Each participant is drawn (sex, age, size, fat, muscle), scanned with noise, coil
bias, gains and motion of varying size, written as DICOM in the archive's form,
loaded, fused and segmented as `python -m app` does. The truth is the anatomy
evaluated at the voxel centres of the fused grid, without resampling. Training
seeds start at 100000; the default seeds here were never trained on. Writes
by_structure.csv and by_participant.csv (with bootstrap intervals),
phenotypes.csv and a figure.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bundle.scripts.evaluation import report
from bundle.scripts.metric_tables import score_matrix
from bundle.scripts.segmentation_metrics import ParticipantScores, measure_structures
from operators.core import anatomy
from operators.core.model_card import SHIPPED_BUNDLE
from operators.core.options import SegmentationOptions
from operators.core.output_files import replacing
from operators.core.volume import Grid
from operators.dicom_loader import load_study
from operators.phenotype_report import measure
from operators.segmentation import SegmentationModel, load_model, segment
from operators.station_fusion import fuse
from phantom import write_study
from phantom.anatomy import build_labels, fit_body
from phantom.participant import draw_participant
from phantom.training_set import drawn_options
from phantom.truth import count_volumes

PHENOTYPES = ("tmv", "pa")
SPAWNED = multiprocessing.get_context("spawn")
"""Workers are spawned: a fork of a process whose libraries have threads can wait for them forever."""


def study(seed: int, folder: Path) -> Path:
    """Path of the participant's zip in ``folder``; it is made if missing."""
    place = folder / str(seed)
    if not (place / "truth" / "truth.json").is_file():  # written last
        write_study(place, seed=seed, zip_archive=True, options=drawn_options(seed))
    return next(place.glob("*.zip"))


def true_labels(seed: int, grid: Grid) -> NDArray[np.uint8]:
    """The anatomy at the voxel centres."""
    return build_labels(fit_body(draw_participant(seed)), grid)


def evaluate(
    seed: int, archive: Path, model: SegmentationModel, options: SegmentationOptions
) -> tuple[ParticipantScores, dict[str, float]]:
    """Scores of every structure, and relative errors of TMV and P/A (NaN if a phenotype is not given)."""
    fused = fuse(load_study(archive))
    labels = segment(fused, model, options)
    truth = true_labels(seed, fused.grid)
    x, y, z = fused.grid.spacing_mm
    structures = measure_structures(np.asarray(labels.voxels, np.uint8), truth, (z, y, x))
    found, known = measure(labels, fused).phenotypes, count_volumes(truth, fused.grid)
    nan = float("nan")
    errors = {
        "tmv": nan if found.tmv_cm3 is None else found.tmv_cm3 / known.tmv_cm3 - 1,
        "pa": nan if found.pa_ratio is None or known.pa_ratio is None else found.pa_ratio / known.pa_ratio - 1,
    }
    return ParticipantScores(str(seed), structures), errors


def summary(scores: Sequence[ParticipantScores], errors: Sequence[dict[str, float]]) -> str:
    """Lines of the summary: Dice and errors of the phenotypes."""
    dice = score_matrix(scores, "dice")
    by_structure = {s.name: dice[:, n] for n, s in enumerate(anatomy.STRUCTURES)}
    lines = [f"{name:24s} {np.nanmean(d):.3f}  (lowest {np.nanmin(d):.3f})" for name, d in by_structure.items()]
    means = np.nanmean(dice, axis=1)
    lines.append(
        f"{'mean over structures':24s} {means.mean():.4f}  (lowest participant {means.min():.3f}, n = {len(means)})"
    )
    for name in PHENOTYPES:
        sizes = np.abs([row[name] for row in errors])
        lines.append(f"{'median |error| of ' + name:24s} {np.nanmedian(sizes):.4f}  (largest {np.nanmax(sizes):.4f})")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=30, help="participants (default: 30)")
    parser.add_argument("--seed", type=int, default=900000, help="seed of the first participant (default: 900000)")
    parser.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE)
    parser.add_argument("--clean-up", action="store_true", help="as `python -m app --clean-up`")
    parser.add_argument("--mirror", action="store_true", help="as `python -m app --mirror`")
    parser.add_argument("--studies", type=Path, help="folder to keep the studies in; existing ones are reused")
    parser.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count(),
        help="number of processes that write studies (default: every core)",
    )
    parser.add_argument("--out", type=Path, help="folder for tables and figure")
    arguments = parser.parse_args()
    seeds = range(arguments.seed, arguments.seed + arguments.n)
    options = SegmentationOptions(clean_up=arguments.clean_up, mirror=arguments.mirror)
    model = load_model(arguments.bundle)
    scores, errors = [], []
    with kept_or_temporary(arguments.studies) as folder, ProcessPoolExecutor(arguments.workers, SPAWNED) as pool:
        archives = pool.map(partial(study, folder=folder), seeds)
        for seed, archive in zip(tqdm(seeds, unit="participant"), archives, strict=True):
            person, phenotypes = evaluate(seed, archive, model, options)
            scores.append(person)
            errors.append(phenotypes)
    print(summary(scores, errors))
    if arguments.out:
        report(scores, arguments.out, f"{len(scores)} synthetic participants that were not trained on")
        with replacing(arguments.out / "phenotypes.csv") as partial_file, partial_file.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["participant", *(f"{name}_relative_error" for name in PHENOTYPES)])
            for person, row in zip(scores, errors, strict=True):
                writer.writerow([person.participant, *(f"{row[name]:.5f}" for name in PHENOTYPES)])


@contextmanager
def kept_or_temporary(folder: Path | None) -> Iterator[Path]:
    """The given folder, or a temporary one."""
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
    else:
        yield folder


if __name__ == "__main__":
    main()
