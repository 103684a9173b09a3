"""Check a GPU: are the results those of the CPU, and how fast is it beside the CPU and beside MONAI?

    make gpu-check
    python -m benchmarks.gpu_check [--out FILE.json] [--minutes 12] [--only fusion labels] [--profile FILE.txt]
    python -m benchmarks.gpu_check --device cpu      # the same script with tiny inputs, to test the script itself

It needs no network. It prints one table and one JSON object, and takes at most a quarter of an hour on a GPU of the
H100's class. Exit codes: 0 every result is right, 1 a result is wrong or a part failed, 2 there is no GPU. An aim of
speed that is missed is shown, and is no failure. What has been found is written to ``--out`` after every step, so that
a check that is cut short has not been for nothing. docs/gpu.md says how to read the table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.gpu_inputs import SpareProcess

if TYPE_CHECKING:
    from benchmarks.gpu_setting import Part

__all__ = ["main"]

_PACKAGES = ("torch", "monai", "numba", "numba-cuda", "numpy", "onnxruntime-gpu", "onnxruntime", "tensorrt")
_NO_GPU = 2
PARTS = ("training", "fusion", "labels", "stage", "stream", "profile", "options")
"""In their order: training first, because the inputs of the others are being made meanwhile."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the checks; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--minutes", type=float, default=12.0, help="after these, no optional part is begun")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to run (default: all)")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file, after every step")
    parser.add_argument("--profile", type=Path, help="write tables of what takes the time to this file")
    options = parser.parse_args(argv)
    if options.device == "cpu":
        os.environ["NUMBA_ENABLE_CUDASIM"] = "1"  # read when numba is imported, so nothing is imported above
    elif reason := _no_gpu():
        print(f"gpu-check: {reason} `--device cpu` runs the script with tiny inputs on the CPU.", file=sys.stderr)
        return _NO_GPU
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("SARCOMAP_CACHE", str(Path(scratch) / "cache"))
        inputs = SpareProcess(Path(scratch) / "inputs", options.device == "cpu")
        try:
            result = _checked(options, Path(scratch), inputs, began)
        finally:
            inputs.stop()
    print(json.dumps(result, indent=2))
    print(_table(result))
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


def _checked(options: argparse.Namespace, scratch: Path, inputs: SpareProcess, began: float) -> dict[str, Any]:
    """Run every part. A step that fails is reported, and the others are run all the same."""
    import torch

    from benchmarks.gpu_setting import Part, Setting

    device = torch.device("cuda", torch.cuda.current_device()) if options.device == "cuda" else torch.device("cpu")
    repeats = 1 if options.device == "cpu" else 5
    setting = Setting(device, scratch, options.minutes, repeats, options.profile, began)
    parts: dict[str, Part] = {}
    seconds: dict[str, float] = {}
    machine = _machine(device)

    def so_far() -> dict[str, Any]:
        facts = {"machine": machine, "small": setting.small, **_result(parts)}
        return {**facts, "seconds": round(time.monotonic() - began, 1), "part_s": seconds, "inputs_s": inputs.seconds()}

    def keep() -> None:
        if options.out is not None:
            text = json.dumps(so_far(), indent=2) + "\n"
            temporary = options.out.with_name(f"{options.out.name}.part")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(options.out)

    def run(name: str, part: Callable[[Part], None], needed_s: float = 0.0) -> None:
        if name not in options.only:
            return
        found = parts[name] = Part(keep=keep)
        if setting.left_s < needed_s:
            found.details["left_out"] = f"less than {needed_s:.0f} s were left"
            return
        print(f"gpu-check: {name} after {time.monotonic() - began:.0f} s ...", file=sys.stderr, flush=True)
        here = time.monotonic()
        with found.step(name):
            part(found)
        seconds[name] = round(time.monotonic() - here, 1)
        for row in found.rows:
            print(f"gpu-check:   {row.what}: {row.measured} | {row.beside} | {row.ok}", file=sys.stderr, flush=True)
        if setting.device.type == "cuda":
            torch.cuda.empty_cache()  # so that no part is short of memory because of an earlier one

    from benchmarks.gpu_segmentation import Studies, check_labels, check_stage
    from benchmarks.gpu_training import check_training

    studies = Studies(setting, inputs)
    run("training", partial(check_training, setting))
    if {"stage", "stream", "profile", "options"} & set(options.only):
        with parts.setdefault("network", Part(keep=keep)).step("network"):
            _ = studies.full_model  # made while we wait anyway
    waiting = parts["inputs"] = Part(keep=keep)
    with waiting.step("inputs"):
        if set(options.only) != {"training"}:
            inputs.wait()  # it would disturb the times
    print(f"gpu-check: inputs {inputs.seconds()}, there after {time.monotonic() - began:.0f} s", file=sys.stderr)
    seconds["until the inputs were there"] = round(time.monotonic() - began, 1)

    from benchmarks.gpu_fusion import check_fusion
    from benchmarks.gpu_stream import check_stream

    run("fusion", partial(check_fusion, setting))
    run("labels", partial(check_labels, setting, studies))
    run("stage", partial(check_stage, setting, studies))
    run("stream", partial(check_stream, setting, studies))
    if setting.profile is not None:
        from benchmarks.gpu_profile import check_profile

        run("profile", partial(check_profile, setting, studies), needed_s=20.0)
    from benchmarks.gpu_options import check_options

    run("options", partial(check_options, setting, studies))  # last, because compilers take what time is left
    keep()
    return so_far()


def _result(parts: Mapping[str, Part]) -> dict[str, Any]:
    rows = [row for part in parts.values() for row in part.rows]
    wrong = [row.what for row in rows if row.parity and row.ok is False]
    errors = {_named(name, step): text for name, part in parts.items() for step, text in part.errors.items()}
    return {
        "right": not wrong and not errors,
        "wrong": wrong,
        "errors": errors,
        "tracebacks": {
            _named(name, step): text for name, part in parts.items() for step, text in part.tracebacks.items()
        },
        "missed_aims": [row.what for row in rows if not row.parity and row.ok is False],
        "rows": [row.as_record() for row in rows],
        "found": {name: part.details for name, part in parts.items() if part.details},
    }


def _named(part: str, step: str) -> str:
    return part if part == step else f"{part}: {step}"


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
