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
    from benchmarks.gpu_setting import Part, Setting

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


class _Run:
    """The parts of one check, and what they have found so far."""

    def __init__(self, setting: Setting, inputs: SpareProcess, only: Sequence[str], out: Path | None) -> None:
        self.setting = setting
        self._inputs = inputs
        self._only = frozenset(only)
        self._out = out
        self._machine = _machine(setting.device)
        self._parts: dict[str, Part] = {}
        self._part_s: dict[str, float] = {}

    @property
    def elapsed_s(self) -> float:
        """Seconds since the check began."""
        return time.monotonic() - self.setting.began

    def wants(self, *names: str) -> bool:
        """Whether one of these parts was asked for."""
        return not self._only.isdisjoint(names)

    def part(self, name: str) -> Part:
        """A new part, whose steps are kept in the file."""
        from benchmarks.gpu_setting import Part

        self._parts[name] = Part(keep=self.keep)
        return self._parts[name]

    def do(self, name: str, check: Callable[[Part], None], needed_s: float = 0.0) -> None:
        """Run a part if it was asked for, and if ``needed_s`` are left. Its error is reported; the next part is run."""
        if not self.wants(name):
            return
        found = self.part(name)
        if self.setting.left_s < needed_s:
            found.details["left_out"] = f"less than {needed_s:.0f} s were left"
            return
        self.tell(f"{name} after {self.elapsed_s:.0f} s ...")
        here = time.monotonic()
        with found.step(name):
            check(found)
        self._part_s[name] = round(time.monotonic() - here, 1)
        for row in found.rows:
            self.tell(f"  {row.what}: {row.measured} | {row.beside} | {row.ok}")
        if self.setting.device.type == "cuda":
            import torch

            torch.cuda.empty_cache()  # so that no part is short of memory because of an earlier one

    def wait_for_inputs(self) -> None:
        """Wait until the inputs are made: making them would disturb the times of the parts that follow."""
        with self.part("inputs").step("inputs"):
            if self.wants(*(name for name in PARTS if name != "training")):
                self._inputs.wait()
        self.tell(f"inputs {self._inputs.seconds()}, there after {self.elapsed_s:.0f} s")
        self._part_s["until the inputs were there"] = round(self.elapsed_s, 1)

    def result(self) -> dict[str, Any]:
        """The JSON object, as far as it is known."""
        facts = {"machine": self._machine, "small": self.setting.small, **_result(self._parts)}
        seconds = {"seconds": round(self.elapsed_s, 1), "part_s": self._part_s, "inputs_s": self._inputs.seconds()}
        return {**facts, **seconds}

    def keep(self) -> None:
        """Write the JSON object to the file, if there is one."""
        if self._out is not None:
            text = json.dumps(self.result(), indent=2) + "\n"
            temporary = self._out.with_name(f"{self._out.name}.part")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(self._out)

    @staticmethod
    def tell(text: str) -> None:
        """Say on standard error how far the check is."""
        print(f"gpu-check: {text}", file=sys.stderr, flush=True)


def _checked(options: argparse.Namespace, scratch: Path, inputs: SpareProcess, began: float) -> dict[str, Any]:
    """Run every part. A step that fails is reported, and the others are run all the same."""
    import torch

    from benchmarks.gpu_setting import Setting

    device = torch.device("cuda", torch.cuda.current_device()) if options.device == "cuda" else torch.device("cpu")
    repeats = 1 if options.device == "cpu" else 5
    setting = Setting(device, scratch, options.minutes, repeats, options.profile, began)
    run = _Run(setting, inputs, options.only, options.out)

    from benchmarks.gpu_segmentation import Studies, check_labels, check_stage
    from benchmarks.gpu_training import check_training

    studies = Studies(setting, inputs)
    run.do("training", partial(check_training, setting))
    if run.wants("stage", "stream", "profile", "options"):
        with run.part("network").step("network"):
            _ = studies.full_model  # made while we wait anyway
    run.wait_for_inputs()

    from benchmarks.gpu_fusion import check_fusion
    from benchmarks.gpu_stream import check_stream

    run.do("fusion", partial(check_fusion, setting))
    run.do("labels", partial(check_labels, setting, studies))
    run.do("stage", partial(check_stage, setting, studies))
    run.do("stream", partial(check_stream, setting, studies))
    if setting.profile is not None:
        from benchmarks.gpu_profile import check_profile

        run.do("profile", partial(check_profile, setting, studies), needed_s=20.0)
    from benchmarks.gpu_options import check_options

    run.do("options", partial(check_options, setting, studies))  # last, because compilers take what time is left
    run.keep()
    return run.result()


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
