"""How long the analysis takes, how much memory, and R beside it.

    python benchmarks/analysis_speed.py --sizes 37004 100000 500000

For each size a synthetic cohort is written, ``python -m analysis run`` is
timed on it as a process of its own (peak memory by the operating system), and
the 20 models of P/A and L/R asymmetry are timed against R's ``glm`` with
``confint`` of the exposure, on the same rows, in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from analysis import Options, associations, load_cohort
from analysis.cohort import COVARIATES
from analysis.definitions import OUTCOMES
from analysis.tertiles import tertiles
from phantom.table import draw_cohort, write_cohort

_EXPOSURES = ("pa_ratio", "lr_asymmetry_dexa")
_R = """
suppressMessages(library(MASS)); d <- read.csv("models.csv"); started <- proc.time()[["elapsed"]]
for (exposure in c("pa_ratio", "lr_asymmetry_dexa")) {
  s <- d[d[[exposure]] != 1, ]; s$high <- s[[exposure]] == 2
  for (outcome in strsplit("OUTCOMES", ",")[[1]]) for (model in c("high", "high + age + sex + bmi + activity")) {
    f <- glm(as.formula(paste(outcome, "~", model)), family = binomial, data = s)
    suppressMessages(confint(f, "highTRUE"))
  }
}
cat(proc.time()[["elapsed"]] - started)
"""


def measure(n: int, folder: Path, with_r: bool) -> dict[str, float | int | None]:
    """All figures of one size."""
    phenotypes, participants, _ = write_cohort(folder, draw_cohort(n, 1))
    out = folder / "results"
    command = [sys.executable, "-m", "analysis", "run", "--quiet", "--out", str(out)]
    command += ["--phenotypes", str(phenotypes), "--participants", str(participants)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    whole = time.perf_counter() - started
    if status:
        raise SystemExit(f"the analysis of {n} failed")
    cohort = load_cohort(Options(phenotypes, participants, out))
    started = time.perf_counter()
    associations(cohort.analysed, COVARIATES, exposures=_EXPOSURES)
    ours = time.perf_counter() - started
    return {
        "n": n,
        "whole_run_s": round(whole, 1),
        "processor_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_gib": round(usage.ru_maxrss / 1024**2, 2),
        "models_s": round(ours, 2),
        "models_r_s": _r_seconds(cohort.analysed, folder) if with_r else None,
    }


def _r_seconds(table: pd.DataFrame, folder: Path) -> float | None:
    if shutil.which("Rscript") is None:
        return None
    data = table[["age", "sex", "bmi", "activity", *OUTCOMES]].copy()
    for exposure in _EXPOSURES:
        data[exposure] = tertiles(table[exposure].to_numpy(dtype=float)).group
    data.to_csv(folder / "models.csv", index=False)
    script = _R.replace("OUTCOMES", ",".join(OUTCOMES))
    done = subprocess.run(["Rscript", "--vanilla", "-e", script], cwd=folder, capture_output=True, text=True)
    return round(float(done.stdout), 2) if done.returncode == 0 else None


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[37004])
    parser.add_argument("--no-r", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rows = []
    for n in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(n, Path(folder), with_r=not options.no_r))
            print(json.dumps(rows[-1]), flush=True)
    print(pd.DataFrame(rows).to_string(index=False))
    print(f"{os.cpu_count()} processors; load before the start {load:.1f}; own peak "
          f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2:.2f} GiB")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
