"""How long each stage took, and which one failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from operators.deploy import ExecutionContext, InputContext, Operator, OutputContext

__all__ = ["StageClock", "timed"]

AnyOperator = TypeVar("AnyOperator", bound=type[Operator])


class StageClock:
    """Seconds by stage, in the order in which the stages ran.

    Attributes
    ----------
    seconds : dict of str to float
    failure : BaseException or None
        What the failing stage raised: Holoscan may hand on another exception.

    Parameters
    ----------
    started, finished : callable
        Told the stage's name, and its seconds.
    """

    def __init__(self, started: Callable[[str], None], finished: Callable[[str, float], None]) -> None:
        self.seconds: dict[str, float] = {}
        self.failure: BaseException | None = None
        self._started = started
        self._finished = finished

    def run(self, stage: str, work: Callable[[], None]) -> None:
        """Do ``work`` and note how long it took."""
        self._started(stage)
        start = time.perf_counter()
        try:
            work()
        except BaseException as error:
            self.failure = error
            raise
        self.seconds[stage] = time.perf_counter() - start
        self._finished(stage, self.seconds[stage])


def timed(operator: AnyOperator, stage: str, clock: StageClock) -> AnyOperator:
    """The same operator, whose ``compute`` is clocked."""

    def compute(self: Operator, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        clock.run(stage, lambda: operator.compute(self, op_input, op_output, context))

    members: dict[str, Any] = {"compute": compute, "__doc__": operator.__doc__}
    return type(f"Timed{operator.__name__}", (operator,), members)  # type: ignore[return-value]
