"""Runs R, so that our statistics are compared with an independent reference."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

needs_r = pytest.mark.skipif(
    shutil.which("Rscript") is None, reason="R is not installed (apt-get install r-base-core r-cran-mass)"
)


@cache
def _has(package: str) -> bool:
    if shutil.which("Rscript") is None:
        return False
    return subprocess.run(["Rscript", "--vanilla", "-e", f"library({package})"], capture_output=True).returncode == 0


def needs(package: str) -> pytest.MarkDecorator:
    """Mark a test that compares with an R package; it is skipped, and says why, where R lacks it."""
    return pytest.mark.skipif(
        not _has(package), reason=f"R with {package} is not installed (tests/install_references.sh)"
    )


needs_survival = pytest.mark.skipif(
    not _has("survival"), reason="R with survival is not installed (apt-get install r-base-core r-cran-survival)"
)


def run_r(script: str, folder: Path, **tables: pd.DataFrame) -> dict[str, np.ndarray]:
    """Run ``script`` with each table as a data frame; returns the values that it passes to ``out(name, values)``."""
    lines = [
        "suppressMessages(library(MASS)); options(digits = 17)",
        'out <- function(name, x) cat(sprintf(\'{"name": "%s", "values": [%s]}\\n\', name, '
        "paste(ifelse(is.na(x), 'NaN', sprintf('%.17g', x)), collapse = ', ')))",
    ]
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False, float_format="%.17g")
        lines.append(f"{name} <- read.csv('{folder / name}.csv')")
    done = subprocess.run(
        ["Rscript", "--vanilla", "-e", "\n".join([*lines, script])], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {result["name"]: np.array(result["values"], dtype=float) for result in results}
