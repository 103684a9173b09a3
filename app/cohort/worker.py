"""A worker: has studies processed in its child, publishes what they made, and records what became of them."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from app.cohort.ledger import RECORD_FILE, Ledger, LedgerWriter, writer_name
from app.cohort.publish import Archive, NameTakenError, bytes_of, publish, set_aside, set_aside_folder
from app.cohort.records import Attempt, InputIdentity, Said
from app.cohort.settings import Task, WorkerSettings
from app.cohort.studies import identity_of, is_url
from app.cohort.study_work import Facts
from app.cohort.verdict import Verdict, out_of_memory, verdict_on
from app.cohort.watch import BEFORE_THE_STUDY, Child, End, time_allowed
from operators.core import clock
from operators.core.errors import InputError, OutputError, UsageError

__all__ = ["Trouble", "Worker", "work_folder"]


_REPLACING = Said("results", "being replaced", "the new ones", "Run the same command again.")


@dataclass(frozen=True)
class Trouble:
    """Why the run must stop, although the study in hand is not to blame. Nothing was recorded.

    Attributes
    ----------
    said : Said or None
        None if the run is stopping already.
    exit_code : int
    """

    said: Said | None
    exit_code: int = 1


class Worker:
    """Processes studies one by one. Each thread that processes studies has one.

    Parameters
    ----------
    settings : WorkerSettings
    stop : threading.Event, optional
        When set, the study in hand is dropped.
    """

    def __init__(self, settings: WorkerSettings, stop: threading.Event | None = None) -> None:
        self.name = writer_name()
        self.settings = settings
        self._work = work_folder(settings.out) / self.name
        self._child = Child(settings, settings.out / "logs" / f"{self.name}.log", stop or threading.Event())
        self._ledger = LedgerWriter(settings.out, self.name)
        self._archive = Archive(settings.out, self.name) if settings.archive else None

    def run(self, task: Task) -> Attempt | Trouble:
        """Process one study, and try again if its process is killed from outside."""
        while True:
            result = self._attempt(task)
            if isinstance(result, Attempt) and result.again:
                task = replace(task, attempt=result.attempt + 1)
                continue
            return result

    def finished_before(self, task: Task) -> Attempt | None:
        """The record of this very attempt, if a worker that has died since has published its results."""
        found = Ledger(self.settings.out).record_of(task.study.folder) if task.study.folder else None
        if found is None or found.attempt < task.attempt or found.digests != self.settings.digests:
            return None
        if task.study.identity is None or not found.input.same_file(task.study.identity):
            return None
        self._ledger.append(found)  # it may have died before it could
        return found

    def close(self) -> None:
        """End the child and remove unfinished files."""
        self._child.close()
        self._ledger.close()
        if self._archive is not None:
            self._archive.close()
        shutil.rmtree(self._work, ignore_errors=True)
        log = self.settings.out / "logs" / f"{self.name}.log"
        if log.exists() and log.stat().st_size == 0:
            log.unlink()

    def _attempt(self, task: Task) -> Attempt | Trouble:
        began, started = time.monotonic(), clock.now()
        folder = self._work / secrets.token_hex(4)
        try:
            self._check_folder()
            self._work.mkdir(parents=True, exist_ok=True)
            if task.study.problem is not None:
                end = End(None, "refused", "start", "", 0.0, 0)
            else:
                end = self._child.run(task, folder)
            return self._conclude(task, folder, end, began, started.isoformat(timespec="seconds"))
        except OSError as error:
            return _stopping(verdict_on(error, "publish"))
        except OutputError as error:
            return Trouble(Said.of(error), error.exit_code)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _conclude(self, task: Task, folder: Path, end: End, began: float, started: str) -> Attempt | Trouble:
        if end.why == "stopped":
            return Trouble(None)
        if end.why == "start":
            return Trouble(_no_process(end.detail))
        self._check_folder()  # a study does not fail because its results have nowhere to go
        verdict = self._verdict(task, end)
        if verdict is not None and verdict.stops:
            return _stopping(verdict)
        answer = end.answer
        identity = _read_identity(task, answer.sha256 if answer else None, answer.input_bytes if answer else 0)
        facts = answer.facts if answer is not None else None
        attempt = Attempt(
            study=task.study.study,
            eid=task.study.eid,
            visit=task.study.visit,
            input=identity,
            digests=self.settings.digests,
            outcome="done" if verdict is None else verdict.outcome,
            error=None if verdict is None else verdict.said,
            attempt=task.attempt,
            worker=self.name,
            seconds={name: round(value, 4) for name, value in (answer.seconds if answer else {}).items()},
            bytes={"input": identity.size},
            started_utc=started,
            ended_utc=clock.now().isoformat(timespec="seconds"),
            flags=facts.flags if facts else (),
            again=end.why == "killed" and task.attempt < self.settings.attempts,
            peak_bytes=end.peak_bytes,
        )
        if verdict is None:
            attempt = self._publish(task, attempt, facts, folder, began)
        else:
            attempt = replace(attempt, seconds=_with_total(attempt, began))
            if task.earlier is not None and not attempt.again:
                set_aside(self.settings.out, str(task.earlier.folder))
        self._ledger.append(attempt)
        return attempt

    def _check_folder(self) -> None:
        """Raise `OutputError` if the cohort's folder is gone, or is another one on this machine."""
        if not (self.settings.out / "run.json").exists():
            raise OutputError(
                str(self.settings.out),
                "not the cohort's folder, seen from this worker",
                "a folder that all machines share",
                "Mount it at the same place everywhere, then run the same command again.",
            )

    def _verdict(self, task: Task, end: End) -> Verdict | None:
        """What the attempt's end means; None if the study is done."""
        if task.study.problem is not None:
            return Verdict("refused", task.study.problem)
        verdict = end.answer.verdict if end.answer is not None else _ended(end, self.settings)
        if verdict is not None and verdict.outcome == "oom" and end.stage in BEFORE_THE_STUDY and end.why != "killed":
            return _network_too_large(self.settings)
        if verdict is None or verdict.stops or end.answer is None:
            return verdict
        if not is_url(task.study.path):
            return _vanished(Path(task.study.path)) or verdict
        return (_vanished_from_server(task.study.path) if end.stage == "fetch" else None) or verdict

    def _publish(self, task: Task, attempt: Attempt, facts: Facts | None, folder: Path, began: float) -> Attempt:
        earlier = task.earlier
        if facts is None and earlier is not None:  # the content is that of the earlier results
            attempt = replace(attempt, folder=earlier.folder, archive=earlier.archive, flags=earlier.flags)
            return replace(attempt, seconds=_with_total(attempt, began))
        name = _folder_name(task, facts or Facts({}), self.settings)
        size = bytes_of(folder)
        archive = self._archive.add(folder, name) if self._archive is not None else None
        attempt = replace(attempt, folder=name, archive=archive, bytes={**attempt.bytes, "output": size})
        attempt = replace(attempt, seconds=_with_total(attempt, began))
        if earlier is not None:
            # Until the line for the new results is written, the ledger must not say that the old ones are there.
            self._ledger.append(replace(attempt, outcome="failed", error=_REPLACING, folder=None, again=True))
        # The record goes with the results: if the process is killed before it writes the ledger's line, the next run
        # finds it there.
        hidden = self.settings.options.deidentification.deidentify
        record = attempt.without_identity() if hidden else attempt.to_json()
        (folder / RECORD_FILE).write_text(record + "\n", encoding="utf-8")
        try:
            meanwhile = publish(self.settings.out, folder, name, attempt)
        except NameTakenError:
            return replace(attempt, outcome="refused", error=_name_taken(task, name), folder=None, archive=None)
        if meanwhile is not None:
            return meanwhile
        shutil.rmtree(set_aside_folder(self.settings.out) / name, ignore_errors=True)  # replaced after all
        if hidden:  # not earlier, or it would say that the results of another input of this name are ours
            Ledger(self.settings.out).hide_record(attempt)
        if earlier is not None and earlier.folder != name:
            set_aside(self.settings.out, str(earlier.folder))
        return attempt


