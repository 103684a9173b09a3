"""What others do to a cohort's folder meanwhile: it vanishes, a second run writes into it, a report is damaged."""

from __future__ import annotations

import errno
import subprocess
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.cohort import CohortOptions, Ledger
from app.cohort.child import Answer
from app.cohort.records import Attempt, Digests, InputIdentity, Said
from app.cohort.run import run_cohort
from app.cohort.settings import Task, WorkerSettings
from app.cohort.studies import find_studies, named_study
from app.cohort.study_work import Facts
from app.cohort.verdict import Verdict, verdict_on
from app.cohort.watch import End
from app.cohort.worker import Trouble, Worker
from operators.core.errors import ArchiveError, OutputError
from operators.core.options import RunOptions
from tests.cohort.stand_in import WORK

MakeInputs = Callable[[Sequence[str]], Path]
SAID = Said("here", "that", "this", "Do so.")
FILE = InputIdentity("/in/1_20201_2_0.zip", 10, "5")
TASK = Task(named_study(FILE.path, FILE))


def worker(out: Path, options: str, ends: Callable[[Path], Verdict | None]) -> Worker:
    """A worker whose process is replaced by a function, which gets the study's folder."""
    out.mkdir(exist_ok=True)
    (out / "run.json").write_text("{}")
    made = Worker(WorkerSettings(out, RunOptions(), None, Digests("m", options, "s"), work=WORK))

    def run(task: Task, folder: Path) -> End:
        verdict = ends(folder)
        answer = Answer(verdict, Facts({}) if verdict is None else None, "ab", input_bytes=10)
        return End(answer, "answered", "report", "", 1.0, 1)

    made._child.run = run  # type: ignore[method-assign]
    return made


def write_report(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "report.json").write_text("{}")


def test_a_folder_that_vanishes_stops_the_run_and_blames_no_study(tmp_path: Path) -> None:
    out, away = tmp_path / "share" / "out", tmp_path / "away"
    out.parent.mkdir()

    def vanish(folder: Path) -> Verdict:
        out.parent.rename(away)
        return Verdict("failed", SAID)  # what a process says that cannot write its results

    trouble = worker(out, "o", vanish).run(TASK)
    assert isinstance(trouble, Trouble) and trouble.said is not None and trouble.exit_code == 5
    assert "not the cohort's folder" in trouble.said.found and "run the same command again" in trouble.said.remedy
    assert not out.parent.exists()  # nothing was written where its share is mounted
    assert Ledger(away / "out").attempts() == ([], 0)


@pytest.mark.parametrize(("number", "outcome"), [(errno.EIO, "failed"), (errno.ESTALE, "failed"), (None, "refused")])
def test_a_share_that_fails_while_it_is_read_says_nothing_of_the_zip(number: int | None, outcome: str) -> None:
    try:
        raise ArchiveError("1.zip", "damaged", "intact data", "Fetch it again.") from (
            OSError(number, "x") if number else zlib.error("x")
        )
    except ArchiveError as error:
        verdict = verdict_on(error, "load")
    assert verdict.outcome == outcome and not verdict.stops
    assert ("--retry failed" in verdict.said.remedy) == (outcome == "failed")


def test_two_runs_with_other_options_do_not_replace_each_others_results(tmp_path: Path) -> None:
    first, second = worker(tmp_path, "o", write_report), worker(tmp_path, "o2", write_report)
    done = first.run(TASK)
    assert isinstance(done, Attempt) and done.outcome == "done"
    trouble = second.run(TASK)
    assert isinstance(trouble, Trouble) and trouble.said is not None
    assert "another run has made meanwhile" in trouble.said.found
    assert Ledger(tmp_path).attempts()[0] == [done] and Ledger(tmp_path).record_of("1_2") == done
    later = second.run(replace(TASK, attempt=2, earlier=done))  # a run that began afterwards knows of them
    assert isinstance(later, Attempt) and later.outcome == "done" and Ledger(tmp_path).record_of("1_2") == later


def test_a_done_study_without_a_usable_report_is_said_each_time(
    made_inputs: MakeInputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs, out = made_inputs(["ok", "ok"]), tmp_path / "out"

    def run() -> tuple[int, str]:
        result = run_cohort([str(inputs)], out, RunOptions(), CohortOptions(workers=1), quiet=True, work=WORK)
        return result.exit_code, capsys.readouterr().err

    assert run()[0] == 0
    (out / "phenotypes.parquet").unlink()
    (out / "studies" / "1000001_2" / "report.json").write_text("")  # as after a power cut
    for _ in range(2):
        code, said = run()
        assert code == 5 and "not in phenotypes.parquet: 1000001_2/report.json" in said
        assert "1 study done, but not in phenotypes.parquet" in said


def test_a_process_that_cannot_start_stops_the_run_before_every_study_fails(
    made_inputs: MakeInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = worker(tmp_path, "o", write_report)
    del made._child.run  # the real one
    task = Task(find_studies([str(made_inputs(["ok"]))])[0])

    def none_left(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", none_left)
        trouble = made.run(task)
    assert isinstance(trouble, Trouble) and trouble.said is not None
    assert "no process for a study can be started (Resource temporarily unavailable)" in trouble.said.found
    broken = Worker(replace(made.settings, work="no_such_package:process"))  # as after half an update
    try:
        trouble = broken.run(task)
    finally:
        broken.close()
    assert isinstance(trouble, Trouble) and trouble.said is not None and "(exit code 1)" in trouble.said.found
    assert "no_such_package" in (tmp_path / "logs" / f"{broken.name}.log").read_text()
    assert Ledger(tmp_path).attempts() == ([], 0)


def test_a_ledger_that_cannot_be_read_is_an_error_and_not_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "ledger" / "a.jsonl").mkdir(parents=True)  # root may read every file
    with pytest.raises(OutputError, match="a.jsonl: cannot be read"):
        Ledger(tmp_path).attempts()
