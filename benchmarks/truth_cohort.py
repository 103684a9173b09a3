"""Does a cohort recover the truth? Phantom -> cohort -> collect -> analysis, against the exact bodies.

    sarcomap phantom cohort --out made --n 24 --seed 700 --stations 4
    sarcomap cohort run made/zips -o cohort --keep minimal
    python -m benchmarks.truth_cohort made cohort/phenotypes.parquet --out benchmarks/results/truth_cohort.json

Reports how muscle volume and P/A ratio agree with the truth. Then outcomes are drawn again and again from a known odds
ratio of the true P/A ratio, and the analysis estimates it from the measured one: how many of its 95% intervals hold the
truth, how many exclude 1, and by how much measurement error attenuates the logarithm of the odds ratio. "at_scale" does
the same for a large table whose P/A ratio has the measurement error that was found.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from analysis.sensitivity import per_sd

Vector = NDArray[np.float64]
_OUTCOME = "falls"
_PREVALENCE = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line: print the figures, and write them as JSON if a file is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("made", type=Path, help="folder of `sarcomap phantom cohort`")
    parser.add_argument("phenotypes", type=Path, help="table of `sarcomap cohort run`")
    parser.add_argument("--redraws", type=int, default=200)
    parser.add_argument("--odds-ratio", type=float, default=8.0, help="per SD of the true P/A ratio, for the images")
    parser.add_argument("--people", type=int, default=2000, help="size of the table at scale")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(argv)
    truth = pd.read_csv(options.made / "truth.csv", dtype={"eid": str})
    measured = pd.read_parquet(options.phenotypes)
    both = truth.merge(measured, on="eid", suffixes=("_true", ""))
    both = both[both[["tmv_cm3", "pa_ratio"]].notna().all(axis=1)]
    true, found = (both[name].to_numpy(dtype=np.float64) for name in ("pa_ratio_true", "pa_ratio"))
    error = calibration(true, found)
    rng = np.random.default_rng(1)
    people = rng.normal(0.445, 0.055, options.people)
    noisy = error["intercept"] + error["slope"] * people + rng.normal(0, error["residual_sd"], options.people)
    figures: dict[str, Any] = {
        "participants": len(truth),
        "measured": len(both),
        "model": sorted(measured["model_name"] + " " + measured["model_version"].astype(str))[0],
        "tmv_cm3": calibration(both["tmv_cm3_true"].to_numpy(dtype=np.float64), both["tmv_cm3"].to_numpy(np.float64)),
        "pa_ratio": error,
        "images": redrawn(true, found, options.odds_ratio, options.redraws, seed=2),
        "at_scale": redrawn(people, noisy, 1.5, options.redraws, seed=3),
    }
    text = json.dumps(figures, indent=1)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")
    return 0


def calibration(true: Vector, found: Vector) -> dict[str, float]:
    """Agreement of a measurement with the truth: correlation, line, scatter about it, and mean difference."""
    slope, intercept = np.polyfit(true, found, 1)
    rest = found - intercept - slope * true
    return {
        "r": _rounded(np.corrcoef(true, found)[0, 1]),
        "slope": _rounded(slope),
        "intercept": _rounded(intercept),
        "residual_sd": _rounded(math.sqrt((rest**2).sum() / max(1, len(true) - 2))),
        "mean_difference": _rounded((found - true).mean()),
        "true_sd": _rounded(true.std(ddof=1)),
    }


def redrawn(true: Vector, found: Vector, odds_ratio: float, redraws: int, seed: int) -> dict[str, float | None]:
    """Draw outcomes from the true exposure many times, and estimate its odds ratio from the measured and the true one.

    Parameters
    ----------
    true, found : ndarray, shape (n,)
    odds_ratio : float
        Per SD of ``true``. It is compared with the estimate per SD of ``found``, which has its own scale.
    redraws, seed : int
    """
    rng = np.random.default_rng(seed)
    slope = math.log(odds_ratio) / true.std(ddof=1)  # log odds per unit of the exposure
    probability = expit(math.log(_PREVALENCE / (1 - _PREVALENCE)) + slope * (true - true.mean()))
    kept: dict[str, list[tuple[float, bool, bool]]] = {"measured": [], "true": []}
    for _ in range(redraws):
        outcome = (rng.random(len(true)) < probability).astype(float)
        for name, exposure in (("measured", found), ("true", true)):
            table = pd.DataFrame({"pa_ratio": exposure, _OUTCOME: outcome})
            row = per_sd(table, (), exposures=("pa_ratio",), outcomes=(_OUTCOME,)).iloc[0]
            low, high = row["ci_low"], row["ci_high"]
            if math.isfinite(low):  # not where all outcomes of a small sample are equal
                kept[name].append((math.log(row["odds_ratio"]), low <= odds_ratio <= high, low > 1 or high < 1))
    estimates = {name: np.array([one[0] for one in rows]) for name, rows in kept.items()}
    figures: dict[str, float | None] = {"n": len(true), "odds_ratio_per_sd": odds_ratio, "redraws": redraws}
    for name, rows in kept.items():
        figures[f"estimates_{name}"] = len(rows)
        figures[f"intervals_that_hold_the_truth_{name}"] = _rounded(float(np.mean([one[1] for one in rows])))
        figures[f"intervals_that_exclude_1_{name}"] = _rounded(float(np.mean([one[2] for one in rows])))
    # Medians, because a few redraws of a small sample are nearly separated.
    figures["attenuation"] = _rounded(float(np.median(estimates["measured"]) / np.median(estimates["true"])))
    return figures


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


if __name__ == "__main__":
    sys.exit(main())
