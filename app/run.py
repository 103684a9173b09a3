"""Run the MONAI Deploy application on one study and check that every stage ran."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from operators.core.errors import SarcoMapError, SegmentationError
from operators.core.options import RunOptions
from operators.core.output_folder import absent_in, missing, refuse_other_study, staged
from operators.core.stage_clock import StageClock
from operators.pipeline import OnProgress, OnStage, StudyResult, expected_files, model_of

if TYPE_CHECKING:
    from operators.core.volume import Study
    from operators.segmentation import SegmentationModel

__all__ = ["run_study"]


def run_study(
    source: Path,
    output: Path,
    options: RunOptions | None = None,
    *,
    model: SegmentationModel | Path | None = None,
    on_stage: OnStage | None = None,
    on_progress: OnProgress | None = None,
) -> StudyResult:
    """Load, fuse, segment, write and report one study; each stage is a MONAI Deploy operator.

    Parameters, result and errors are those of `operators.pipeline.process_study`, and so are the files.
    """
    options = options or RunOptions()
    clock = StageClock(on_stage)
    with staged(output) as folder:
        network = model_of(model, options)
        from app.application import SarcoMapApp  # Holoscan: an output that cannot be written does not wait for it

        try:
            SarcoMapApp(source, folder, network, options, clock, on_progress, _check(output, options)).run()
        except Exception as error:
            if clock.failure is not None and clock.failure is not error:
                raise clock.failure from error
            raise
        _verify(folder, clock, expected_files(options, _absent(folder)))
    return StudyResult(output, json.loads((output / "report.json").read_text(encoding="utf-8")), clock.seconds)


def _absent(folder: Path) -> frozenset[str]:
    """Contrasts that the study does not have, as its report says; none where there is no report."""
    path = folder / "report.json"
    return absent_in(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else frozenset()


def _check(output: Path, options: RunOptions) -> Callable[[Study], None]:
    def check(study: Study) -> None:
        refuse_other_study(output, study.study_uid, overwrite=options.overwrite)

    return check


def _verify(folder: Path, clock: StageClock, expected: tuple[str, ...]) -> None:
    """Raise if a stage did not run: when an operator emits nothing, Holoscan ends the graph and reports success."""
    if clock.failure is not None:
        raise clock.failure
    if absent := missing(folder, expected):
        done = ", ".join(clock.seconds) or "none"
        kind = SarcoMapError if "segment" in clock.seconds else SegmentationError
        raise kind(
            "application",
            f"it ended without {', '.join(absent)} (stages done: {done})",
            "every output of a study",
            "Run again with --log-level DEBUG and report what it prints.",
        )
