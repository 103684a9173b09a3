"""What is done is not done again, unless something that it depends on has changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.cohort import Attempt, CohortOptions, Ledger
from app.cohort.digests import digests_of
from app.cohort.ledger import RECORD_FILE, LedgerWriter, latest, writer_name
from app.cohort.plan import Plan, made_otherwise, make_plan
from app.cohort.preflight import check_folder, check_same_cohort, known_attempts, sweep
from app.cohort.progress import CohortProgress
from app.cohort.records import Digests, InputIdentity, Said
from app.cohort.run import CohortResult
from app.cohort.settings import WorkerSettings
from app.cohort.status import read_status
from app.cohort.studies import StudyInput
from app.cohort.study_work import ModelError, Session, check_unchanged
from app.cohort.tables import RunRecord, changed_options, write_failures
from app.cohort.verdict import verdict_on
from operators.core.contrast import Contrast
from operators.core.errors import OutputError, UsageError
from operators.core.options import DeidentificationOptions, DicomOptions, FusionOptions, RunOptions
from sarcomap.__main__ import main

DIGESTS = Digests("m", "o", "s")
FILE = InputIdentity("/in/1_20201_2_0.zip", 10, "5")
STUDY = StudyInput("1_2", FILE.path, "1", "2", FILE, None, "1_2")
SAID = Said("here", "that", "this", "Do so.")
DONE = Attempt("1_2", "1", "2", replace(FILE, sha256="ab"), DIGESTS, "done", None, 1, "w", {"load": 1.0}, folder="1_2")


def failed(outcome: str, **changes: object) -> Attempt:
    return replace(DONE, outcome=outcome, error=SAID, folder=None, **changes)  # type: ignore[arg-type]


def plan(
    last: Attempt, study: StudyInput = STUDY, digests: Digests = DIGESTS, there: bool = True, **options: object
) -> Plan:
    known: Mapping[str, Attempt] = {last.study: last}
    published = {"1_2"} if there else set()
    return make_plan([study], known, published, digests, CohortOptions(**options))  # type: ignore[arg-type]


def test_a_done_study_is_not_done_again() -> None:
    assert plan(DONE).tasks == [] and plan(DONE).settled == {"1_2": DONE}


@pytest.mark.parametrize(
    ("changes", "reason", "still_valid"),
    [
        ({"digests": replace(DIGESTS, model="m2")}, "model changed", False),
        ({"digests": Digests("m2", "o2", "s")}, "model and options changed", False),
        ({"digests": replace(DIGESTS, software="s2")}, "software changed", False),
        ({"there": False}, "its results are gone", False),
        ({"study": replace(STUDY, identity=replace(FILE, mark="6"))}, "its input changed", True),
        ({"verify": True}, "--verify", True),
    ],
)
def test_what_has_changed_is_done_again_and_the_reason_is_said(
    changes: dict[str, object], reason: str, still_valid: bool
) -> None:
    made = plan(DONE, **changes)  # type: ignore[arg-type]
    (task,) = made.tasks
    assert made.reasons == {reason: 1}
    assert (task.attempt, task.still_valid) == (2, still_valid)
    assert (task.earlier is None) == (reason == "its results are gone")


def test_a_done_study_with_a_second_input_is_kept_and_said() -> None:
    made = plan(DONE, study=replace(STUDY, problem=SAID))
    assert made.settled == {"1_2": DONE} and made.doubtful == 1
    assert plan(DONE, study=replace(STUDY, identity=None, problem=SAID)).doubtful == 0  # removed since


def test_another_version_is_accepted_where_this_is_asked_for() -> None:
    assert plan(DONE, digests=replace(DIGESTS, software="s2"), accept_software=True).tasks == []


def test_who_has_updated_is_told_how_to_keep_the_results(capsys: pytest.CaptureFixture[str]) -> None:
    for changes, said in (({"software": "s2"}, True), ({"software": "s2", "model": "m2"}, False)):
        CohortProgress().begin(1, [STUDY], plan(DONE, digests=replace(DIGESTS, **changes)))
        assert ("--accept-software" in capsys.readouterr().err) == said


def test_only_outcomes_that_are_named_are_tried_again() -> None:
    for outcome in ("refused", "failed", "oom", "timeout"):
        assert plan(failed(outcome)).tasks == []
        assert len(plan(failed(outcome), retry=(outcome,)).tasks) == 1
    assert len(plan(failed("failed", again=True)).tasks) == 1  # its process was killed from outside


def test_a_study_that_was_refused_unread_is_read_once_its_problem_is_gone() -> None:
    refused = failed("refused", seconds={"total": 0.0})
    assert plan(refused, study=replace(STUDY, problem=SAID)).tasks == []
    assert len(plan(refused).tasks) == 1


def test_the_later_attempt_counts_whatever_the_clocks_say() -> None:
    second = failed("oom", attempt=2, ended_utc="1999-01-01T00:00:00+00:00")
    first = replace(DONE, ended_utc="2030-01-01T00:00:00+00:00")
    assert latest([second, first])["1_2"] is second
    assert latest([failed("failed"), DONE, failed("failed")])["1_2"] is DONE


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path, "a")
    writer.append(DONE)
    writer.append(failed("oom", study="2_2"))
    writer.close()
    whole = writer.path.read_bytes()
    writer.path.write_bytes(whole[:-20])
    (tmp_path / "ledger" / "b.jsonl").write_bytes(b"\0" * 300 + b"\n")  # a file system that lost a block
    assert Ledger(tmp_path).attempts() == ([DONE], 2)


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = LedgerWriter(tmp_path, "a")
    writer.append(DONE)
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, line: real(file, line[:40]))
    with pytest.raises(OutputError, match="No space left"):
        writer.append(DONE)
    monkeypatch.undo()
    writer.append(failed("oom", attempt=2))
    assert [one.attempt for one in Ledger(tmp_path).attempts()[0]] == [1, 2]


def test_a_lost_ledger_is_rebuilt_from_the_studies(tmp_path: Path) -> None:
    folder = tmp_path / "studies" / "1_2"
    folder.mkdir(parents=True)
    (folder / RECORD_FILE).write_text(DONE.to_json())
    (tmp_path / "studies" / "strange").mkdir()
    known, remarks = known_attempts(Ledger(tmp_path))
    assert known == {"1_2": DONE} and "added to it" in remarks[0]
    assert known_attempts(Ledger(tmp_path)) == ({"1_2": DONE}, [])


def test_status_of_folders_in_every_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def status(out: Path) -> tuple[int, str]:
        return main(["cohort", "status", str(out)]), capsys.readouterr().out

    (tmp_path / "a file").touch()
    for nothing in ("missing", "a file", "."):
        assert status(tmp_path / nothing) == (3, "")
    (tmp_path / "run.json").write_text("[1]")  # damaged
    assert status(tmp_path) == (0, "0 studies\n")
    (tmp_path / "run.json").unlink()
    folder = tmp_path / "studies" / "1_2"
    folder.mkdir(parents=True)
    assert status(tmp_path)[0] == 3  # results without a record
    (folder / RECORD_FILE).write_text(DONE.to_json())
    code, said = status(tmp_path)
    assert code == 0 and "  done     1" in said and "not in the ledger: 1 study" in said
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "a.jsonl").write_text(DONE.to_json() + "\n")
    assert "not in the ledger" not in status(tmp_path)[1]


def test_a_folder_of_something_else_or_of_another_cohort_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("x")
    with pytest.raises(OutputError, match="something else"):
        check_folder(tmp_path)
    with pytest.raises(UsageError, match="another cohort"):
        check_same_cohort(tmp_path, [STUDY], {"7_2": DONE}, CohortOptions())
    check_same_cohort(tmp_path, [STUDY], {"7_2": DONE}, CohortOptions(extend=True))
    check_same_cohort(tmp_path, [STUDY], {"7_2": DONE, "1_2": DONE}, CohortOptions())


def test_options_that_decide_results_count_and_the_device_does_not(tmp_path: Path) -> None:
    def options_digest(options: RunOptions, keep: str = "everything") -> str:
        return digests_of(options, None, False, keep).options

    plain = options_digest(RunOptions())
    assert options_digest(RunOptions(device="cpu")) == plain
    assert options_digest(RunOptions(fusion=FusionOptions(trim_slices=1))) != plain
    assert options_digest(RunOptions(dicom=DicomOptions(compression="none"))) != plain
    assert options_digest(RunOptions(), "minimal") != plain
    keys = set()
    for text in ("secret", "other"):
        (tmp_path / "key").write_text(text)
        hidden = DeidentificationOptions(deidentify=True, deidentify_key=tmp_path / "key")
        keys.add(options_digest(RunOptions(deidentification=hidden)))
    assert len(keys) == 2


def test_the_options_that_changed_are_named_with_both_values(tmp_path: Path) -> None:
    def changed(options: RunOptions, cohort: CohortOptions = CohortOptions(), fuse_only: bool = False) -> list[str]:  # noqa: B008 (frozen)
        return changed_options(tmp_path, options, cohort, fuse_only)

    before = RunOptions(fusion=FusionOptions(trim_slices=1), dicom=DicomOptions(derived=(Contrast.FAT,)))
    assert changed(before) == []  # nothing ran here yet
    RunRecord.begin(tmp_path, ["in"], [], before, CohortOptions(keep="minimal"), DIGESTS, False)
    assert changed(replace(before, device="cpu"), CohortOptions(keep="minimal", workers=3)) == []
    assert changed(RunOptions(), fuse_only=True) == [
        "--derived: water now, fat before",
        "--fuse-only: on now, off before",
        "--keep: everything now, minimal before",
        "--trim-slices: 0 now, 1 before",
    ]


def test_options_that_only_let_a_study_through_do_not_count() -> None:
    plain = digests_of(RunOptions(), None, True, "everything")
    assert digests_of(RunOptions(overwrite=True, trust_bundle=True), None, True, "everything") == plain


def test_another_model_has_another_digest(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "shipped.json").write_text("{}")
    first = digests_of(RunOptions(), tmp_path, False, "everything")
    (tmp_path / "models" / "shipped.json").write_text('{"sha256": "1"}')
    assert first.changed(digests_of(RunOptions(), tmp_path, False, "everything")) == ("model",)
    shutil.rmtree(tmp_path / "models")


def test_writers_have_names_of_their_own() -> None:
    assert len({writer_name() for _ in range(100)}) == 100


def test_what_killed_processes_have_left_is_removed_and_what_lives_is_not(tmp_path: Path) -> None:
    name = writer_name()
    host, pid, _ = name.rsplit(".", 2)
    work = tmp_path / ".work"
    for folder in (name, f"{host}.{2**22 + 1}.ab", "old-1234", "lost-container.7.ab", "other.7.cd"):
        (work / folder / "1").mkdir(parents=True)
    for place in (work / "lost-container.7.ab", work / "lost-container.7.ab" / "1", work / name):
        os.utime(place, (1, 1))  # nothing was written there for more than a day
    (work / name / "1" / "new").touch()
    sweep(tmp_path)
    assert {entry.name for entry in work.iterdir()} == {name, "other.7.cd"} and pid.isdecimal()


def test_a_container_is_another_machine_even_with_its_hosts_name(monkeypatch: pytest.MonkeyPatch) -> None:
    outside = writer_name().rsplit(".", 2)[0]
    monkeypatch.setattr(os, "readlink", lambda _: "pid:[4026532999]")
    assert writer_name().rsplit(".", 2)[0] != outside


def test_status_counts_studies_of_earlier_runs_and_not_what_is_gone(tmp_path: Path, capsys: Any) -> None:
    ledger = LedgerWriter(tmp_path, writer_name())
    for study in ("1_2", "2_2"):
        ledger.append(replace(DONE, study=study, folder=study))
    (tmp_path / "studies" / "1_2").mkdir(parents=True)  # the results of 2_2 were removed
    new = [replace(STUDY, study="3_2"), replace(STUDY, study="4_2")]
    RunRecord.begin(tmp_path, ["x"], new, RunOptions(), CohortOptions(), DIGESTS, False, others=2)
    status = read_status(tmp_path)
    assert (status.studies, status.counts["done"], status.left) == (4, 1, 3)
    assert main(["cohort", "status", str(tmp_path)]) == 0
    assert "the results are gone: 1 study" in capsys.readouterr().out


def test_a_shard_without_a_study_is_no_failure() -> None:
    nothing = dict.fromkeys(("done", "refused", "failed", "oom", "timeout"), 0)
    assert CohortResult(nothing, 0, None).exit_code == 0
    assert CohortResult(nothing | {"done": 2}, 0, None, not_in_table=1).exit_code == 5


def test_names_of_files_do_not_control_the_terminal(tmp_path: Path) -> None:
    assert Said("a\x1b[31m\n.zip", "b", "c", "d").where == "a\\x1b[31m\\n.zip"
    assert str(OutputError("M\udcfc", "b", "c", "d")).startswith("M\\udcfc: ")
    odd = replace(DONE, outcome="refused", error=SAID, folder=None, input=replace(FILE, path="/in/M\udcfc.zip"))
    write_failures(tmp_path, {"1_2": odd})
    assert "M\\udcfc.zip" in (tmp_path / "failures.csv").read_text("utf-8")


def test_the_end_of_a_run_is_not_written_where_its_folder_was(tmp_path: Path) -> None:
    out = tmp_path / "share" / "out"
    record = RunRecord.begin(out, ["x"], [STUDY], RunOptions(), CohortOptions(), DIGESTS, False)
    shutil.rmtree(tmp_path / "share")
    record.end({}, 1, 2.0)
    assert not (tmp_path / "share").exists()


@pytest.mark.parametrize("changed", ["model", "options", "software"])
def test_a_process_that_begins_later_notices_what_has_changed(tmp_path: Path, changed: str) -> None:
    began = digests_of(RunOptions(), None, True, "minimal")
    unchanged = WorkerSettings(tmp_path, RunOptions(), None, began, fuse_only=True, minimal=True)
    session = Session()
    check_unchanged(unchanged, session)
    assert session.checked
    settings = replace(unchanged, digests=replace(began, **{changed: "earlier"}))
    with pytest.raises(ModelError) as error:
        check_unchanged(settings, Session())
    verdict = verdict_on(error.value, "model")
    assert verdict.stops and verdict.exit_code == 2 and verdict.said.where == changed


def test_studies_of_earlier_runs_that_were_made_otherwise_are_told() -> None:
    known = {name: replace(DONE, study=name) for name in ("1_2", "2_2", "3_2")}
    known["4_2"] = replace(failed("failed"), study="4_2")
    now = replace(DIGESTS, model="m2", software="s2")
    assert made_otherwise([STUDY], known, now, CohortOptions()) == {"model and software": 2}
    assert made_otherwise([STUDY], known, now, CohortOptions(accept_software=True)) == {"model": 2}
    assert not made_otherwise([STUDY], known, DIGESTS, CohortOptions())