def _name_taken(task: Task, name: str) -> Said:
    return Said(
        Path(task.study.path).name,
        f"the same study as in the input whose results are in studies/{name}",
        "one input for each study",
        "Leave one out. If they are two studies, give a manifest with a key for each.",
    )


def _with_total(attempt: Attempt, began: float) -> dict[str, float]:
    return {**attempt.seconds, "total": round(time.monotonic() - began, 4)}


def work_folder(out: Path) -> Path:
    """Where unfinished results are: in the cohort's folder, so that they can be renamed into place."""
    return out / ".work"


def _stopping(verdict: Verdict) -> Trouble:
    return Trouble(verdict.said, verdict.exit_code)


def _ended(end: End, settings: WorkerSettings) -> Verdict:
    """The verdict on a child that did not answer."""
    where = f"stage {end.stage}"
    if end.why == "memory":
        return Verdict("oom", out_of_memory(end.stage))
    if end.why in ("time", "silence"):
        limit = time_allowed(settings, end.stage) if end.why == "time" else settings.heartbeat_s
        what = f"still running after {limit:g} s" if end.why == "time" else f"no sign of life for {limit:g} s"
        return Verdict(
            "timeout",
            Said(where, what, "a study within its limits", "Look at the input; run with --retry timeout to try again."),
        )
    # The kernel ends the largest process when a machine has no memory left.
    if end.detail == "SIGKILL" and end.peak_bytes > 0.8 * settings.memory_bytes:
        return Verdict("oom", out_of_memory(end.stage))
    remedy = "See the worker's log in logs/; run with --retry failed to try again."
    return Verdict("failed", Said(where, f"its process was killed ({end.detail})", "a process that lives", remedy))


