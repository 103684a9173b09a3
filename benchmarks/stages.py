"""Processor time, wall time and peak memory of each stage of a study, in one warm process.

    python -m benchmarks.stages --seed 11 --studies 4 --out benchmarks/results/stages.json
    python -m benchmarks.stages --code EARLIER_CHECKOUT --code . --out ...   # versions in turn, on the same machine

Each version runs in a process of its own with one thread, as a worker of a
cohort does. The model is loaded once and the study is processed several times. The first study
is cold: it imports, and loads compiled kernels. The others are warm; their
medians are reported. Processor time is that of all threads of the process. Where
other programs share the machine, it is the better measure, but it also grows,
because two threads share a core. So compare versions only within one call, which
alternates between them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_KIB_PER_GIB = 2**20
_MEASURES = ("processor_s", "wall_s", "peak_gib")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line: print a table, and write it as JSON if a file is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--code", type=Path, action="append", help="checkout to measure; repeatable (default: this one)"
    )
    parser.add_argument("--study", type=Path, help="study to process (default: a phantom of --seed)")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--studies", type=int, default=4, help="studies in one process; the first is not counted")
    parser.add_argument("--rounds", type=int, default=2, help="processes for each version, in turn")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.worker:
        print(json.dumps(measure(options.study, options.studies)))
        return 0
    versions = {_name(code): code.resolve() for code in options.code or [ROOT]}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in versions}
    with tempfile.TemporaryDirectory() as scratch:
        study = options.study or _phantom(Path(scratch), options.seed)
        for _ in range(options.rounds):
            for name, code in versions.items():
                found[name].append(_in_process(code, study, options.studies, options.threads))
    figures = {name: _summary(rounds) for name, rounds in found.items()}
    for name, figure in figures.items():
        print(f"{name}: peak {figure['peak_gib']:.2f} GiB")
        for stage, values in figure["stages"].items():
            print(f"  {stage:8s}" + "".join(f"{key} {values[key]:6.2f}  " for key in _MEASURES))
    if options.out is not None:
        content = {"threads": options.threads, "cores": len(os.sched_getaffinity(0)), "versions": figures}
        options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(study: Path, count: int) -> dict[str, Any]:
    """Process a study ``count`` times in this process.

    Parameters
    ----------
    study : Path
    count : int

    Returns
    -------
    dict
        ``studies``: for each run, processor seconds, wall seconds and peak
        memory (GiB) by stage. ``peak_gib``: the process's peak.
    """
    from operators.core.options import RunOptions
    from operators.pipeline import model_of, process_study

    model, studies = model_of(None, RunOptions()), []
    loaded = _kib("VmHWM")
    peak = loaded
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(count):
            stages: dict[str, dict[str, float]] = {}
            begun = (0.0, 0.0)

            def on_stage(stage: str, seconds: float | None, stages: dict[str, dict[str, float]] = stages) -> None:
                nonlocal begun, peak
                if seconds is None:
                    _forget_peak()
                    begun = (time.process_time(), time.perf_counter())
                    return
                spent = (time.process_time() - begun[0], time.perf_counter() - begun[1])
                peak = max(peak, _kib("VmHWM"))
                stages[stage] = dict(zip(_MEASURES, (*spent, _kib("VmHWM") / _KIB_PER_GIB), strict=True))

            process_study(study, Path(scratch) / "out", model=model, on_stage=on_stage)
            shutil.rmtree(Path(scratch) / "out")
            studies.append(stages)
    # The peak of getrusage cannot be reset, so it is a check of the sum of the stages' peaks.
    whole = max(peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return {"studies": studies, "peak_gib": whole / _KIB_PER_GIB, "model_gib": loaded / _KIB_PER_GIB}


def _kib(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def _forget_peak() -> None:
    """Set the process's peak (VmHWM) to its current memory (Linux, proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _summary(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    warm = [study for one in rounds for study in one["studies"][1:]]
    cold = [one["studies"][0] for one in rounds]
    stages = {stage: _medians([study[stage] for study in warm]) for stage in warm[0]}
    return {
        "peak_gib": max(one["peak_gib"] for one in rounds),
        "model_gib": max(one["model_gib"] for one in rounds),
        "stages": stages | {"study": _sums(stages)},
        "first_study": {stage: _medians([study[stage] for study in cold]) for stage in cold[0]},
        "warm_studies": len(warm),
    }


def _medians(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(run[key] for run in runs), 3) for key in _MEASURES}


def _sums(stages: dict[str, dict[str, float]]) -> dict[str, float]:
    parts = list(stages.values())
    return {
        "processor_s": round(sum(part["processor_s"] for part in parts), 3),
        "wall_s": round(sum(part["wall_s"] for part in parts), 3),
        "peak_gib": max(part["peak_gib"] for part in parts),
    }


def _in_process(code: Path, study: Path, studies: int, threads: int) -> dict[str, Any]:
    # The worker is this file whichever version it measures, so that an earlier one need not have it.
    command = [sys.executable, __file__, "--worker", "--study", str(study.resolve()), "--studies", str(studies)]
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(threads)) | {"PYTHONPATH": str(code)}
    done = subprocess.run(command, cwd=code, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _phantom(folder: Path, seed: int) -> Path:
    command = [sys.executable, "-m", "phantom", "study", "--out", str(folder), "--seed", str(seed)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return folder / "dicom"


def _name(code: Path) -> str:
    said = subprocess.run(
        ["git", "-C", str(code), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return said.stdout.strip() if said.returncode == 0 else code.resolve().name


if __name__ == "__main__":
    sys.exit(main())
