"""MONAI Deploy operator: NIfTI files to a study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from operators.core.options import PersonOptions, with_person
from operators.core.volume import Study
from operators.deploy import (
    CountCondition,
    ExecutionContext,
    Fragment,
    InputContext,
    Operator,
    OperatorSpec,
    OutputContext,
)
from operators.nifti_loader.study import load_nifti

__all__ = ["NiftiLoaderOperator"]


class NiftiLoaderOperator(Operator):
    """Load volumes that were fused elsewhere and emit them as a `Study` on port ``study``; see `load_nifti`.

    It runs once, as a source operator without a count would run forever.

    Parameters
    ----------
    fragment : Fragment
    input_path : Path
    progress : callable, optional
        As for `load_nifti`.
    person : PersonOptions, optional
    check : callable, optional
        Called with the study before it is emitted; may refuse it.
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        input_path: Path,
        progress: Callable[[int, int], None] | None = None,
        person: PersonOptions | None = None,
        check: Callable[[Study], None] | None = None,
        **kwargs: Any,
    ) -> None:
        self.input_path = input_path
        self.progress = progress
        self.person = person
        self.check = check
        super().__init__(fragment, CountCondition(fragment, 1), *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the port."""
        spec.output("study")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Load and emit."""
        study = with_person(load_nifti(self.input_path, progress=self.progress), self.person)
        if self.check is not None:
            self.check(study)
        op_output.emit(study, "study")
