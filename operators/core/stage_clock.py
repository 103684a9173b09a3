"""How long each stage of a run took, and which one failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from operators.core import clock

__all__ = ["STAGES", "StageClock"]

STAGES = ("load", "fuse", "segment", "write", "report")

Result = TypeVar("Result")


class StageClock:
    """Seconds by stage, in the order in which the stages ran.

    Attributes
    ----------
    seconds : dict of str to float
    failure : BaseException or None
        What the failing stage raised: Holoscan may hand on another exception.

    Parameters
    ----------
    on_stage : callable, optional
        Called with the stage's name and None when it starts, and with its
        name and seconds when it is done.
    """

    def __init__(self, on_stage: Callable[[str, float | None], None] | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self.failure: BaseException | None = None
        self._on_stage = on_stage or (lambda stage, seconds: None)

    def run(self, stage: str, work: Callable[[], Result]) -> Result:
        """Do ``work``, note how long it took, and return what it returned."""
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
