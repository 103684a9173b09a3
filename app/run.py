"""Run the application on one study and see to it that it did what it should."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from app.application import SarcoMapApp
from app.options import RunOptions
from operators.core.errors import SarcoMapError, SegmentationError
from operators.core.output_folder import OUTPUT_FILES, missing, staged
from operators.core.stage_clock import StageClock
from operators.segmentation import load_model

__all__ = ["SHIPPED_BUNDLE", "run_study"]

SHIPPED_BUNDLE = Path(__file__).resolve().parent.parent / "bundle"


def run_study(
    input_path: Path,
    output: Path,
    options: RunOptions | None = None,
    *,
    model_folder: Path | None = None,
    stage_names: Mapping[str, str] | None = None,
    quiet: bool = True,
) -> dict[str, float]:
    """Load, fuse, segment, write and report one study into ``output``.

    Parameters
    ----------
    input_path, output : Path
    options : RunOptions, optional
    model_folder : Path, optional
        A MONAI bundle; the shipped one by default.
    stage_names : mapping of str to str, optional
        What to call each stage while it runs.
    quiet : bool
        Show no progress.

    Returns
    -------
    dict of str to float
        Seconds by stage.

    Raises
    ------
    SarcoMapError
        Whatever a stage found wrong; ``output`` is then as it was before.
    """
    show = _Progress(stage_names or {}, quiet)
    clock = StageClock(show.started, show.finished)
    with staged(output) as staging:
        options = options or RunOptions()
        model = None
        if not options.label_maps:
            model = load_model(model_folder or SHIPPED_BUNDLE, trusted=options.trust_bundle)
        try:
            SarcoMapApp(input_path, staging, model, options, clock, show.files).run()
        except Exception as error:
            if clock.failure is not None and clock.failure is not error:
                raise clock.failure from error
            raise
        finally:
            show.close()
        derived = tuple(f"derived/{contrast.value}/0001.dcm" for contrast in options.dicom.derived)
        _verify(staging, clock, (*OUTPUT_FILES, *derived))
    show.summary(output, json.loads((output / "report.json").read_text(encoding="utf-8")))
    return dict(clock.seconds)


def _verify(folder: Path, clock: StageClock, expected: tuple[str, ...]) -> None:
    """Holoscan ends a graph whose operator emits nothing without a word, and with success."""
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


class _Progress:
    """What a user sees on the terminal while a study is processed."""

    def __init__(self, names: Mapping[str, str], quiet: bool) -> None:
        self.names = names
        self.quiet = quiet
        self.bar: tqdm[None] | None = None
        self.line_open = False

    def started(self, stage: str) -> None:
        if not self.quiet and stage != "load":
            print(f"{self.names.get(stage, stage)} ...", end="", flush=True, file=sys.stderr)
            self.line_open = True

    def finished(self, stage: str, seconds: float) -> None:
        self.line_open = False
        self.close()
        if not self.quiet:
            label = f"{self.names.get(stage, stage)} ..." if stage == "load" else ""
            print(f"{label} {seconds:.1f} s", file=sys.stderr)

    def files(self, done: int, total: int) -> None:
        if self.quiet:
            return
        if self.bar is None:  # every file is counted twice: its header, then its pixels
            self.bar = tqdm(total=total, desc=self.names.get("load", "load"), unit=" reads", leave=False, disable=None)
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        if self.line_open:  # of a stage that failed
            print(file=sys.stderr)
            self.line_open = False

    def summary(self, output: Path, report: Mapping[str, Any]) -> None:
        if self.quiet:
            return
        quality = report["quality"]
        for flag in quality["flags"]:
            print(f"  {flag['severity']}: {flag['message']}", file=sys.stderr)
        if quality["withheld"] is not None:
            print(f"No phenotypes are given: {quality['withheld']}", file=sys.stderr)
        print(f"Written to {output}: report.html, report.json, segmentation, fused volumes", file=sys.stderr)