def _no_process(why: str) -> Said:
    return Said(
        "this machine",
        f"no process for a study can be started ({why})",
        "room for processes, memory and open files, and a whole installation",
        "See logs/ in the cohort's folder and `ulimit -a`, or take fewer --workers; then run the same command again.",
    )


def _network_too_large(settings: WorkerSettings) -> Verdict:
    """The process needs more memory than it may have before it reads the study: so it will for every other one."""
    said = Said(
        "--memory-limit",
        f"{settings.memory_bytes / 2**30:.2g} GiB for one study, and the network alone needs more",
        "memory for the network and a study: 2.5 GiB with the shipped network",
        "Run with a higher --memory-limit, or with fewer --workers.",
    )
    return Verdict("oom", said, True, UsageError.exit_code)


def _vanished_from_server(url: str) -> Verdict | None:
    """The same for an input at a URL that could not be fetched."""
    from app.cohort.remote import remote_identity

    try:
        found = remote_identity(url)
    except InputError as error:
        said = Said(error.where, error.found, error.expected, "Check the server and the login, then run again.")
        return Verdict("failed", said, True, InputError.exit_code)
    name = url.partition("?")[0].rsplit("/", 1)[-1]
    gone = Said(name, "no longer there", "the file that was listed", "Look for it, or leave it out.")
    return Verdict("refused", gone) if found is None else None


def _vanished(path: Path) -> Verdict | None:
    """The verdict if an input has gone since it was listed: with its share, which stops the run, or alone."""
    if identity_of(path) is not None:
        return None
    try:
        alone = path.parent.is_dir() and any(os.scandir(path.parent))
    except OSError:
        alone = False
    if alone:
        said = Said(path.name, "no longer there", "the file that was listed", "Fetch it again.")
        return Verdict("refused", said)
    said = Said(
        str(path.parent),
        "the folder of the inputs is gone or empty",
        "the files that were listed",
        "Mount the share again, then run the same command again.",
    )
    return Verdict("failed", said, True, 3)


def _read_identity(task: Task, sha256: str | None, size: int) -> InputIdentity:
    listed = task.study.identity or InputIdentity(task.study.path, 0, "")
    return replace(listed, sha256=sha256, size=listed.size or size)


def _folder_name(task: Task, facts: Facts, settings: WorkerSettings) -> str:
    """Name of the results' folder; with de-identification, nothing of the input's own name."""
    if settings.options.deidentification.deidentify:
        return "_".join(part for part in (facts.pseudonym, task.study.visit) if part)
    if task.study.folder is not None:
        return task.study.folder
    return "_".join(part for part in (facts.pseudonym, facts.date) if part) or task.study.study
