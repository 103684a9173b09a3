"""Studies are processed by the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import queue
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from app.cohort.digests import software_digest
from app.cohort.records import Attempt, Said
from app.cohort.settings import Task, WorkerSettings
from app.cohort.worker import Trouble, Worker
from operators.core.errors import UsageError

__all__ = ["RECOMMENDED", "close_workers", "connect", "process_on_cluster", "process_on_worker"]

RECOMMENDED: dict[str, Any] = {
    # A study that kills its process kills a child, never the Dask worker. If a worker dies, its node is to blame, so
    # the studies that it had may go to several other workers before Dask gives up on them. We count on our own then.
    "distributed.scheduler.allowed-failures": 10,
    # A worker whose node has vanished keeps its studies until it is missed: after 5 minutes, not never. The worker's
    # own thread only waits for its child, so that it answers in time also while a study takes long.
    "distributed.scheduler.worker-ttl": "5 minutes",
    # Studies have no input on the cluster that would make one worker cheaper than another. Stealing moves only studies
    # that have not begun, from the queue of a slow worker to an idle one: this shortens the end of a run.
    "distributed.scheduler.work-stealing": True,
    # What the window sends beyond the running studies waits at the scheduler, where a worker's death cannot touch it.
    "distributed.scheduler.worker-saturation": 1.0,
    # The nanny's limits count the Dask worker, which needs 200 MiB. The memory of studies is that of its children,
    # which we limit ourselves; a paused or restarted worker would only interrupt them.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    # Daemonic workers may not have children of `multiprocessing`. Ours are started by `subprocess`, which does not
    # mind, and the kernel ends them with their worker.
    "distributed.worker.daemon": True,
    # The children set their own; the Dask worker computes nothing.
    "distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1},
}
"""Dask settings for a cluster that is started for SarcoMAP. They work with others, too, which are not changed."""

_WINDOW = 2  # studies that the cluster has at a time, for each thread of its workers
_LOOK_S = 1.0
_GONE_S = 30.0


def connect(address: str) -> Any:
    """A client of the scheduler at an address, or in a scheduler file.

    Raises
    ------
    UsageError
        If Dask is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError:
        raise UsageError("--scheduler", "no Dask", "the package distributed", "Install the extra cohort.") from None
    try:
        if Path(address).is_file():
            return Client(scheduler_file=address, timeout=30, set_as_default=False)
        return Client(address, timeout=30, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(
            f"--scheduler {address}", f"no answer ({type(error).__name__})", "a running Dask scheduler", "Check it."
        ) from error


def process_on_cluster(
    client: Any,
    tasks: Iterator[Task],
    settings: WorkerSettings,
    drop: threading.Event,
    say: Callable[[str], None] = print,
) -> Generator[Attempt | Trouble, None, None]:
    """Process studies on a cluster. At most two for each of its threads are sent at a time.

    A worker records what became of a study before it answers, so that nothing is
    lost if the client or the scheduler ends.

    Parameters
    ----------
    client : distributed.Client
    tasks, settings, drop
        As for `app.cohort.local.process_here`. Studies in hand are not dropped: their workers finish and record them.
    say : callable
        Takes a line for the user.

    Yields
    ------
    Attempt or Trouble
    """
    window = _Window(client, settings)
    more = True
    try:
        window.look(say)
        while True:
            while more and not drop.is_set() and window.has_room():
                task = next(tasks, None)
                more = task is not None
                if task is not None:
                    window.send(task)
            if drop.is_set() or (not more and not window.sent):
                break
            for result in window.results():
                more = more and not isinstance(result, Trouble)
                yield result
            window.look(say)
    except OSError as error:  # Dask's own errors of a lost connection are of this kind
        yield _scheduler_gone(error)
    finally:
        window.close()


class _Window:
    """The studies that the cluster has at the moment."""

    def __init__(self, client: Any, settings: WorkerSettings) -> None:
        self.sent: dict[str, tuple[Any, Task, int]] = {}
        self._client = client
        self._settings = settings
        self._ended: queue.Queue[str] = queue.Queue()
        self._threads = 0
        self._looked = self._answered = -_LOOK_S
        self._run = secrets.token_hex(4)
        self._number = 0

    def has_room(self) -> bool:
        return len(self.sent) < _WINDOW * self._threads

    def send(self, task: Task, deaths: int = 0) -> None:
        self._number += 1
        key = f"sarcomap-study-{self._run}-{self._number}"
        future = self._client.submit(process_on_worker, self._settings, task, key=key, pure=False, retries=0)
        self.sent[key] = (future, task, deaths)
        future.add_done_callback(lambda done: self._ended.put(done.key))

    def results(self) -> Iterator[Attempt | Trouble]:
        """What has ended, after waiting for it a second at most."""
        try:
            keys = [self._ended.get(timeout=_LOOK_S)]
        except queue.Empty:
            return
        while not self._ended.empty():
            keys.append(self._ended.get())
        ended = [self.sent.pop(key) for key in keys if key in self.sent]
        finished = [future for future, _, _ in ended if future.status == "finished"]
        # In one request: asking for each answer alone takes longer than an empty study.
        answers = iter(self._client.gather(finished, errors="raise") if finished else ())
        for future, task, deaths in ended:
            if future in finished:
                yield next(answers)
            elif future.status == "error" and type(future.exception()).__name__ == "KilledWorker":
                # The study did not do it: it runs in a child. Its Dask workers were killed one after the other.
                if deaths + 1 < self._settings.attempts:
                    self.send(task, deaths + 1)
                else:
                    yield Trouble(_said_of_dask("the Dask workers end again and again", "Look at their logs."))
            elif future.status == "error":
                yield Trouble(_said_of_dask(f"a worker failed ({type(future.exception()).__name__})", "See its log."))
            else:
                yield _scheduler_gone(None)
            future.release()

    def look(self, say: Callable[[str], None]) -> None:
        """Count the cluster's threads once a second, and notice if its scheduler is gone."""
        now = time.monotonic()
        if now - self._looked < _LOOK_S:
            return
        if self._client.status == "running":
            self._threads, self._answered = sum(self._client.nthreads().values()), now
            if not self._threads and self._looked < 0:
                say("waiting for the cluster's first worker")
        elif self._client.status == "closed" or now - max(self._answered, 0.0) > _GONE_S:
            raise ConnectionError(self._client.status)
        if any(future.status in ("lost", "cancelled") for future, _, _ in self.sent.values()):
            raise ConnectionError("lost")  # the scheduler was started anew and does not know our studies
        self._looked = now

    def close(self) -> None:
        """Give up what was sent and not begun, and let the workers end their idle children."""
        with contextlib.suppress(Exception):
            self._client.cancel([future for future, _, _ in self.sent.values()])
        if not self.sent:
            with contextlib.suppress(Exception):
                self._client.run(close_workers, on_error="ignore")


_workers: dict[int, Worker] = {}
_lock = threading.Lock()


def process_on_worker(settings: WorkerSettings, task: Task) -> Attempt | Trouble:
    """Process one study in a thread of a Dask worker, which keeps its child for the next one."""
    if settings.digests.software != software_digest():
        said = _said_of_dask("a worker has another version of SarcoMAP", "Install the same version everywhere.")
        return Trouble(said, UsageError.exit_code)
    with _lock:
        worker = _workers.get(threading.get_ident())
        if worker is None or worker.settings != settings:
            if worker is not None:
                worker.close()
            worker = _workers[threading.get_ident()] = Worker(settings)
    # Dask sends a study again if the worker that has just finished it dies before its answer was fetched.
    return worker.finished_before(task) or worker.run(task)


def close_workers() -> None:
    """End the children of this Dask worker."""
    with _lock:
        for worker in _workers.values():
            worker.close()
        _workers.clear()


def _said_of_dask(found: str, remedy: str) -> Said:
    return Said("the Dask cluster", found, "workers that can process studies", remedy)


def _scheduler_gone(error: Exception | None) -> Trouble:
    why = f" ({type(error).__name__})" if error is not None else ""
    remedy = "Start it, and run the same command again."
    return Trouble(Said("the Dask scheduler", f"no longer there{why}", "a running one", remedy))
