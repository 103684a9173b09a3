"""Operators whose `compute` is timed."""

from __future__ import annotations

from typing import Any, TypeVar

from operators.core.stage_clock import StageClock
from operators.deploy import ExecutionContext, InputContext, Operator, OutputContext

__all__ = ["timed"]

AnyOperator = TypeVar("AnyOperator", bound=type[Operator])


def timed(operator: AnyOperator, stage: str, clock: StageClock) -> AnyOperator:
    """A subclass of an operator; ``clock`` records how long its ``compute`` takes and what it raises."""

    def compute(self: Operator, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        clock.run(stage, lambda: operator.compute(self, op_input, op_output, context))

    members: dict[str, Any] = {"compute": compute, "__doc__": operator.__doc__}
    return type(f"Timed{operator.__name__}", (operator,), members)  # type: ignore[return-value]
