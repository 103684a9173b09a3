"""From the archive's zip to four NRRD files, ours and a simple loop: python -m benchmarks.fusion_disk --zip STUDY.zip.

Every run is a separate process; ours and the loop alternate. A process does the
study twice, so that the second time is free of start-up costs. Seconds are
medians of wall-clock time. Processor seconds of all threads are given too,
because other work on the machine lengthens wall-clock time.
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["WAYS"]

Phases = dict[str, float]


def ours() -> Callable[[Path, Path], Phases]:
    """Only the stations that are fused are decoded, as ``python -m app`` does."""
    return _ours("pelvis-to-knee")


def ours_all_decoded() -> Callable[[Path, Path], Phases]:
    """All six stations are decoded, four are fused."""
    return _ours("all")


def loop() -> Callable[[Path, Path], Phases]:
    """All files are read and decoded, the lowest four stations fused."""
    from benchmarks.simpleitk_loop import from_zip

    return from_zip


def loop_only_fused() -> Callable[[Path, Path], Phases]:
    """All files are read, the lowest four stations decoded and fused."""
    from benchmarks.simpleitk_loop import from_zip

    return lambda path, out: from_zip(path, out, only_fused=True)


WAYS = {way.__name__: way for way in (ours, loop, ours_all_decoded, loop_only_fused)}


def _ours(decoded: Any) -> Callable[[Path, Path], Phases]:
    from operators.core.nrrd_files import write_volumes
    from operators.dicom_loader import load_study
    from operators.station_fusion import fuse, stations_to_fuse

    def work(path: Path, out: Path) -> Phases:
        start = time.perf_counter()
        study = load_study(path, select=lambda stations: stations_to_fuse(stations, decoded))
        loaded = time.perf_counter()
        volumes = fuse(study).volumes()
        done = time.perf_counter()
        write_volumes(out, {name: volumes[name] for name in ("in", "opp", "water", "fat")})
        end = time.perf_counter()
        return {"load_s": loaded - start, "fuse_s": done - loaded, "write_s": end - done, "total_s": end - start}

    return work


def child(way: str, path: Path) -> dict[str, Any]:
    """Measure one process: its imports, the study once, the study again."""
    start = time.perf_counter()
    work = WAYS[way]()
    result: dict[str, Any] = {"import_s": time.perf_counter() - start}
    for run in ("first", "second"):
        with tempfile.TemporaryDirectory() as folder:
            before = time.process_time()
            phases = work(path, Path(folder))
            processor_s = time.process_time() - before
            written = sum(file.stat().st_size for file in Path(folder).iterdir())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        result[run] = {**phases, "processor_s": processor_s, "written_mib": written / 2**20, "peak_mib": peak}
    return result


def measure(path: Path, repeats: int, prefix: str) -> dict[str, Any]:
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for _ in range(repeats):
        for way in WAYS:
            command = [
                *shlex.split(prefix),
                sys.executable,
                "-m",
                "benchmarks.fusion_disk",
                "--zip",
                str(path),
                "--child",
                way,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            runs[way].append(json.loads(done.stdout))
    result: dict[str, Any] = {"repeats": repeats, "zip_mib": path.stat().st_size / 2**20}
    for way, measured in runs.items():
        result[way] = {"import_s": statistics.median(run["import_s"] for run in measured)}
        for part in ("first", "second"):
            names = measured[0][part]
            result[way][part] = {name: statistics.median(run[part][name] for run in measured) for name in names}
            result[way][part]["total_s_all"] = sorted(round(run[part]["total_s"], 2) for run in measured)
    for part in ("first", "second"):
        result[f"{part}_loop_over_ours"] = {
            pair: result[theirs][part]["total_s"] / result[mine][part]["total_s"]
            for pair, theirs, mine in (
                ("as_each_is", "loop", "ours"),
                ("both_decode_all", "loop", "ours_all_decoded"),
                ("both_decode_what_is_fused", "loop_only_fused", "ours"),
            )
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zip", type=Path, required=True, help="python -m phantom study --zip --compress makes one")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="JSON file; default: printed")
    parser.add_argument("--prefix", default="", help="prefix of each process's command, for instance 'nice -n -19'")
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(options.child, options.zip)))
        return
    from benchmarks.fusion import finish

    finish(measure(options.zip, options.repeats, options.prefix), options.out)


if __name__ == "__main__":
    main()
