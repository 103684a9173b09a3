"""Time and memory of the analysis, compared with R.

    python benchmarks/analysis_speed.py --sizes 5000 20000 37004 80000 320000 500000 --r-up-to 37004 \
        --out benchmarks/results/analysis_speed.json --plot docs/analysis_growth.svg --table docs/analysis-checks.md
    python benchmarks/analysis_speed.py --sizes 37004 --r-up-to 0 --full \
        --out benchmarks/results/analysis_speed_full.json --table docs/analysis-checks.md
    python benchmarks/analysis_speed.py --draw benchmarks/results/analysis_speed.json --plot docs/analysis_growth.svg

For each size, a synthetic cohort is written and ``python -m analysis run`` is
timed on it in its own process (peak memory as the operating system reports
it). Then the 20 models of P/A and L/R asymmetry are timed against R's ``glm``
with ``confint`` of the exposure, on the same rows in the same run. The
machine's load before each size is recorded: on a busy machine the figures are
upper bounds. ``--table`` writes the figures into the page that shows them, with ``--full`` into its sentence.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import Options, associations, load_cohort
from analysis.definitions import COVARIATES, OUTCOMES
from analysis.figures.style import COLOUR, DOUBLE_COLUMN, bare, new_figure
from analysis.thirds import tertiles
from phantom.table import draw_cohort, write_cohort

_EXPOSURES = ("pa_ratio", "lr_asymmetry_dexa")
_TABLE_HEAD = "| n | whole run |"
_FULL_HEAD = "With `--full`, a run of "
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


def measure(n: int, folder: Path, with_r: bool, full: bool = False) -> dict[str, float | int | None]:
    """All figures of one size; ``full``: of ``--full``."""
    phenotypes, participants, _ = write_cohort(folder, draw_cohort(n, 1))
    load_before = os.getloadavg()[0]
    out = folder / "results"
    command = [sys.executable, "-m", "analysis", "run", "--quiet", "--out", str(out)]
    command += ["--phenotypes", str(phenotypes), "--participants", str(participants)] + (["--full"] if full else [])
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
        "load_before": round(load_before, 1),
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
    parser.add_argument(
        "--r-up-to", type=int, default=37004, metavar="N", help="also time R up to this size (0: never)"
    )
    parser.add_argument("--full", action="store_true", help="time `analysis run --full`")
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="plot the growth of time and memory with n")
    parser.add_argument("--table", type=Path, metavar="PAGE.md", help="replace the rows of its table of these figures")
    parser.add_argument("--draw", type=Path, metavar="FILE.json", help="measure nothing; plot these figures")
    options = parser.parse_args()
    if options.draw is not None:
        plot(json.loads(options.draw.read_text("utf-8"))["sizes"], options.plot)
        return 0
    rows = []
    for n in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(n, Path(folder), n <= options.r_up_to, options.full))
            print(json.dumps(rows[-1]), flush=True)
    print(pd.DataFrame(rows).to_string(index=False))
    machine = {"processors": os.cpu_count(), "model": _processor(), "python": platform.python_version()}
    print(machine)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"machine": machine, "sizes": rows}, indent=1) + "\n", "utf-8")
    if options.plot is not None:
        plot(rows, options.plot)
    if options.table is not None:
        write = with_full_run if options.full else with_rows
        options.table.write_text(write(options.table.read_text("utf-8"), rows), "utf-8")
    return 0


def with_rows(page: str, rows: list[dict[str, Any]]) -> str:
    """The page with new rows under the table's head and rule."""
    lines = page.split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith(_TABLE_HEAD)) + 2
    end = next(i for i in range(start, len(lines)) if not lines[i].startswith("|"))
    made = []
    for row in rows:
        ours, theirs = row["models_s"], row["models_r_s"]
        beside = f"{theirs:.1f} s, {theirs / ours:.1f} times as long" if theirs else ""
        run = f"{row['whole_run_s']:.1f} s | {row['processor_s']:.0f} s | {row['peak_gib']:.2f} GiB"
        made.append(f"| {row['n']:,} | {run} | {ours:.2f} s | {beside} |")
    return "\n".join([*lines[:start], *made, *lines[end:]])


def with_full_run(page: str, rows: list[dict[str, Any]]) -> str:
    """The page with the figures of the last run in its sentence about ``--full``."""
    row = rows[-1]
    busy = ", on a machine that had other work" if row["load_before"] >= 1.5 else ""
    said = (
        f"{_FULL_HEAD}{row['n']:,} takes {row['whole_run_s']:.0f} s, {row['processor_s']:.0f} s of processor time and "
        f"{row['peak_gib']:.2f} GiB{busy}."
    )
    lines = page.split("\n")
    lines[next(i for i, line in enumerate(lines) if line.startswith(_FULL_HEAD))] = said
    return "\n".join(lines)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Plot time and memory against n on linear axes: linear growth is a straight line."""
    figure = new_figure(DOUBLE_COLUMN, 2.4)
    table = pd.DataFrame(rows).sort_values("n")
    panels = (
        ("whole_run_s", "Whole run, s"),
        ("peak_gib", "Peak memory, GiB"),
        ("models_s", "20 models, s"),
    )
    for axes, (column, label) in zip(figure.subplots(1, 3), panels, strict=True):
        axes.plot(table["n"] / 1000, table[column], "o-", color=COLOUR["M"], ms=3, lw=1)
        if column == "models_s" and table["models_r_s"].notna().any():
            axes.plot(table["n"] / 1000, table["models_r_s"], "s-", color=COLOUR["F"], ms=3, lw=1)
            last = table[table["models_r_s"].notna()].iloc[-1]
            axes.annotate("R", (last["n"] / 1000, last["models_r_s"]), xytext=(4, 0), textcoords="offset points")
        axes.set_title(label)
        axes.set_xlabel("Participants, thousands")
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        bare(axes)
    figure.savefig(path, format="svg", metadata={"Date": None})


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    sys.exit(main())
