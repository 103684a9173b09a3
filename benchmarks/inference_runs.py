"""One measurement of `benchmarks.inference` in its own process: our segmentation stage or MONAI's sliding window."""

from __future__ import annotations

import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from operators.core import anatomy
from operators.core.options import SegmentationOptions
from operators.core.volume import Fused, Grid
from operators.segmentation import SegmentationModel, load_model, segment
from operators.segmentation.inference import Prepared, label_windows, prepare
from operators.segmentation.networks import Network, RunsAhead, open_network
from operators.segmentation.onnx_model import onnx_model
from operators.segmentation.scorer import Scorer
from operators.segmentation.scores import map_scores

__all__ = ["MONAI", "Job", "in_own_process", "load", "on_fused_grid", "save"]

MONAI = "monai-fp32"
"""The name of MONAI's run, beside which the others are named by backend and precision."""


def save(fused: Fused, path: Path, fat: bool = False) -> Path:
    """Save only the network's input, so that a measured process holds nothing else."""
    volumes = {"water": fused.water, "body": fused.body} | ({"fat": fused.fat} if fat else {})
    np.savez(path, affine=fused.grid.affine, **volumes)  # type: ignore[arg-type]
    return path


def load(path: Path) -> Fused:
    with np.load(path) as stored:
        water, body, affine = stored["water"], stored["body"], stored["affine"]
        fat = stored.get("fat", water)
    grid = Grid(water.shape, affine)
    return Fused(water, fat, water, water, grid, body, water, ())


@dataclass(frozen=True)
class Job:
    """One measurement, done in its own process."""

    bundle: Path
    volume: Path
    name: str
    repeats: int
    labels: Path | None = None


def options_of(name: str) -> SegmentationOptions:
    backend, precision = name.split("-")
    device = "cuda" if torch.cuda.is_available() and backend != "openvino" else "cpu"
    return SegmentationOptions(backend=backend, precision=precision, device=device)  # type: ignore[arg-type]


def measure_ours(job: Job) -> dict[str, Any]:
    """Seconds of `segment`, in the first and in later runs of a process, by step."""
    fused, model, options = load(job.volume), load_model(job.bundle), options_of(job.name)
    exported = 0.0
    if options.backend != "torch":
        started = time.perf_counter()
        onnx_model(model)  # exported once per model, then cached
        exported = time.perf_counter() - started
    seconds = []
    computed = time.process_time()
    for _ in range(job.repeats):
        started = time.perf_counter()
        labels = segment(fused, model, options)
        seconds.append(time.perf_counter() - started)
    computed = time.process_time() - computed
    if job.labels is not None:
        np.save(job.labels, labels.voxels)
    return {
        "engine": labels.engine,
        "seconds": statistics.median(seconds),
        "first_s": seconds[0],
        "processor_s": computed / job.repeats,  # of all cores; at most cores times seconds
        "export_s": exported,
        "parts_s": parts(fused, model, options),
    }


def parts(fused: Fused, model: SegmentationModel, options: SegmentationOptions) -> dict[str, float]:
    """Split the time of one run by step."""
    clock = time.perf_counter
    started = clock()
    prepared = prepare(fused, model)
    transformed = clock()
    opened_network = open_network(model, options)
    network = _TimedAhead(opened_network) if isinstance(opened_network, RunsAhead) else _Timed(opened_network)
    opened = clock()
    label_windows(prepared, fused.body, model, options, Scorer(network, "timed"))
    ended = clock()
    return {
        "transforms": transformed - started,
        "open": opened - transformed,
        "network": network.seconds,
        "stitch_interpolate_argmax": ended - opened - network.seconds,
        "windows": network.windows,
    }


class _Timed:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.description = network.description
        self.seconds = 0.0
        self.windows = 0

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        self.windows += len(windows)
        return self.waited_for(lambda: self.network(windows))

    def waited_for(self, scores: Callable[[], torch.Tensor]) -> torch.Tensor:
        started = time.perf_counter()
        found = scores()
        if found.is_cuda:
            torch.cuda.synchronize()
        self.seconds += time.perf_counter() - started
        return found


class _TimedAhead(_Timed):
    """Counts waiting time only; work that overlaps with the network costs nothing."""

    def __init__(self, network: RunsAhead) -> None:
        super().__init__(network)
        self.ahead, self.begin = network.ahead, network.start

    def start(self, window: torch.Tensor) -> Callable[[], torch.Tensor]:
        self.windows += 1
        return partial(self.waited_for, self.begin(window))


def measure_monai(job: Job) -> dict[str, Any]:
    """MONAI's sliding window over the same volume, with its own transforms and an argmax over all scores."""
    fused, model = load(job.volume), load_model(job.bundle)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = model.network.to(device)
    seconds = []
    computed = time.process_time()
    for _ in range(job.repeats):
        started = time.perf_counter()
        prepared = prepare(fused, model)
        with torch.inference_mode():
            scores = model.inferer(prepared.image[None].to(device), network)[0]
            labels = scores.argmax(dim=0).to(torch.uint8).cpu().numpy()
        seconds.append(time.perf_counter() - started)
    result: dict[str, Any] = {
        "engine": f"MONAI, torch {torch.__version__}, {device.type}, fp32",
        "seconds": statistics.median(seconds),
        "processor_s": (time.process_time() - computed) / job.repeats,
    }
    if job.labels is not None:
        mapping = map_scores(prepared.shape, prepared.affine, prepared.grid)
        # The fused grid and the network's have the same spacing here, so the nearest label is exact.
        nearest = [low + (weight >= 0.5) for low, weight in zip(mapping.lower, mapping.weight, strict=True)]
        placed = np.asarray(mapping.turned_back(labels[np.ix_(*nearest)]), dtype=np.uint8)
        np.save(job.labels, on_fused_grid(placed, prepared, fused))
    return result


def on_fused_grid(labels: NDArray[np.uint8], prepared: Prepared, fused: Fused) -> NDArray[np.uint8]:
    """Labels in the box around the body, as `segment` gives them."""
    whole = np.zeros(fused.grid.shape, dtype=np.uint8)
    whole[prepared.box] = labels
    whole[whole == anatomy.ADIPOSE_INDEX] = anatomy.BACKGROUND_INDEX
    whole[~fused.body] = anatomy.BACKGROUND_INDEX
    return whole


def _child(job: Job, sender: Any) -> None:
    result = (measure_monai if job.name == MONAI else measure_ours)(job)
    result["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if torch.cuda.is_available():
        result["gpu_peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
    sender.send(result)


def in_own_process(job: Job) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(job, sender))
    process.start()
    sender.close()
    try:
        result: dict[str, Any] = receiver.recv()
    except EOFError:
        result = {"failed": "the process ended without a result"}
    process.join()
    print(f"{job.name}: {json.dumps(result)}", file=sys.stderr, flush=True)
    return result
