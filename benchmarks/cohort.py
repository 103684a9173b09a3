"""What a cohort's run costs: warm workers by stage, the ledger and Dask with many studies, and what kills change.

    python benchmarks/cohort.py throughput --studies 6 --out benchmarks/results/cohort_throughput.json
    python benchmarks/cohort.py scale --studies 100000 --out benchmarks/results/cohort_scale.json
    python benchmarks/cohort.py resume --studies 100000 --out benchmarks/results/cohort_resume.json
    python benchmarks/cohort.py kills --studies 100 --kills 20 --out benchmarks/results/cohort_kills.json

``throughput`` runs phantom studies of the archive's size through the shipped network with one and with two workers
of one thread. ``scale`` sends studies without work through Dask, and resumes the finished ledger; ``resume`` does only
the latter, with a ledger that was made for it. ``kills`` is `tests/cohort/kills.py` with more kills. The machine's
load is recorded: on a busy machine the times are upper bounds, and the CPU seconds are what can be compared.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import random
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from app.cohort import Attempt, CohortOptions, Ledger
from app.cohort.ledger import latest
from app.cohort.run import run_cohort
from app.cohort.settings import WorkerSettings
from app.cohort.study_work import Facts, OnStage, Session
from operators.core.options import RunOptions

__all__ = ["main", "nothing"]

_STAGES = ("digest", "model", "load", "fuse", "segment", "write", "report", "total")


def nothing(source: Path, folder: Path, settings: WorkerSettings, session: Session, on_stage: OnStage) -> Facts:
    """A study without work, whose results are an empty folder."""
    folder.mkdir(parents=True)
    return Facts({})


def throughput(studies: int, folder: Path) -> dict[str, Any]:
    """Seconds a study by stage, with one and two workers of one thread each."""
    from phantom.study import write_study

    inputs = folder / "in"
    write_study(folder / "made", seed=7, zip_archive=True)
    (source,) = (folder / "made").rglob("*.zip")
    inputs.mkdir()
    for number in range(studies):
        os.link(source, inputs / f"{1000000 + number}_20201_2_0.zip")
    found: dict[str, Any] = {"studies": studies, "input_bytes": source.stat().st_size}
    for workers in (1, 2):
        out = folder / f"out{workers}"
        before, began = _cpu_of_children(), time.perf_counter()
        run_cohort([str(inputs)], out, RunOptions(device="cpu"), CohortOptions(workers=workers), quiet=True)
        found[f"workers_{workers}"] = {
            "seconds": round(time.perf_counter() - began, 2),
            "cpu_seconds": round(_cpu_of_children() - before, 2),
            **_by_stage(Ledger(out).attempts()[0]),
        }
    one, two = found["workers_1"], found["workers_2"]
    parts = ("load", "fuse", "report")
    per_study = [sum(each["warm_seconds"][stage] for stage in parts) for each in (one, two)]
    found["speed_of_two_workers_for_load_fuse_report"] = round(2 * per_study[0] / per_study[1], 3)
    found["speed_of_two_processes_of_pure_arithmetic"] = round(_speed_of_two_processes(), 3)
    return found


def _speed_of_two_processes(seconds: float = 4.0) -> float:
    """What the machine itself gives: work that needs neither memory nor disk, in two processes instead of one.

    It is 2 on two idle cores. It is less where two virtual cores are threads of one core, or where other programs run.
    """
    done = []
    for number in (1, 2):
        with multiprocessing.get_context("spawn").Pool(number) as pool:
            pool.map(_arithmetic, [0.1] * number, chunksize=1)  # they have started
            done.append(sum(pool.map(_arithmetic, [seconds] * number, chunksize=1)))
    return done[1] / done[0]


def _arithmetic(seconds: float) -> float:
    """Rounds of integer arithmetic a second, in registers and the first cache."""
    began, rounds, value = time.perf_counter(), 0, 1
    while (spent := time.perf_counter() - began) < seconds:
        for step in range(2000):
            value = (value * 1103515245 + step) & 0x7FFFFFFF
        rounds += 1
    return rounds / spent


def _by_stage(attempts: list[Attempt]) -> dict[str, Any]:
    """Medians of the studies that found their process warm, and what the first of each process took beyond them."""
    first: dict[str, Attempt] = {}
    warm: list[Attempt] = []
    for one in attempts:
        if one.worker in first:
            warm.append(one)
        else:
            first[one.worker] = one
    medians = {stage: round(statistics.median([one.seconds.get(stage, 0.0) for one in warm]), 3) for stage in _STAGES}
    starts = [one.seconds["total"] - medians["total"] for one in first.values()]
    return {
        "warm_seconds": medians,
        "start_of_a_process_seconds": [round(value, 2) for value in starts],
        "peak_gib": round(max(one.peak_bytes for one in attempts) / 2**30, 2),
        "output_mb": round(statistics.median([one.bytes.get("output", 0) for one in warm]) / 1e6, 1),
    }


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def scale(studies: int, folder: Path) -> dict[str, Any]:
    """Studies without work through Dask, and a resumption of the finished ledger.

    The scheduler has a process of its own, as on a real cluster, so that its memory is not counted as the client's.
    """
    inputs, out = folder / "in", folder / "out"
    inputs.mkdir()
    for number in range(studies):
        (inputs / f"{1000000 + number}_20201_2_0.zip").write_bytes(b"x")
    found: dict[str, Any] = {"studies": studies}
    work = "benchmarks.cohort:nothing"
    ours, theirs = multiprocessing.Pipe()
    cluster = multiprocessing.get_context("spawn").Process(target=_cluster, args=(theirs,))
    cluster.start()
    address = ours.recv()
    scheduler = psutil.Process(cluster.pid)
    before, cpu, began = sum(scheduler.cpu_times()[:2]), time.process_time(), time.perf_counter()
    run_cohort([str(inputs)], out, RunOptions(), CohortOptions(scheduler=address), fuse_only=True, work=work)
    found["ms_a_study"] = round(1e3 * (time.perf_counter() - began) / studies, 3)
    found["client_cpu_ms_a_study"] = round(1e3 * (time.process_time() - cpu) / studies, 3)
    found["scheduler_cpu_ms_a_study"] = round(1e3 * (sum(scheduler.cpu_times()[:2]) - before) / studies, 3)
    found["client_peak_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    found["scheduler_mib"] = round(scheduler.memory_info().rss / 2**20, 1)
    ours.send("end")
    cluster.join()
    found["ledger_mb"] = round(sum(file.stat().st_size for file in (out / "ledger").iterdir()) / 1e6, 1)
    found["ledger_files"] = len(list((out / "ledger").iterdir()))
    cpu, began = time.process_time(), time.perf_counter()
    result = run_cohort([str(inputs)], out, RunOptions(), CohortOptions(), fuse_only=True, work=work)
    found["resume_seconds"] = round(time.perf_counter() - began, 2)
    found["resume_cpu_seconds"] = round(time.process_time() - cpu, 2)
    found["done"] = result.counts["done"]
    assert len(latest(Ledger(out).attempts()[0])) == studies
    return found


def _cluster(connection: Connection) -> None:
    """A scheduler and two workers, until something is received."""
    import dask
    from distributed import LocalCluster

    from app.cohort.dask_cluster import RECOMMENDED

    with dask.config.set(RECOMMENDED), LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as made:
        connection.send(made.scheduler_address)
        connection.recv()


def resume(studies: int, folder: Path) -> dict[str, Any]:
    """The resumption of a finished cohort, whose ledger and folders are made here with the run's own records."""
    made = multiprocessing.get_context("spawn").Process(target=_make_finished, args=(studies, folder))
    made.start()  # in a process of its own, whose memory is not counted
    made.join()
    inputs, out = folder / "in", folder / "out"
    os.sync()  # a cohort that is finished does not compete with the disk's writing of its 200,000 new entries
    cpu, began = time.process_time(), time.perf_counter()
    result = run_cohort([str(inputs)], out, RunOptions(), CohortOptions(), fuse_only=True, quiet=True)
    assert result.counts["done"] == studies
    return {
        "studies": studies,
        "resume_seconds": round(time.perf_counter() - began, 2),
        "resume_cpu_seconds": round(time.process_time() - cpu, 2),
        "ledger_mb": round((out / "ledger" / "made.jsonl").stat().st_size / 1e6, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def _make_finished(studies: int, folder: Path) -> None:
    from app.cohort.digests import digests_of
    from app.cohort.preflight import check_options
    from app.cohort.studies import find_studies

    inputs, out = folder / "in", folder / "out"
    inputs.mkdir()
    for number in range(studies):
        (inputs / f"{1000000 + number}_20201_2_0.zip").write_bytes(b"x")
    digests = digests_of(check_options(RunOptions(), True), None, True, "everything")
    (out / "ledger").mkdir(parents=True)
    with (out / "ledger" / "made.jsonl").open("w") as ledger:
        for one in find_studies([str(inputs)]):
            assert one.identity is not None and one.folder is not None
            (out / "studies" / one.folder).mkdir(parents=True)
            seconds = dict.fromkeys(_STAGES, 1.2345)
            attempt = Attempt(
                one.study, one.eid, one.visit, replace(one.identity, sha256="ab" * 32), digests, "done", None, 1,
                "node-0001.12345.0123abcd", seconds, {"input": 150_000_000, "output": 300_000_000},
                "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00", one.folder, None, ("seam-step",),
            )  # fmt: skip
            ledger.write(attempt.to_json() + "\n")


def kills(studies: int, number: int, folder: Path) -> dict[str, Any]:
    """A run in which processes are killed, compared with one in which none is."""
    from tests.cohort.kills import Scene, as_json, disturbed, made, tables, twice
    from tests.cohort.made_report import write_template
    from tests.cohort.stand_in import WORK

    inputs = made(folder / "in", studies)
    write_template(inputs)
    quiet = folder / "undisturbed"
    run_cohort([str(inputs)], quiet, RunOptions(), CohortOptions(workers=2), quiet=True, work=WORK)
    with Scene(folder / "cluster") as scene:
        found = disturbed(inputs, folder / "out", scene, number, random.Random(1), pause_s=1.5)
    same = tables(quiet) == tables(folder / "out")
    return as_json(found) | twice(folder / "out") | {"tables_are_the_same_to_the_byte": same, "work": "stand-in"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("throughput", "scale", "resume", "kills"))
    parser.add_argument("--studies", type=int, default=6)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    runs: dict[str, Callable[[Path], dict[str, Any]]] = {
        "throughput": lambda folder: throughput(options.studies, folder),
        "scale": lambda folder: scale(options.studies, folder),
        "resume": lambda folder: resume(options.studies, folder),
        "kills": lambda folder: kills(options.studies, options.kills, folder),
    }
    folder = Path(tempfile.mkdtemp(prefix="cohort-"))
    load = os.getloadavg()[0]
    try:
        found = runs[options.what](folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found |= {"load_before": round(load, 1), "load_after": round(os.getloadavg()[0], 1)}
    found |= {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    text = json.dumps(found, indent=1)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
