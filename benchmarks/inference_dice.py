"""Effect of precision, interpolation to the fused grid and options on Dice and P/A ratio of the shipped model.

    python -m benchmarks.inference_dice --n 10 --studies /tmp/held-out

Participants and truth are those of `benchmarks.held_out`. PyTorch computes labels in
bfloat16 if the processor has instructions for it, and else emulates it, thirty times
slower. `bf16_dice_loss` of the result belongs in the weights' card,
`bundle/models/shipped.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Collection
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.held_out import SPAWNED, kept_or_temporary, study, true_labels
from benchmarks.inference_runs import on_fused_grid
from operators.core import anatomy
from operators.core.bfloat16 import has_bf16
from operators.core.model_card import SHIPPED_BUNDLE
from operators.core.options import SegmentationOptions
from operators.core.volume import Fused, Grid
from operators.dicom_loader import load_study
from operators.segmentation import SegmentationModel, load_model, segment
from operators.segmentation.clean_up import clean_up
from operators.segmentation.inference import label_windows, prepare
from operators.segmentation.networks import TorchNetwork, open_network
from operators.segmentation.scorer import Scorer
from operators.segmentation.scores import map_scores
from operators.station_fusion import fuse
from phantom.truth import count_volumes

REFERENCE = "fp32"
WAYS = (REFERENCE, "bf16", "scores interpolated", "nearest labels", "clean-up", "mirrored")
"""All in fp32, except bf16."""


@dataclass(frozen=True)
class Score:
    """Accuracy of the labels of one participant."""

    dice: float
    """Mean Dice over the structures of the truth."""
    pa_error: float
    """Relative error of the P/A ratio."""


def compare(archive: Path, seed: int, model: SegmentationModel, ways: Collection[str]) -> dict[str, Score]:
    """Score one participant in each of ``ways`` (of `WAYS`)."""
    plain = SegmentationOptions(precision="fp32")
    variants: dict[str, Callable[[Fused], NDArray[np.uint8]]] = {
        REFERENCE: lambda fused: voxels(segment(fused, model, plain)),
        "bf16": lambda fused: bf16_labels(fused, model),
        "scores interpolated": lambda fused: voxels(segment(fused, replace(model, probabilities=False), plain)),
        "nearest labels": lambda fused: nearest_labels(fused, model, plain),
        "clean-up": lambda fused: clean_up(voxels(segment(fused, model, plain)))[0],
        "mirrored": lambda fused: voxels(segment(fused, model, replace(plain, mirror=True))),
    }
    fused = fuse(load_study(archive))
    truth = true_labels(seed, fused.grid)
    return {name: score(labels(fused), truth, fused.grid) for name, labels in variants.items() if name in ways}


def bf16_labels(fused: Fused, model: SegmentationModel) -> NDArray[np.uint8]:
    """Labels in bfloat16, emulated if the processor lacks instructions for it; `segment` refuses that as too slow."""
    cuda = torch.cuda.is_available()
    if has_bf16(cuda):
        return voxels(segment(fused, model, SegmentationOptions(precision="bf16")))
    prepared = prepare(fused, model)
    network = TorchNetwork(model.network.cpu(), torch.device("cpu"), bf16=True)
    options = SegmentationOptions(backend="torch", device="cpu")
    labels, _ = label_windows(prepared, fused.body, model, options, Scorer(network, "emulated"))
    return on_fused_grid(labels, prepared, fused)


def voxels(labels: Any) -> NDArray[np.uint8]:
    return np.asarray(labels.voxels, dtype=np.uint8)


def nearest_labels(fused: Fused, model: SegmentationModel, options: SegmentationOptions) -> NDArray[np.uint8]:
    """Labels on the network's grid, then the nearest label: the usual method without streamed scores."""
    prepared = prepare(fused, model)
    x, y, z = prepared.shape
    grid = Grid((z, y, x), prepared.affine)
    everywhere = np.ones(grid.shape, dtype=np.bool_)
    own = replace(prepared, grid=grid, box=(slice(None),) * 3)
    labels, _ = label_windows(own, everywhere, model, options, Scorer(open_network(model, options), "nearest"))
    mapping = map_scores(prepared.shape, prepared.affine, prepared.grid)
    nearest = [low + (weight >= 0.5) for low, weight in zip(mapping.lower, mapping.weight, strict=True)]
    placed = mapping.turned_back(labels.transpose(2, 1, 0)[np.ix_(*nearest)])
    return on_fused_grid(np.asarray(placed, dtype=np.uint8), prepared, fused)


def score(found: NDArray[np.uint8], truth: NDArray[np.uint8], grid: Grid) -> Score:
    ratio, true = count_volumes(found, grid).pa_ratio, count_volumes(truth, grid).pa_ratio
    error = float("nan") if ratio is None or true is None else ratio / true - 1
    return Score(mean_dice(found, truth), error)


def mean_dice(found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Mean Dice over the structures of the truth."""
    both = np.bincount(truth[found == truth].ravel(), minlength=anatomy.CHANNEL_COUNT)
    sizes = np.bincount(found.ravel(), minlength=len(both)) + np.bincount(truth.ravel(), minlength=len(both))
    present = [s.index for s in anatomy.STRUCTURES if (truth == s.index).any()]
    return float(np.mean(2 * both[present] / sizes[present]))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10, help="participants (default: 10)")
    parser.add_argument("--seed", type=int, default=900000, help="seed of the first participant (default: 900000)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="default: all; fp32 is always measured")
    parser.add_argument("--studies", type=Path, help="folder to keep the studies in; existing ones are reused")
    parser.add_argument("--out", type=Path, help="JSON file; the result is always printed")
    arguments = parser.parse_args()
    model = load_model(SHIPPED_BUNDLE)
    seeds = range(arguments.seed, arguments.seed + arguments.n)
    rows = []
    with kept_or_temporary(arguments.studies) as folder, ProcessPoolExecutor(os.cpu_count(), SPAWNED) as pool:
        for seed, archive in zip(seeds, pool.map(partial(study, folder=folder), seeds), strict=True):
            rows.append(compare(archive, seed, model, {REFERENCE, *arguments.ways}))
            shown = {name: (round(one.dice, 4), round(one.pa_error, 4)) for name, one in rows[-1].items()}
            print(seed, shown, file=sys.stderr, flush=True)
    means = {name: float(np.mean([row[name].dice for row in rows])) for name in rows[0]}
    errors = {name: np.array([row[name].pa_error for row in rows]) for name in rows[0]}
    result: dict[str, Any] = {
        "participants": len(rows),
        "first_seed": arguments.seed,
        "model_sha256": model.card.sha256,
        "mean_dice": means,
        "change": {name: mean - means[REFERENCE] for name, mean in means.items()},
        "median_absolute_pa_error": {name: float(np.median(np.abs(error))) for name, error in errors.items()},
        "mean_pa_error": {name: float(np.mean(error)) for name, error in errors.items()},
        "bf16_dice_loss": means[REFERENCE] - means["bf16"] if "bf16" in means else None,
    }
    text = json.dumps(result, indent=2)
    if arguments.out is not None:
        arguments.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
