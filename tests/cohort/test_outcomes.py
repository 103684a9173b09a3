"""Each study ends with one outcome, and none stops the others. The run and its processes are real, the work is not."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from app.cohort import CohortOptions, Ledger
from app.cohort.child import Answer, _answer, _Link
from app.cohort.ledger import latest
from app.cohort.records import Attempt, Digests, InputIdentity, Said
from app.cohort.run import CohortError, CohortResult, _without_outcome, run_cohort
from app.cohort.settings import Task, WorkerSettings
from app.cohort.studies import find_studies, named_study
from app.cohort.study_work import Session
from app.cohort.tables import write_failures
from app.cohort.verdict import Verdict
from app.cohort.watch import End, _Watched, time_allowed
from app.cohort.worker import Trouble, Worker
from operators.core.errors import InputError
from operators.core.options import DeidentificationOptions, RunOptions
from tests.cohort.stand_in import WORK, process

MakeInputs = Callable[[Sequence[str]], Path]
DIGESTS = Digests("m", "o", "s")
SAID = Said("here", "that", "this", "Do so.")


def run(inputs: Path, out: Path, **options: object) -> CohortResult:
    return run_cohort([str(inputs)], out, RunOptions(), CohortOptions(**options), quiet=True, work=WORK)  # type: ignore[arg-type]


def known(out: Path) -> dict[str, Attempt]:
    return latest(Ledger(out).attempts()[0])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def settings(out: Path, **changes: object) -> WorkerSettings:
    out.mkdir(exist_ok=True)
    (out / "run.json").write_text("{}")
    plain = WorkerSettings(out, RunOptions(), None, DIGESTS, memory_bytes=1 << 30, time_s=60.0, work=WORK)
    return replace(plain, **changes)  # type: ignore[arg-type]


def one_by_one(worker: Worker, inputs: Path) -> list[Attempt]:
    try:
        results = [worker.run(Task(study)) for study in find_studies([str(inputs)])]
    finally:
        worker.close()
    assert not any(isinstance(one, Trouble) for one in results)
    return results  # type: ignore[return-value]


def test_done_refused_failed_and_out_of_memory(made_inputs: MakeInputs, out: Path) -> None:
    inputs = made_inputs(["ok", "refuse", "defect", "memory", "ok"])
    result = run(inputs, out, workers=1, memory_limit=1.0)
    assert result.counts == {"done": 2, "refused": 1, "failed": 1, "oom": 1, "timeout": 0}
    assert result.exit_code == 0 and result.table == out / "phenotypes.parquet"
    with (out / "failures.csv").open() as opened:
        rows = {row["study"]: row for row in csv.DictReader(opened)}
    assert [rows[f"{n}_2"]["outcome"] for n in (1000001, 1000002, 1000003)] == ["refused", "failed", "oom"]
    assert rows["1000001_2"]["remedy"] == "Fetch it again."
    assert "ZeroDivisionError in tests/cohort/stand_in.py" in rows["1000002_2"]["found"]
    assert "Secretname" not in "".join(file.read_text() for file in (out / "ledger").iterdir())
    done = known(out)["1000000_2"]
    assert done.folder == "1000000_2" and done.input.sha256 and done.bytes["output"] > 500 and done.seconds["total"] > 0
    assert sorted(os.listdir(out / "studies")) == ["1000000_2", "1000004_2"]
    assert os.listdir(out / ".work") == []


@pytest.mark.slow
def test_limits_end_a_study_and_the_next_one_is_done(made_inputs: MakeInputs, out: Path) -> None:
    inputs = made_inputs(["hang", "freeze", "grow", "ok"])
    worker = Worker(settings(out, time_s=5.0, heartbeat_s=2.5, memory_bytes=300 << 20))
    hang, freeze, grow, done = one_by_one(worker, inputs)
    assert (hang.outcome, freeze.outcome, grow.outcome, done.outcome) == ("timeout", "timeout", "oom", "done")
    assert hang.error is not None and "still running after 5 s" in hang.error.found
    assert freeze.error is not None and "no sign of life" in freeze.error.found
    assert grow.peak_bytes > 300 << 20
    assert grow.error is not None and grow.error.where == "stage segment"


def test_a_process_that_dies_is_tried_again_and_recorded_each_time(made_inputs: MakeInputs, out: Path) -> None:
    worker = Worker(settings(out, attempts=2))
    died, done = one_by_one(worker, made_inputs(["die", "ok"]))
    assert (died.outcome, died.attempt, died.again, done.outcome) == ("failed", 2, False, "done")
    attempts = [one for one in Ledger(out).attempts()[0] if one.study == died.study]
    assert [(one.attempt, one.again) for one in attempts] == [(1, True), (2, False)]
    assert died.error is not None and "SIGSEGV" in died.error.found
    assert "stand_in.py" in (out / "logs" / f"{died.worker}.log").read_text()  # where it was


def test_the_table_of_failures_does_not_tell_what_was_killed(tmp_path: Path) -> None:
    def table(name: str, attempt: int) -> bytes:
        once = Attempt("1_2", "1", "2", InputIdentity("/in/1.zip", 1, "1"), DIGESTS, "refused", SAID, attempt, name)
        (tmp_path / name).mkdir()
        assert write_failures(tmp_path / name, {"1_2": once}) == 1
        return (tmp_path / name / "failures.csv").read_bytes()

    assert table("quiet", 1) == table("killed", 2)


def test_a_share_that_vanishes_stops_the_run_and_a_file_that_vanishes_does_not(
    made_inputs: MakeInputs, out: Path
) -> None:
    inputs = made_inputs(["ok", "ok", "ok"])
    studies = find_studies([str(inputs)])
    worker = Worker(settings(out))
    try:
        Path(studies[0].path).unlink()
        alone = worker.run(Task(studies[0]))
        assert isinstance(alone, Attempt) and alone.outcome == "refused" and alone.error is not None
        assert alone.error.found == "no longer there"
        shutil.rmtree(inputs)
        trouble = worker.run(Task(studies[1]))
        assert isinstance(trouble, Trouble) and trouble.said is not None and trouble.exit_code == 3
        assert "gone or empty" in trouble.said.found
    finally:
        worker.close()
    assert set(known(out)) == {studies[0].study}


def test_a_file_that_cannot_be_read_is_refused_and_does_not_stop_the_run(
    made_inputs: MakeInputs, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_: Path) -> str:
        raise PermissionError(13, "Permission denied")

    (study,) = find_studies([str(made_inputs(["ok"]))])
    monkeypatch.setattr("app.cohort.child.content_digest", denied)
    ours, _ = multiprocessing.Pipe()
    link = _Link(ours)
    answer = _answer(Task(study), out / "new", settings(out), Session(), process, link)
    assert answer.verdict is not None and not answer.verdict.stops
    assert (answer.verdict.outcome, answer.verdict.said.found) == ("refused", "cannot be read (Permission denied)")


def test_a_server_that_does_not_answer_stops_the_run(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec")
    url = "http://127.0.0.1:9/1_20201_2_0.zip"
    study = named_study(url, InputIdentity(url, 1, "e"))
    refused = Verdict("refused", SAID)

    def found(state: InputIdentity | Exception | None) -> Verdict | None:
        def identity(_: str) -> InputIdentity | None:
            if isinstance(state, Exception):
                raise state
            return state

        monkeypatch.setattr("app.cohort.remote.remote_identity", identity)
        end = End(Answer(refused), "answered", "fetch", "", 0.0, 0)
        return Worker(settings(out))._verdict(Task(study), end)

    gone = found(InputError("http://x", "cannot be listed (TimeoutError)", "one", "Check it."))
    assert gone is not None and gone.stops and gone.exit_code == 3
    removed = found(None)
    assert removed is not None and removed.said.found == "no longer there" and not removed.stops
    assert found(study.identity) == refused


def test_a_limit_below_what_the_network_needs_stops_the_run_before_every_study_fails(
    made_inputs: MakeInputs, out: Path
) -> None:
    with pytest.raises(CohortError, match="0.25 GiB for one study, and the network alone needs more") as error:
        run(made_inputs(["network", "ok", "ok"]), out, workers=1, memory_limit=0.25)
    assert error.value.exit_code == 2 and known(out) == {}


def test_the_time_to_load_the_network_is_not_the_studys(out: Path) -> None:
    ours, childs = multiprocessing.Pipe()
    watched = _Watched(0.0)
    for kind, content in (
        ("ready", None),
        ("stage", "start"),
        ("stage", "model"),
        ("stage", "load"),
        ("stage", "fuse"),
    ):
        childs.send((kind, content))
    begins = []
    while watched.stage != "fuse":
        watched.listen(ours)
        begins.append(watched.ready_at)
    assert begins[2] < begins[3] == begins[4]  # type: ignore[operator]
    limits = settings(out, time_s=5.0)
    assert time_allowed(limits, "load") == 5.0 < time_allowed(limits, "model")


def test_results_that_a_failed_attempt_should_replace_are_set_aside_and_said(
    made_inputs: MakeInputs, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = made_inputs(["ok", "ok"])
    run(inputs, out, workers=1)
    assert "earlier ones" not in capsys.readouterr().err
    (inputs / "1000000_20201_2_0.zip").write_text("refuse")
    result = run(inputs, out, workers=1)
    assert (result.counts["done"], result.counts["refused"]) == (1, 1)
    aside = out / ".superseded"
    assert f"1 study had results and did not succeed now; the earlier ones are in {aside}" in capsys.readouterr().err
    assert (aside / "1000000_2" / "report.json").is_file() and os.listdir(out / "studies") == ["1000001_2"]
    assert len(pd.read_parquet(out / "phenotypes.parquet")) == 1
    (inputs / "1000000_20201_2_0.zip").write_text("ok 0")
    assert run(inputs, out, workers=1).counts["done"] == 2 and os.listdir(aside) == []  # replaced after all


def test_what_is_in_hand_is_dropped_when_the_run_stops(made_inputs: MakeInputs, out: Path) -> None:
    stop = threading.Event()
    worker = Worker(settings(out), stop)
    threading.Timer(2.0, stop.set).start()
    result = worker.run(Task(find_studies([str(made_inputs(["hang"]))])[0]))
    worker.close()
    assert result == Trouble(None)
    assert known(out) == {} and not (out / ".work" / worker.name).exists()


def test_a_full_disk_stops_the_run(made_inputs: MakeInputs, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.cohort.worker.publish", full)
    with pytest.raises(CohortError, match="No space left on device") as error:
        run(made_inputs(["ok", "ok"]), out, workers=1)
    assert error.value.exit_code == 5
    assert known(out) == {}
    monkeypatch.undo()
    assert run(made_inputs(["ok", "ok"]), out, workers=1).counts["done"] == 2


def test_the_archive_holds_everything_and_reports_stay_outside(made_inputs: MakeInputs, out: Path) -> None:
    import tarfile

    run(made_inputs(["ok", "ok"]), out, workers=1, archive=True)
    (archive,) = (out / "archives").iterdir()
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    assert "1000001_2/fused/water.nrrd" in names and "1000000_2/report.json" in names
    assert sorted(os.listdir(out / "studies" / "1000000_2")) == ["attempt.json", "report.json"]
    assert known(out)["1000001_2"].archive == f"archives/{archive.name}"


def test_an_input_without_an_eid_is_named_by_pseudonym_and_date(made_inputs: MakeInputs, out: Path) -> None:
    inputs = made_inputs(["ok"])
    (inputs / "1000000_20201_2_0.zip").rename(inputs / "Anna1234_x.zip")
    run(inputs, out, workers=1)
    assert os.listdir(out / "studies") == ["Anna1234_20210304"]  # the stand-in's pseudonym
    (attempt,) = known(out).values()
    assert attempt.study == find_studies([str(inputs)])[0].study and attempt.study.startswith("input-")
    assert json.loads((out / "run.json").read_text())["outcomes"]["done"] == 1


def test_deidentified_results_do_not_name_their_input(made_inputs: MakeInputs, out: Path) -> None:
    (study,) = find_studies([str(made_inputs(["ok"]))])
    hidden = RunOptions(deidentification=DeidentificationOptions(deidentify=True))
    worker = Worker(settings(out, options=hidden))
    done = worker.run(Task(study))
    worker.close()
    assert isinstance(done, Attempt) and done.folder == "1000000_2"  # the stand-in's pseudonym
    kept = json.loads((out / "studies" / done.folder / "attempt.json").read_text())
    assert kept["eid"] is None and kept["visit"] == "2" and not {"study", "input"} & kept.keys()
    for file in (out / "ledger").glob("*.jsonl"):
        file.unlink()
    assert Ledger(out).unrecorded([]) == [done]


def test_two_inputs_of_one_study_do_not_replace_each_other(made_inputs: MakeInputs, out: Path) -> None:
    inputs = made_inputs(["ok"])
    content = (inputs / "1000000_20201_2_0.zip").rename(inputs / "Anna1234_x.zip").read_text()
    (inputs / "Anna1234_copy.zip").write_text(content)
    assert run(inputs, out, workers=1).counts == {"done": 1, "refused": 1, "failed": 0, "oom": 0, "timeout": 0}
    (refused,) = (one for one in known(out).values() if one.outcome == "refused")
    assert refused.error is not None and "studies/Anna1234_20210304" in refused.error.found
    assert os.listdir(out / "studies") == ["Anna1234_20210304"]


def test_what_a_dead_worker_has_published_is_not_done_again(made_inputs: MakeInputs, out: Path) -> None:
    (study,) = find_studies([str(made_inputs(["ok"]))])
    first, second = Worker(settings(out)), Worker(settings(out))
    try:
        assert first.finished_before(Task(study)) is None
        done = first.run(Task(study))
        assert second.finished_before(Task(study)) == done
        assert second.finished_before(Task(study, attempt=2)) is None
    finally:
        first.close()
        second.close()


def test_a_worker_that_was_thought_dead_does_not_replace_what_another_has_done(
    made_inputs: MakeInputs, out: Path
) -> None:
    (study,) = find_studies([str(made_inputs(["ok"]))])
    first, late = Worker(settings(out)), Worker(settings(out))
    try:
        done = first.run(Task(study))
        before = (out / "studies" / "1000000_2").stat().st_ino
        assert late.run(Task(study)) == done
        assert (out / "studies" / "1000000_2").stat().st_ino == before
        again = late.run(Task(study, attempt=2))
        assert isinstance(again, Attempt) and again.attempt == 2 and again.worker == late.name
    finally:
        first.close()
        late.close()


def test_a_done_study_whose_results_are_gone_is_left_to_do() -> None:
    study = named_study("/in/1_20201_2_0.zip", InputIdentity("/in/1_20201_2_0.zip", 1, "1"))
    assert study.identity is not None
    done = Attempt("1_2", "1", "2", study.identity, DIGESTS, "done", None, 1, "w", folder="1_2")
    assert _without_outcome([study], [Task(study)], {"1_2": done}, {"1_2"}) == frozenset()
    assert _without_outcome([study], [Task(study)], {"1_2": done}, set()) == {"1_2"}


def test_the_process_is_kept_and_its_death_between_studies_harms_none(made_inputs: MakeInputs, out: Path) -> None:
    studies = find_studies([str(made_inputs(["ok", "ok", "ok"]))])
    worker = Worker(settings(out))
    try:
        worker.run(Task(studies[0]))
        first = worker._child.pid
        worker.run(Task(studies[1]))
        assert worker._child.pid == first
        os.kill(int(first or 0), 9)
        third = worker.run(Task(studies[2]))
    finally:
        worker.close()
    assert isinstance(third, Attempt) and (third.outcome, third.attempt) == ("done", 1)


def test_input_identity_of_a_read_file_has_its_digest(made_inputs: MakeInputs, out: Path) -> None:
    (study,) = find_studies([str(made_inputs(["ok"]))])
    run(Path(study.path).parent, out, workers=1)
    assert study.identity is not None
    found = known(out)[study.study].input
    assert found == InputIdentity(study.path, 2, study.identity.mark, found.sha256) and found.sha256
