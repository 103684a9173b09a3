"""Studies are processed by processes on this machine."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Generator, Iterator

from app.cohort.records import Attempt
from app.cohort.settings import Task, WorkerSettings
from app.cohort.worker import Trouble, Worker
from operators.core.machine_memory import memory_of_machine

__all__ = ["default_workers", "process_here"]

_ON_GPU = 4
_PROCESS_BYTES = 5 << 29  # 2.5 GiB: what a study of the archive needs at its peak, with some reserve


def process_here(
    tasks: Iterator[Task], settings: WorkerSettings, workers: int, drop: threading.Event
) -> Generator[Attempt | Trouble, None, None]:
    """Process studies, as many at a time as there are workers; each takes the next one when it is free.

    Parameters
    ----------
    tasks : iterator of Task
        It ends when no further study is to be begun.
    settings : WorkerSettings
    workers : int
    drop : threading.Event
        When set, the studies in hand are dropped.

    Yields
    ------
    Attempt or Trouble
        After a trouble, no further study is begun.
    """
    results: queue.Queue[Attempt | Trouble | BaseException | None] = queue.Queue()
    lock, ending = threading.Lock(), threading.Event()

    def take() -> Task | None:
        with lock:
            return None if ending.is_set() or drop.is_set() else next(tasks, None)

    def work() -> None:
        worker = Worker(settings, drop)
        try:
            while (task := take()) is not None:
                result = worker.run(task)
                if isinstance(result, Trouble):
                    ending.set()
                results.put(result)
        except BaseException as error:
            results.put(error)
        finally:
            worker.close()
            results.put(None)

    threads = [threading.Thread(target=work, name=f"worker-{n}", daemon=True) for n in range(workers)]
    for thread in threads:
        thread.start()
    running = len(threads)
    try:
        while running:
            result = results.get()
            if result is None:
                running -= 1
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result
    finally:
        ending.set()
        drop.set()
        for thread in threads:
            thread.join(30)


def default_workers(threads: int, studies: int, on_gpu: bool) -> int:
    """One worker for each core (or ``threads`` cores), as far as memory allows, and none without a study.

    On a GPU there are at most four. They take turns at it (`app.cohort.study_work.gpu_turn`): one study is labelled
    while the others are read, fused and written.
    """
    cores = len(os.sched_getaffinity(0)) // threads
    most = _ON_GPU if on_gpu else cores
    return max(1, min(cores, most, memory_of_machine() // _PROCESS_BYTES, studies))
