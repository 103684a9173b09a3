"""What others do to a cohort's folder meanwhile: it vanishes, a second run writes into it, a report is damaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.cohort import CohortOptions, Ledger
from app.cohort.child import Answer
from app.cohort.records import Attempt, Digests, InputIdentity, Said
from app.cohort.run import run_cohort
from app.cohort.settings import Task, WorkerSettings
from app.cohort.studies import named_study
from app.cohort.study_work import Facts
from app.cohort.verdict import Verdict
from app.cohort.watch import End
from app.cohort.worker import Trouble, Worker
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
