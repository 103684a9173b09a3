"""Time of `sarcomap cohort collect` on many reports.

    python -m benchmarks.collect_speed out/report.json --reports 40000 --out benchmarks/results/collect_speed.json

Copies of one report, each in a study's folder like those of a cohort run, in a temporary folder. CPU time
is that of the whole collection with its Parquet file; wall time depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from analysis.collect import collect_reports


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line: print the figures, and write them as JSON if a file is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, help="a report.json")
    parser.add_argument("--reports", type=int, default=40000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(argv)
    report = json.loads(options.report.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        report["study"] |= {"pseudonym": "THE-EID", "visit": "THE-VISIT"}
        text = json.dumps(report, indent=2)
        for number in range(options.reports):
            eid, visit = str(1_000_000 + number // 2), str(2 + number % 2)
            study = folder / "studies" / f"{eid}_{visit}"
            study.mkdir(parents=True)
            (study / "report.json").write_text(
                text.replace("THE-EID", eid).replace("THE-VISIT", visit), encoding="utf-8"
            )
            (study / "attempt.json").write_text(json.dumps({"eid": eid, "visit": visit}), encoding="utf-8")
        wall, cpu = time.perf_counter(), _cpu()
        collected = collect_reports(folder)
        collected.write(folder / "phenotypes.parquet")
        figures = {
            "reports": len(collected.table),
            "bytes_of_a_report": len(text),
            "columns": len(collected.table.columns),
            "wall_s": round(time.perf_counter() - wall, 1),
            "cpu_s": round(_cpu() - cpu, 1),
            "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "table_mib": round((folder / "phenotypes.parquet").stat().st_size / 2**20, 1),
            "cores": os.cpu_count(),
            "machine": platform.processor() or platform.machine(),
        }
    shown = json.dumps(figures, indent=1)
    print(shown)
    if options.out is not None:
        options.out.write_text(shown + "\n", encoding="utf-8")
    return 0


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
