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
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.inference_figures import draw_growth
from benchmarks.inference_runs import MONAI, Job, in_own_process, save
from benchmarks.made_studies import study_of
from operators.core.bfloat16 import has_bf16
from operators.core.model_card import SHIPPED_BUNDLE
from operators.core.options import FusionOptions
from operators.core.volume import Fused, Grid
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
