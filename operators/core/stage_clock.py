"""How long each stage of a run took, and the error of a stage that failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from operators.core import clock

__all__ = ["StageClock"]

Result = TypeVar("Result")


class StageClock:
    """Seconds by stage, in the order in which the stages ran.

    Attributes
    ----------
    seconds : dict of str to float
    failure : BaseException or None
        The exception of the stage that failed. Holoscan may pass on a different one.

    Parameters
    ----------
    on_stage : callable, optional
        Called with a stage's name and None when the stage starts, and with its
        name and duration in seconds when it ends.
    """

    def __init__(self, on_stage: Callable[[str, float | None], None] | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self.failure: BaseException | None = None
        self._on_stage = on_stage or (lambda stage, seconds: None)

    def run(self, stage: str, work: Callable[[], Result]) -> Result:
        """Call ``work``, record how long it took, and return its result."""
        self._on_stage(stage, None)
        start = clock.seconds()
        try:
            result = work()
        except BaseException as error:
            self.failure = error
            raise
        self.seconds[stage] = clock.seconds() - start
        self._on_stage(stage, self.seconds[stage])
        return result
