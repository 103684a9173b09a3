"""Dask, shards and local processes make the same table; killed Dask workers lose nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cohort import CohortOptions
from app.cohort.run import run_cohort
from operators.core.errors import UsageError
from operators.core.options import RunOptions
from tests.cohort.stand_in import WORK
from tests.cohort.test_outcomes import MakeInputs, known, run

pytest.importorskip("distributed")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    import dask
    from distributed import LocalCluster

    from app.cohort.dask_cluster import RECOMMENDED

    local = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": None}
    with dask.config.set(RECOMMENDED), LocalCluster(**local) as made:
        yield made


def rows(out: Path) -> bytes:
    return (out / "phenotypes.parquet").read_bytes() + (out / "failures.csv").read_bytes()


def test_three_executors_make_the_same_tables(cluster: Any, made_inputs: MakeInputs, tmp_path: Path) -> None:
    inputs = made_inputs(["ok", "refuse", "ok", "defect", "ok", "ok", "ok"])
    run(inputs, tmp_path / "here", workers=2)
    result = run(inputs, tmp_path / "dask", scheduler=cluster.scheduler_address)
    assert result.counts == {"done": 5, "refused": 1, "failed": 1, "oom": 0, "timeout": 0}
    for shard in ("2/2", "1/2"):
        assert not (tmp_path / "shards" / "phenotypes.parquet").exists()
        run(inputs, tmp_path / "shards", shard=shard, workers=1)
    assert rows(tmp_path / "dask") == rows(tmp_path / "here") == rows(tmp_path / "shards")
    assert {one.outcome for one in known(tmp_path / "dask").values()} == {"done", "refused", "failed"}


def test_without_a_scheduler_nothing_starts(made_inputs: MakeInputs, tmp_path: Path, monkeypatch: Any) -> None:
    import distributed

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("timed out")

    monkeypatch.setattr(distributed, "Client", unreachable)
    with pytest.raises(UsageError, match="no answer"):
        run(made_inputs(["ok"]), tmp_path / "out", scheduler="tcp://127.0.0.1:1")
    assert known(tmp_path / "out") == {}


def command(inputs: Path, out: Path, **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.cohort.stand_in_command", str(inputs), str(out), json.dumps(options)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )


def wait_for(path: Path, pattern: str, number: int) -> None:
    deadline = time.monotonic() + 60
    while len(list(path.glob(pattern))) < number and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(list(path.glob(pattern))) >= number


@pytest.mark.slow
@pytest.mark.parametrize("signals", [(signal.SIGTERM,), (signal.SIGINT, signal.SIGINT)])
def test_a_signal_ends_the_run_in_order(made_inputs: MakeInputs, tmp_path: Path, signals: tuple[int, ...]) -> None:
    inputs, out = made_inputs(["ok", "ok 1", "ok 8", "ok 1"]), tmp_path / "out"
    process = command(inputs, out, workers=1)
    wait_for(out, "studies/*", 2)
    time.sleep(0.3)
    for number in signals:
        process.send_signal(number)
        time.sleep(0.3)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signals[0], said
    # One signal lets the study in hand end; the second drops it.
    assert len(known(out)) == (3 if len(signals) == 1 else 2)
    assert list((out / ".work").iterdir()) == []
    (inputs / "1000002_20201_2_0.zip").write_text("ok")
    assert run(inputs, out, workers=1).counts["done"] == 4


def test_a_killed_run_goes_on_where_it_was(made_inputs: MakeInputs, tmp_path: Path) -> None:
    inputs, out = made_inputs(["ok", "ok", "hang", "ok"]), tmp_path / "out"
    process = command(inputs, out, workers=1)
    wait_for(out, "studies/*", 2)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (inputs / "1000002_20201_2_0.zip").write_text("ok")
    assert run(inputs, out, workers=1).counts["done"] == 4
    assert [one.attempt for one in known(out).values()] == [1, 1, 1, 1]
    assert list((out / ".work").iterdir()) == []  # what the killed one had begun was removed


@pytest.mark.slow
def test_no_study_is_begun_that_would_not_end_before_the_wall_time(made_inputs: MakeInputs, tmp_path: Path) -> None:
    result = run(made_inputs(["ok 1"] * 6), tmp_path / "out", workers=1, walltime=4 / 60)
    assert 0 < result.counts["done"] < 6 and result.left == 6 - result.counts["done"]
    assert result.exit_code == 75 and result.table is None


def test_three_studies_on_many_workers(made_inputs: MakeInputs, tmp_path: Path) -> None:
    before = set(threading.enumerate())  # threads of earlier tests may end meanwhile
    result = run_cohort(
        [str(made_inputs(["ok"] * 3))], tmp_path / "o", RunOptions(), CohortOptions(workers=64), work=WORK, quiet=True
    )
    assert result.counts["done"] == 3
    assert len(list((tmp_path / "o" / "ledger").iterdir())) <= 3
    assert not set(threading.enumerate()) - before
