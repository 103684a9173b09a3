"""Check a GPU: are the results those of the CPU, and how fast is it beside the CPU and beside MONAI?

    make gpu-check
    python -m benchmarks.gpu_check [--out FILE.json] [--minutes 12] [--only fusion labels]
    python -m benchmarks.gpu_check --device cpu      # the same script with tiny inputs, to test the script itself

It needs no network. It prints one table and one JSON object, and takes at most a quarter of an hour on a GPU of the
H100's class. Exit codes: 0 every result is right, 1 a result is wrong or a part failed, 2 there is no GPU. An aim of
speed that is missed is shown, and is no failure. docs/gpu.md says how to read the table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.gpu_setting import Row, Setting

__all__ = ["main"]

_PACKAGES = ("torch", "monai", "numba", "numba-cuda", "numpy", "onnxruntime-gpu", "onnxruntime", "tensorrt")
_NO_GPU = 2
PARTS = ("fusion", "labels", "training", "stage", "stream", "options")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the checks; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--minutes", type=float, default=12.0, help="after these, no optional part is begun")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to run (default: all)")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    options = parser.parse_args(argv)
    if options.device == "cpu":
        os.environ["NUMBA_ENABLE_CUDASIM"] = "1"  # read when numba is imported, so nothing is imported above
    elif reason := _no_gpu():
        print(f"gpu-check: {reason} `--device cpu` runs the script with tiny inputs on the CPU.", file=sys.stderr)
        return _NO_GPU
    import torch

    from benchmarks.gpu_setting import Setting

    device = torch.device("cuda", torch.cuda.current_device()) if options.device == "cuda" else torch.device("cpu")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("SARCOMAP_CACHE", str(Path(scratch) / "cache"))
        setting = Setting(device, Path(scratch), options.minutes, 1 if options.device == "cpu" else 5)
        result = {"machine": _machine(device), "small": setting.small} | _checked(setting, options.only)
    table = _table(result)
    text = json.dumps(result, indent=2)
    print(text)
    print(table)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")
    return 0 if result["right"] else 1


def _no_gpu() -> str | None:
    """Why there is nothing to check, or None."""
    from operators.core.cuda_driver import driver_sees_device
    from operators.station_fusion.device_choice import numba_cuda_misfit

    if not driver_sees_device():
        return "this machine has no NVIDIA GPU (no driver, or no device that it sees)."
    import torch

    if not torch.cuda.is_available():
        return "the driver sees a GPU, but this PyTorch was built without CUDA. Run `make setup VARIANT=gpu`."
    if misfit := numba_cuda_misfit():
        return f"{misfit}."
    return None


def _checked(setting: Setting, parts: Sequence[str]) -> dict[str, Any]:
    """Run every part. A part that fails is reported, and the others are run all the same."""
    rows: list[Row] = []
    found: dict[str, Any] = {}
    errors: dict[str, str] = {}

    def run(name: str, part: Callable[[], tuple[list[Row], dict[str, Any]]]) -> None:
        if name not in parts:
            return
        print(f"gpu-check: {name} ...", file=sys.stderr, flush=True)
        try:
            here, found[name] = part()
            rows.extend(here)
        except Exception as error:
            traceback.print_exc()
            errors[name] = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"

    from benchmarks.gpu_fusion import check_fusion
    from benchmarks.gpu_segmentation import check_labels, check_stage, made_studies
    from benchmarks.gpu_training import check_training

    run("fusion", partial(check_fusion, setting))
    studies = made_studies(setting)
    run("labels", partial(check_labels, setting, studies))
    run("training", partial(check_training, setting))
    run("stage", partial(check_stage, setting, studies))

    from benchmarks.gpu_options import check_options
    from benchmarks.gpu_stream import check_stream

    run("stream", partial(check_stream, setting, studies))
    run("options", partial(check_options, setting, studies))  # last, because compilers take what time is left
    wrong = [row.what for row in rows if row.parity and row.ok is False]
    return {
        "right": not wrong and not errors,
        "wrong": wrong,
        "errors": errors,
        "missed_aims": [row.what for row in rows if not row.parity and row.ok is False],
        "seconds": round(time.monotonic() - setting.began, 1),
        "rows": [row.as_record() for row in rows],
        "found": found,
    }


def _machine(device: Any) -> dict[str, Any]:
    import torch

    facts: dict[str, Any] = {"processor": platform.processor() or platform.machine()}
    facts |= {"cores": len(os.sched_getaffinity(0)), "python": platform.python_version()}
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        facts |= {"gpu": about.name, "gpu_gib": about.total_memory / 2**30, "cuda": torch.version.cuda}
        facts["compute_capability"] = f"{about.major}.{about.minor}"
    for package in _PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            continue
    return facts


def _table(result: dict[str, Any]) -> str:
    """The rows as a Markdown table, with what failed below it."""
    marks = {True: "yes", False: "NO", None: ""}
    lines = ["", f"## {result['machine'].get('gpu', 'CPU with tiny inputs: a test of the script, no figures')}", ""]
    lines += ["| what | measured | beside | aim | met |", "|---|---|---|---|---|"]
    for row in result["rows"]:
        cells = (row["what"], row["measured"], row["beside"], row["aim"], marks[row["ok"]])
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"\nfailed: {name}: {error}" for name, error in result["errors"].items()]
    lines.append("\nEvery result is right." if result["right"] else "\nSOMETHING IS WRONG: see NO and failed above.")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
