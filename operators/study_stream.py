"""Several studies in one process: while a GPU works on one, threads load the next and write the last."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from operators.core.options import RunOptions
from operators.core.turns import Turns
from operators.pipeline import StudyResult, model_of, process_study

if TYPE_CHECKING:
    from operators.segmentation import SegmentationModel

__all__ = ["StudyJob", "StudyOutcome", "process_studies"]


@dataclass(frozen=True)
class StudyJob:
    """A study to process.

    Attributes
    ----------
    source, output : Path
        See `process_study`.
    """

    source: Path
    output: Path


@dataclass(frozen=True)
class StudyOutcome:
    """What became of a study.

    Attributes
    ----------
    job : StudyJob
    result : StudyResult or None
        None after an error.
    error : Exception or None
    """

    job: StudyJob
    result: StudyResult | None
    error: Exception | None


class Work(Protocol):
    """Processes one study like `process_study`, and uses the device only in ``gpu_turn``."""

    def __call__(
        self,
        source: Path,
        output: Path,
        options: RunOptions,
        *,
        model: SegmentationModel | None,
        gpu_turn: AbstractContextManager[None],
    ) -> StudyResult: ...


def process_studies(
    jobs: Iterable[StudyJob],
    options: RunOptions | None = None,
    *,
    model: SegmentationModel | Path | str | None = None,
    at_once: int = 3,
    work: Work = process_study,
) -> Iterator[StudyOutcome]:
    """Process studies as a pipeline, and yield what became of them in their order.

    At most ``at_once`` studies are in hand: with three, one is loaded and fused while a GPU labels another and a third
    is written. Only one study at a time is labelled, in the order of the studies. A study that fails does not disturb
    the others. On the CPU the network takes all cores anyway, and one study at a time needs less memory.

    Parameters
    ----------
    jobs : iterable of StudyJob
        Taken one by one as studies end, so that it may be endless.
    options : RunOptions, optional
    model : SegmentationModel or Path, optional
        As for `process_study`; loaded once.
    at_once : int
        Studies in hand. The outcome of a study is held until it is fetched, and no more studies are begun meanwhile.
    work : callable
        What processes a study.

    Yields
    ------
    StudyOutcome

    Raises
    ------
    SarcoMapError
        At the start, if the model cannot be loaded.
    """
    options = options or RunOptions()
    network = model_of(model, options)
    turns = Turns()
    pool = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="study")
    begun: deque[Future[StudyOutcome]] = deque()
    try:
        for job in jobs:
            if len(begun) >= at_once:
                yield begun.popleft().result()
            # Places are taken here and not in the threads, whose order is not certain.
            run = partial(_processed, job, turns.place(), partial(work, model=network), options)
            begun.append(pool.submit(run))
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _processed(
    job: StudyJob,
    place: AbstractContextManager[AbstractContextManager[None]],
    work: Callable[..., StudyResult],
    options: RunOptions,
) -> StudyOutcome:
    with place as turn:
        try:
            return StudyOutcome(job, work(job.source, job.output, options, gpu_turn=turn), None)
        except Exception as error:
            return StudyOutcome(job, None, error)
