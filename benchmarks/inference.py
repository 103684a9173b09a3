"""The segmentation stage compared with its peers.

    python -m benchmarks.inference full [--repeats 3] [--backends openvino-bf16 ...] [--out full.json]
    python -m benchmarks.inference demo
    python -m benchmarks.inference growth --figure docs/inference_growth.svg

`full` is the full-size UNETR (93 million parameters, random weights, windows
of 96^3 with overlap 0.25) on a fused pelvis-to-knee phantom of 1.5 x 1.5 x 2.0
mm. Each backend runs in its own process. The reference is MONAI's sliding
window with eager fp32 on the same body-cropped volume. `demo` is the shipped
model at the archive's spacing. Times are those of the whole `segment`:
transforms, compilation, windows, stitching, interpolation, argmax. Memory is
the peak of the process, including Python and PyTorch. `docs/inference-figures.md` holds
the tables of the last run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import platform
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.inference_figures import draw_growth
from benchmarks.made_studies import study_of
from operators.core import anatomy
from operators.core.bfloat16 import has_bf16
from operators.core.model_card import SHIPPED_BUNDLE
from operators.core.options import FusionOptions, SegmentationOptions
from operators.core.volume import Fused, Grid
from operators.segmentation import SegmentationModel, load_model, segment
from operators.segmentation.inference import Prepared, label_windows, prepare
from operators.segmentation.networks import Network, RunsAhead, open_network
from operators.segmentation.onnx_model import onnx_model
from operators.segmentation.scorer import Scorer
from operators.segmentation.scores import map_scores
from operators.station_fusion import fuse
from phantom import (
    AcquisitionOptions,
    acquire_study,
    archive_stations,
    body_grid,
    build_tissues,
    draw_participant,
)

SPACING_MM = (1.5, 1.5, 2.0)
CPU_RUNS = ("openvino-bf16", "openvino-fp32", "torch-bf16", "torch-fp32", "onnxruntime-fp32")
CUDA_RUNS = ("torch-bf16", "torch-fp32", "onnxruntime-fp32")
"""Runs in bf16 are left out if the processor has no instructions for it."""
MONAI = "monai-fp32"


def random_bundle(folder: Path, changes: Mapping[str, Any] | None = None) -> Path:
    """The bundle's configs with weights from seed 0: the full-size network, unless ``changes`` say otherwise."""
    from monai.bundle import ConfigParser

    shutil.copytree(SHIPPED_BUNDLE / "configs", folder / "configs")
    (folder / "configs" / "changes.yaml").write_text(json.dumps(dict(changes or {})), encoding="utf-8")
    (folder / "models").mkdir()
    parser = ConfigParser()
    parser.read_config([str(folder / "configs" / name) for name in ("inference.yaml", "changes.yaml")])
    parser["bundle_root"] = str(folder)
    torch.manual_seed(0)
    weights = folder / "models" / "random.pt"
    torch.save(parser.get_parsed_content("network").state_dict(), weights)
    card = {
        "name": "random_unetr",
        "version": "0",
        "weights": "models/random.pt",
        "configs": ["configs/inference.yaml", "configs/changes.yaml"],
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "training_data": "None: random weights.",
        "intended_use": "Timing.",
        "synthetic_training": True,
    }
    (folder / "models" / "shipped.json").write_text(json.dumps(card), encoding="utf-8")
    return folder


def fused_phantom(spacing_mm: tuple[float, float, float] | None, seed: int = 900000) -> Fused:
    """A participant scanned at four table positions and fused. The anatomy is coarse: only its extent matters."""
    person = draw_participant(seed)
    tissues = build_tissues(person, body_grid(person, (4.0, 4.0, 4.0)))
    images = acquire_study(tissues, archive_stations(4), AcquisitionOptions(), seed)
    return fuse(study_of(images), FusionOptions(spacing_mm=spacing_mm))


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


