"""Run a cohort: find its studies, decide which to process, have them processed, and make the tables."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from app.cohort.digests import digests_of
from app.cohort.ledger import Ledger, latest
from app.cohort.local import default_workers, process_here
from app.cohort.options import CohortOptions
from app.cohort.plan import made_otherwise, make_plan
from app.cohort.preflight import check_folder, check_options, check_same_cohort, known_attempts, sweep
from app.cohort.progress import CohortProgress, counted_studies
from app.cohort.publish import set_aside_folder
from app.cohort.records import OUTCOMES, Attempt, Said
from app.cohort.settings import STUDY_WORK, Task, WorkerSettings
from app.cohort.stopping import Stopping
from app.cohort.studies import StudyInput, find_studies
from app.cohort.tables import PHENOTYPES, RunRecord, changed_options, state_of, write_failures, write_phenotypes
from app.cohort.worker import Trouble
from operators.core.cuda_driver import driver_sees_device
from operators.core.errors import OutputError, SarcoMapError
from operators.core.machine_memory import memory_of_machine
from operators.core.options import RunOptions

__all__ = ["STOPPED_EARLY", "CohortResult", "run_cohort"]

STOPPED_EARLY = 75
"""Exit code of a run that reached its wall time before all studies had their outcome."""

_CLUSTER_BYTES = 6 << 30  # for one study on a machine whose memory is not known here


@dataclass(frozen=True)
class CohortResult:
    """How a run ended.

    Attributes
    ----------
    counts : dict of str to int
        Studies of this run, or of its shard, by outcome.
    left : int
        Studies that have no outcome yet.
    table : Path or None
        The table of phenotypes, if it is complete.
    stopped_by : int or None
        The signal that ended the run.
    not_in_table : int
        Done studies that the table lacks, because their reports cannot be used.
    """

    counts: dict[str, int]
    left: int
    table: Path | None
    stopped_by: int | None = None
    not_in_table: int = 0

    @property
    def exit_code(self) -> int:
        """0 if every study has its outcome and at least one is done, also of a shard that has no study."""
        if self.stopped_by is not None:
            return 128 + self.stopped_by
        if self.left:
            return STOPPED_EARLY
        if self.not_in_table:
            return OutputError.exit_code
        if not any(self.counts.values()):
            return 0
        return 0 if self.counts["done"] else 3 if self.counts["refused"] else 1


def run_cohort(
    inputs: Sequence[str],
    out: Path,
    options: RunOptions,
    cohort: CohortOptions,
    *,
    model: Path | None = None,
    fuse_only: bool = False,
    quiet: bool = False,
    work: str = STUDY_WORK,
) -> CohortResult:
    """Process every study of the inputs that has no valid results yet.

    Parameters
    ----------
    inputs : sequence of str
        See `app.cohort.studies.find_studies`.
    out : Path
        The cohort's folder.
    options : RunOptions
    cohort : CohortOptions
    model : Path, optional
        Folder of a bundle.
    fuse_only : bool
        Fuse the stations of each study and stop.
    quiet : bool
        Show no progress.
    work : str
        See `WorkerSettings`.

    Raises
    ------
    SarcoMapError
        Before anything starts, if inputs, options or the folder cannot be used. Later, if something is wrong that
        concerns all studies; what was done until then is kept.
    """
    began = time.monotonic()
    out, show = out.absolute(), CohortProgress(quiet)
    options = check_options(options, fuse_only)
    check_folder(out)
    digests = digests_of(options, model, fuse_only, cohort.keep)
    studies = find_studies(inputs, leave_out=out)
    ledger = Ledger(out)
    known, remarks = known_attempts(ledger)
    check_same_cohort(out, studies, known, cohort)
    index, number = cohort.part
    ours = studies[index::number]
    published = ledger.published()
    plan = make_plan(ours, known, published, digests, cohort)
    different = changed_options(out, options, cohort, fuse_only)
    others = len(known.keys() - {study.study for study in studies})
    record = RunRecord.begin(out, inputs, studies, options, cohort, digests, fuse_only, others)
    sweep(out)
    for remark in remarks:
        show.say(f"note: {remark}")
    for changed, count in made_otherwise(studies, known, digests, cohort).items():
        show.say(
            f"warning: {counted_studies(count)} of earlier runs, not among the inputs, made with another {changed}, "
            "will be in the table beside those of this run. Give their inputs too, and they are processed again"
        )
    show.begin(len(studies), ours, plan)
    if any("options" in why for why in plan.reasons):
        for text in different:
            show.say(f"    {text}")
    settings = WorkerSettings(
        out,
        options,
        model.absolute() if model is not None else None,
        digests,
        fuse_only=fuse_only,
        minimal=cohort.keep == "minimal",
        archive=cohort.archive,
        threads=cohort.threads,
        time_s=60 * cohort.time_limit,
        heartbeat_s=cohort.heartbeat,
        attempts=cohort.attempts,
        work=work,
    )
    walltime_s = None if cohort.walltime is None else 60 * cohort.walltime
    with Stopping(show.say, walltime_s) as stopping:
        tasks = stopping.offered(iter(plan.tasks))
        with _executed(tasks, len(plan.tasks), settings, cohort, stopping, show) as results:
            trouble = _follow(results, stopping, show)
        if plan.tasks:
            known, published = latest(ledger.attempts()[0]), ledger.published()
        left = _without_outcome(ours, plan.tasks, known, published)
        counts = _counts(ours, known, left)
        _say_set_aside(out, [task for task in plan.tasks if task.study.study not in left], known, show)
        whole = trouble is None and stopping.signal is None and not left
        table, lacking = _write_tables(record, studies, known, fuse_only, show) if whole else (None, 0)
        record.end(counts, len(left), time.monotonic() - began)
    if trouble is not None and trouble.said is not None:
        raise CohortError.of(trouble.said, trouble.exit_code)
    return CohortResult(counts, len(left), table, stopping.signal, lacking)


class CohortError(SarcoMapError):
    """Something is wrong that concerns all studies of a run."""

    @classmethod
    def of(cls, said: Said, exit_code: int) -> CohortError:
        """The error with the four parts that a worker said, and the exit code of what it met."""
        error = cls(said.where, said.found, said.expected, said.remedy)
        error.exit_code = exit_code
        return error


def _follow(results: Iterator[Attempt | Trouble], stopping: Stopping, show: CohortProgress) -> Trouble | None:
    """Show the results as they come; the first trouble, if there is any."""
    trouble = None
    for result in results:
        if isinstance(result, Attempt):
            stopping.saw(result)
            show.result(result)
        elif result.said is not None:
            trouble = trouble or result
    show.end()
    return trouble


@contextmanager
def _executed(
    tasks: Iterator[Task],
    number: int,
    settings: WorkerSettings,
    cohort: CohortOptions,
    stopping: Stopping,
    show: CohortProgress,
) -> Iterator[Iterator[Attempt | Trouble]]:
    """The results of the tasks, from the executor that was chosen."""
    if number == 0:
        yield iter(())
        return
    limit = None if cohort.memory_limit is None else int(cohort.memory_limit * 2**30)
    if cohort.scheduler is None:
        workers = min(cohort.workers or default_workers(cohort.threads, number, _on_gpu(settings.options)), number)
        settings = replace(settings, memory_bytes=limit or int(0.9 * memory_of_machine() / workers))
        with closing(process_here(tasks, settings, workers, stopping.drop)) as results:
            yield results
        return
    from app.cohort.dask_cluster import connect, process_on_cluster

    with connect(cohort.scheduler) as client:
        show.say(f"Dask dashboard: {client.dashboard_link}")
        settings = replace(settings, memory_bytes=limit or _CLUSTER_BYTES)
        with closing(process_on_cluster(client, tasks, settings, stopping.drop, show.say)) as results:
            yield results


def _on_gpu(options: RunOptions) -> bool:
    return options.device != "cpu" and driver_sees_device()


def _without_outcome(
    ours: Sequence[StudyInput], tasks: Sequence[Task], known: Mapping[str, Attempt], published: AbstractSet[str]
) -> frozenset[str]:
    """Studies that this run should have processed and has not, or whose results a killed process has removed since."""
    due = {task.study.study: task.attempt for task in tasks}
    left = set()
    for study in ours:
        last = known.get(study.study)
        missing = last is None or last.again or last.attempt < due.get(study.study, 0)
        if missing or (last is not None and last.outcome == "done" and last.folder not in published):
            left.add(study.study)
    return frozenset(left)


def _counts(ours: Sequence[StudyInput], known: Mapping[str, Attempt], left: frozenset[str]) -> dict[str, int]:
    counts = dict.fromkeys(OUTCOMES, 0)
    for study in ours:
        if study.study not in left:
            counts[known[study.study].outcome] += 1
    return counts


def _say_set_aside(out: Path, tried: Sequence[Task], known: Mapping[str, Attempt], show: CohortProgress) -> None:
    """Say that results which were there before are not any more, and where they are."""
    lost = sum(task.earlier is not None and known[task.study.study].outcome != "done" for task in tried)
    if lost:
        where = set_aside_folder(out)
        show.say(
            f"warning: {counted_studies(lost)} had results and did not succeed now; the earlier ones are in {where}"
        )


def _write_tables(
    record: RunRecord,
    studies: Sequence[StudyInput],
    known: Mapping[str, Attempt],
    fuse_only: bool,
    show: CohortProgress,
) -> tuple[Path | None, int]:
    """Write the tables once every study has its outcome: of several shards, the last one to end does it.

    Returns
    -------
    table : Path or None
    lacking : int
        Done studies that it lacks.
    """
    if any(study.study not in known or known[study.study].again for study in studies):
        show.say("tables are written by the shard that ends last, or by `sarcomap cohort run` without --shard")
        return None, 0
    out = record.out
    write_failures(out, known)
    there = Ledger(out).published()
    done = sum(one.outcome == "done" and one.folder in there for one in known.values())
    if fuse_only or not done:
        return None, 0
    state, table = state_of(known), out / PHENOTYPES
    if table.exists() and record.earlier_table == state:
        record.content["table"] = state
        return table, 0
    record.content["table"] = None  # until it is whole: the next run must not take it as it is
    try:
        rows, left_out = write_phenotypes(out)
    except Exception as error:
        if not hasattr(error, "exit_code"):  # the analysis has its own hierarchy, which app may not import
            raise
        show.say(f"warning: {PHENOTYPES} was not written: {error}")
        return None, done
    for where, why in left_out[:10]:
        show.say(f"warning: not in {PHENOTYPES}: {where}: {why}")
    show.say(f"{counted_studies(rows)} in {table}")
    if lacking := max(done - rows, 0):
        show.say(
            f"warning: {counted_studies(lacking)} done, but not in {PHENOTYPES}: the report is missing or damaged. "
            f"Remove such folders from {out / 'studies'}, then run the same command again."
        )
        return table, lacking
    record.content["table"] = state
    return table, 0
