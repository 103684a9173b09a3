"""Studies go through one process as a pipeline: in order, bounded, one at a time on the device, errors kept apart."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from app.cohort.study_work import gpu_turn
from operators.core.errors import InputError
from operators.core.options import RunOptions
from operators.core.turns import Turns
from operators.pipeline import StudyResult
from operators.study_stream import StudyJob, process_studies

OPTIONS = RunOptions()
JOBS = [StudyJob(Path(f"{n}.zip"), Path(f"out/{n}")) for n in range(7)]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operators.study_stream.model_of", lambda model, options: None)


class Made:
    """Processes studies by waiting for each other, and notes what happens."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.on_device = 0
        self.loaded = {job.source: threading.Event() for job in JOBS}
        self.lock = threading.Lock()

    def __call__(
        self, source: Path, output: Path, options: RunOptions, *, model: object, gpu_turn: AbstractContextManager[None]
    ) -> StudyResult:
        self.note("load", source)
        self.loaded[source].set()
        if source == JOBS[2].source:
            raise InputError("2.zip", "no study", "a study", "Fetch it again.")
        with gpu_turn:
            with self.lock:
                self.on_device += 1
                assert self.on_device == 1
            self.note("label", source)
            if source == JOBS[0].source:  # a sum instead of a pipeline would never get beyond this
                assert self.loaded[JOBS[1].source].wait(60)
            if source == JOBS[4].source:
                raise MemoryError("of the device")
            with self.lock:
                self.on_device -= 1
        self.note("write", source)
        return StudyResult(output, {}, {})

    def note(self, what: str, source: Path) -> None:
        with self.lock:
            self.events.append((what, source.stem))


def test_the_next_study_is_loaded_while_one_is_labelled_and_each_keeps_its_error() -> None:
    made = Made()
    found = []
    for outcome in process_studies(JOBS[:4], OPTIONS, at_once=3, work=made):
        found.append(outcome)
    assert [outcome.job for outcome in found] == JOBS[:4]
    assert [type(outcome.error) for outcome in found] == [type(None), type(None), InputError, type(None)]
    assert [outcome.result.folder for outcome in found if outcome.result] == [JOBS[n].output for n in (0, 1, 3)]
    assert [study for what, study in made.events if what == "label"] == ["0", "1", "3"]


def test_an_error_on_the_device_ends_the_turn() -> None:
    made = Made()
    made.on_device = -1  # the fifth study leaves it occupied

    def work(source: Path, output: Path, options: RunOptions, **how: AbstractContextManager[None]) -> StudyResult:
        with how["gpu_turn"]:
            if source == JOBS[4].source:
                raise MemoryError("of the device")
        return StudyResult(output, {}, {})

    found = list(process_studies(JOBS, OPTIONS, work=work))  # type: ignore[arg-type]
    assert [outcome.error is None for outcome in found] == [n != 4 for n in range(7)]


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_no_more_studies_are_in_hand_than_were_asked_for(at_once: int) -> None:
    in_hand, most, lock = 0, 0, threading.Lock()
    taken = 0

    def jobs() -> Iterator[StudyJob]:
        nonlocal taken
        for job in JOBS:
            taken += 1
            yield job

    def work(source: Path, output: Path, options: RunOptions, **how: AbstractContextManager[None]) -> StudyResult:
        nonlocal in_hand, most
        with lock:
            in_hand += 1
            most = max(most, in_hand)
        with how["gpu_turn"]:
            pass
        with lock:
            in_hand -= 1
        return StudyResult(output, {}, {})

    stream = process_studies(jobs(), OPTIONS, at_once=at_once, work=work)  # type: ignore[arg-type]
    next(stream)
    assert taken == at_once + 1 if at_once < len(JOBS) else True
    assert len(list(stream)) == len(JOBS) - 1
    assert 1 <= most <= at_once


def test_who_gives_up_a_place_holds_nobody_up() -> None:
    turns = Turns()
    first, second = turns.place(), turns.place()
    with first:
        pass  # it failed before its turn
    with second as turn, turn:
        pass


def test_workers_of_one_machine_take_turns_and_a_dead_one_ends_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    script = "from app.cohort.study_work import gpu_turn\nwith gpu_turn():\n    print('mine', flush=True)\n    input()"
    other = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert other.stdout is not None and other.stdout.readline() == "mine\n"
    entered = threading.Event()

    def enter() -> None:
        with gpu_turn():
            entered.set()

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    time.sleep(0.2)
    assert not entered.is_set()
    other.kill()
    assert entered.wait(30)
    other.wait()
    thread.join(30)
