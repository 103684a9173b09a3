"""Scoring of windows with a network: it checks the scores, and uses less memory when there is too little."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import torch

from operators.core import anatomy
from operators.core.errors import SegmentationError
from operators.core.volume import QualityFlag
from operators.segmentation.networks import Network, RunsAhead

__all__ = ["Scorer"]

_SLAB = 16  # planes of a window
_OUT_OF_MEMORY = ("out of memory", "failed to allocate memory", "cudnn_status_alloc_failed")


class Scorer:
    """Scores lists of windows with a network.

    When a GPU runs out of memory, it gets half as many windows at a time, down
    to one. After that, the network runs on the CPU. `flags` records this.

    Parameters
    ----------
    network : Network
    name : str
        Name of the model in messages.
    on_cpu : callable
        Opens the network on the CPU; None when it already runs there.
    mirror_axis : int or None
        Spatial axis of a window that runs from left to right. If given, scores
        are the mean over the window and its mirror image.

    Attributes
    ----------
    network : Network
        The network in use.
    flags : list of QualityFlag
    """

    def __init__(
        self,
        network: Network,
        name: str,
        on_cpu: Callable[[], Network] | None = None,
        mirror_axis: int | None = None,
    ) -> None:
        self.network = network
        self.flags: list[QualityFlag] = []
        self._name = name
        self._on_cpu = on_cpu
        self._mirror = None if mirror_axis is None else mirror_axis - 3  # counted from the end
        self._at_once: int | None = None
        self._sums: list[torch.Tensor] = []

    def __call__(self, windows: list[torch.Tensor]) -> torch.Tensor:
        """Scores (windows, classes, *roi), float32, of windows (channels, *roi).

        Raises
        ------
        SegmentationError
            For scores that do not fit the label table, or are not finite.
        """
        return self._in_parts(windows, _as_they_are)

    def probabilities(self, windows: list[torch.Tensor]) -> torch.Tensor:
        """Like calling the scorer, but returns each voxel's softmax over the classes."""
        return self._in_parts(windows, _softmax)

    def in_order(self, batches: Iterable[list[torch.Tensor]], *, probabilities: bool = False) -> Iterator[torch.Tensor]:
        """Like calling the scorer (or `probabilities`) for each batch, but later windows are already being scored.

        Scores are valid until the next ones are fetched.
        """
        finish = _softmax if probabilities else _as_they_are
        begun: deque[Callable[[], torch.Tensor]] = deque()
        for batch in batches:
            network = self.network
            if len(batch) > 1 or not isinstance(network, RunsAhead):  # needs the whole network, so nothing runs beside
                yield from _finished(begun)
                yield self._in_parts(batch, finish)
                continue
            if len(begun) >= max(network.ahead // (1 if self._mirror is None else 2), 1):
                yield begun.popleft()()
            begun.append(self._begin(network, batch[0], finish))
        yield from _finished(begun)

    def confirm(self) -> None:
        """Raise `SegmentationError` if scores on a GPU were not finite.

        They are checked at the end, because reading each check's result would make the GPU wait.
        """
        sums, self._sums = self._sums, []
        if sums and not torch.isfinite(torch.stack(sums)).all():
            raise self._not_finite()

    def _begin(
        self, network: RunsAhead, window: torch.Tensor, finish: Callable[[torch.Tensor], torch.Tensor]
    ) -> Callable[[], torch.Tensor]:
        scores = self._start(network, window[None])

        def finished() -> torch.Tensor:
            found = scores()
            self._check(found, tuple(window.shape[1:]))
            return finish(found)

        return finished

    def _start(self, network: RunsAhead, window: torch.Tensor) -> Callable[[], torch.Tensor]:
        axis = self._mirror
        if axis is None:
            return network.start(window)
        if network.ahead < 2:
            return partial(self._score, window)
        plain, mirrored = network.start(window), network.start(window.flip(axis))
        return lambda: plain().add(mirrored().flip(axis)).div_(2)

    def _in_parts(self, windows: list[torch.Tensor], finish: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Score all windows, as many at a time as memory allows."""
        size = min(self._at_once or len(windows), len(windows))
        done: list[torch.Tensor] = []
        while (start := sum(map(len, done))) < len(windows):
            try:
                scores = self._score(torch.stack(windows[start : start + size]))
                self._check(scores, tuple(windows[0].shape[1:]))
                scores = finish(scores)
                if len(scores) == len(windows):
                    return scores
                # A copy, because a backend may return the same output buffer every time.
                done.append(scores.to("cpu", copy=True))
            except Exception as error:  # ONNX Runtime's errors are not even RuntimeErrors
                if not _is_out_of_memory(error) or (size == 1 and self._on_cpu is None):
                    raise
                size = self._with_less(size)
        return torch.cat(done)

    def _score(self, windows: torch.Tensor) -> torch.Tensor:
        if self._mirror is None:
            return self.network(windows)
        scores = self.network(windows).clone()
        scores += self.network(windows.flip(self._mirror)).flip(self._mirror)
        return scores.div_(2)

    def _with_less(self, size: int) -> int:
        """The number of windows to try next after ``size`` were too many; at 1, the network moves to the CPU."""
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if size > 1:
            self._at_once = size // 2
            self._flag(f"{self._at_once} instead of {size} windows at a time")
            return self._at_once
        assert self._on_cpu is not None
        self.network = self._on_cpu()
        self._on_cpu = None
        self._at_once = 1
        self._flag(f"on the CPU instead ({self.network.description})")
        return 1

    def _flag(self, instead: str) -> None:
        message = f"The GPU ran out of memory; the network ran with {instead}: slower, but with the same labels."
        if instead.startswith("on the CPU"):
            message = f"The GPU ran out of memory; the network ran {instead}, which is slower."
        self.flags = [flag for flag in self.flags if flag.code != "segmentation-memory"]
        self.flags.append(QualityFlag("segmentation-memory", "info", message))

    def _check(self, scores: torch.Tensor, roi: tuple[int, ...]) -> None:
        wanted = (anatomy.CHANNEL_COUNT, *roi)
        if tuple(scores.shape[1:]) != wanted:
            raise SegmentationError(
                f"model {self._name}",
                f"scores of shape {tuple(scores.shape[1:])}",
                f"{wanted}: the label table's {anatomy.CHANNEL_COUNT} channels, and a score for every voxel",
                "Use weights trained with this version's configs.",
            )
        total = scores.sum()  # it is not finite if any score is not
        if scores.device.type != "cpu":
            self._sums.append(total)
        elif not torch.isfinite(total):
            raise self._not_finite()

    def _not_finite(self) -> SegmentationError:
        return SegmentationError(
            f"model {self._name}", "scores that are not finite", "a score of every class", "Check its weights."
        )


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(part in text for part in _OUT_OF_MEMORY)


def _as_they_are(scores: torch.Tensor) -> torch.Tensor:
    return scores


def _softmax(scores: torch.Tensor) -> torch.Tensor:
    """The softmax, in place and a slab at a time: the scores of one window may take more than 100 MB."""
    with torch.inference_mode():
        for window in scores:
            # A GPU has the memory for the whole window, and would wait between slabs.
            for slab in (window,) if scores.device.type != "cpu" else window.split(_SLAB, dim=1):
                slab.copy_(slab.softmax(dim=0))
    return scores


def _finished(begun: deque[Callable[[], torch.Tensor]]) -> Iterator[torch.Tensor]:
    while begun:
        yield begun.popleft()()