def full(names: Sequence[str], repeats: int, folder: Path) -> dict[str, Any]:
    bundle = random_bundle(folder / "bundle")
    fused = fused_phantom(SPACING_MM)
    volume = save(fused, folder / "fused.npz")
    shape, body = fused.grid.shape, fused.body
    del fused
    runs = {}
    for name in (*names, MONAI):
        labels = folder / f"{name}.npy"
        runs[name] = in_own_process(Job(bundle, volume, name, repeats, labels))
    if (folder / f"{MONAI}.npy").is_file():
        theirs = np.load(folder / f"{MONAI}.npy")[body]
        for name in names:
            if (folder / f"{name}.npy").is_file():
                ours = np.load(folder / f"{name}.npy")[body]
                runs[name]["voxels_as_monai"] = float((ours == theirs).mean())
                runs[name]["times_faster_than_monai"] = runs[MONAI]["seconds"] / runs[name]["seconds"]
    return {"grid": shape, "spacing_mm": SPACING_MM, "repeats": repeats, "runs": runs}


def demo(names: Sequence[str], repeats: int, folder: Path) -> dict[str, Any]:
    fused = fused_phantom(None)
    volume = save(fused, folder / "fused.npz", fat=True)
    runs = {name: in_own_process(Job(SHIPPED_BUNDLE, volume, name, repeats)) for name in names}
    return {"grid": fused.grid.shape, "spacing_mm": fused.grid.spacing_mm, "repeats": repeats, "runs": runs}


def growth(name: str, repeats: int, folder: Path, figure: Path | None) -> dict[str, Any]:
    """Time and memory for growing volumes: the lowest quarter of the slices, half, three quarters, all."""
    bundle = random_bundle(folder / "bundle")
    fused = fused_phantom(SPACING_MM)
    rows = []
    for part in (0.25, 0.5, 0.75, 1.0):
        slices = round(part * fused.grid.shape[0])
        grid = Grid((slices, *fused.grid.shape[1:]), fused.grid.affine)
        cut = replace(fused, water=fused.water[:slices], body=fused.body[:slices], grid=grid)
        volume = save(cut, folder / f"{part}.npz")
        row = in_own_process(Job(bundle, volume, name, repeats))
        rows.append({"voxels": int(np.prod(grid.shape)), "slices": slices, **row})
    if figure is not None:
        draw_growth(rows, figure)
    return {"name": name, "repeats": repeats, "rows": rows}


def on_fused_grid(labels: NDArray[np.uint8], prepared: Prepared, fused: Fused) -> NDArray[np.uint8]:
    """Labels in the box around the body, as `segment` gives them."""
    whole = np.zeros(fused.grid.shape, dtype=np.uint8)
    whole[prepared.box] = labels
    whole[whole == anatomy.ADIPOSE_INDEX] = anatomy.BACKGROUND_INDEX
    whole[~fused.body] = anatomy.BACKGROUND_INDEX
    return whole


def machine() -> dict[str, Any]:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    cpu = next((line for line in _cpu_info() if line.startswith("model name")), platform.processor())
    return {
        "gpu": gpu,
        "cpu": cpu.partition(":")[2].strip() or cpu,
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
        "torch": torch.__version__,
    }


def _cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("full", "demo", "growth"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--backends", nargs="+", help=f"default: {' '.join(CPU_RUNS)} (CPU), {' '.join(CUDA_RUNS)} (GPU)"
    )
    parser.add_argument("--figure", type=Path, help="figure of `growth` (.svg or .png)")
    parser.add_argument("--out", type=Path, help="JSON file; the result is always printed")
    options = parser.parse_args()
    cuda = torch.cuda.is_available()
    usual = CUDA_RUNS if cuda else CPU_RUNS
    names = tuple(options.backends or (name for name in usual if has_bf16(cuda) or not name.endswith("bf16")))
    result = {"machine": machine()}
    print(json.dumps(result["machine"]), file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        result |= {
            "full": lambda: full(names, options.repeats, folder),
            "demo": lambda: demo(names, options.repeats, folder),
            "growth": lambda: growth(names[0], options.repeats, folder, options.figure),
        }[options.what]()
    text = json.dumps(result, indent=2)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
