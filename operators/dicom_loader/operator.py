"""The MONAI Deploy shell around `load_study`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from operators.core.options import Deidentification
from operators.core.volume import Station, Study
from operators.deploy import (
    CountCondition,
    ExecutionContext,
    Fragment,
    InputContext,
    Operator,
    OperatorSpec,
    OutputContext,
)
from operators.dicom_loader.source import DEFAULT_LIMITS, ArchiveLimits
from operators.dicom_loader.study import load_study

__all__ = ["DicomLoaderOperator"]


class DicomLoaderOperator(Operator):
    """Load a study from a path and emit it as a `Study` on port ``study``; see `load_study`.

    It runs once. A source operator without a count would run forever, so the
    condition is set here and not left to the application.

    Parameters
    ----------
    fragment : Fragment
        The application.
    input_path : Path
        Zip or folder of one study.
    limits : ArchiveLimits
    check : callable, optional
        Called with the study before it is emitted; may refuse it.
    progress, allow_missing_slices, one_frame_of_reference, study_uid, select, deidentification
        As for `load_study`.
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        input_path: Path,
        limits: ArchiveLimits = DEFAULT_LIMITS,
        check: Callable[[Study], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
        allow_missing_slices: bool = False,
        one_frame_of_reference: bool = False,
        study_uid: str | None = None,
        select: Callable[[Sequence[Station]], Sequence[Station]] | None = None,
        deidentification: Deidentification | None = None,
        **kwargs: Any,
    ) -> None:
        self.input_path = Path(input_path)
        self.limits = limits
        self.check = check
        self.progress = progress
        self.allow_missing_slices = allow_missing_slices
        self.one_frame_of_reference = one_frame_of_reference
        self.study_uid = study_uid
        self.select = select
        self.deidentification = deidentification
        super().__init__(fragment, CountCondition(fragment, 1), *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the port."""
        spec.output("study")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Load and emit."""
        study = load_study(
            self.input_path,
            limits=self.limits,
            progress=self.progress,
            allow_missing_slices=self.allow_missing_slices,
            one_frame_of_reference=self.one_frame_of_reference,
            study_uid=self.study_uid,
            select=self.select,
            deidentification=self.deidentification,
        )
        if self.check is not None:
            self.check(study)
        op_output.emit(study, "study")
