"""What a user sees on the terminal while a study is processed: a progress line, then the headline numbers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from operators.core.errors import printable

__all__ = ["Progress", "headline"]

_STAGES = {
    "load": "Reading DICOM",
    "fuse": "Fusing stations",
    "segment": "Segmenting",
    "write": "Writing DICOM",
    "report": "Measuring and reporting",
}


class Progress:
    """One line on standard error with each stage and, once it is done, its seconds.

    Only the name that the caller passes is shown of the study.

    Parameters
    ----------
    quiet : bool
        Show nothing.
    stages : mapping of str to str
        Text to show for stages that do something else here than in a run.
    """

    def __init__(self, quiet: bool = False, stages: Mapping[str, str] | None = None) -> None:
        self.quiet = quiet
        self._stages = _STAGES | dict(stages or {})
        self._on_terminal = sys.stderr.isatty()
        self._open = False

    def start(self, title: str) -> None:
        """Say that a run has begun, before anything slow."""
        if not self.quiet:
            print(printable(title), file=sys.stderr, flush=True)

    def stage(self, name: str, seconds: float | None) -> None:
        """Show that a stage starts (None) or is done; see `operators.pipeline.process_study`."""
        if self.quiet:
            return
        if seconds is None:
            self._show(f"{', ' if self._open else '  '}{self._stages.get(name, name)}")
            self._open = True
        else:
            self._show(f" {seconds:.1f} s")

    def files(self, done: int, total: int) -> None:
        """Show reads done and reads in all, on a terminal only."""
        if self._on_terminal and not self.quiet and total:
            share = f" {100 * done // total:3d}%"
            self._show(share + "\b" * len(share) if done < total else "     \b\b\b\b\b")

    def close(self) -> None:
        """End the line."""
        if self._open:
            print(file=sys.stderr, flush=True)
            self._open = False

    def _show(self, text: str) -> None:
        print(text, end="", file=sys.stderr, flush=True)


def headline(report: Mapping[str, Any], output: Path) -> str:
    """Headline of a report: three numbers, the flags, and the path of the page."""
    found, quality, model = report["phenotypes"], report["quality"], report["model"]
    lines = []
    if quality["withheld"] is not None:
        lines.append(f"No phenotypes are given: {quality['withheld']}")
    else:
        tmv, ratio, asymmetry = found["tmv_cm3"], found["pa_ratio"], found["lr_asymmetry"]
        lines += [
            f"  Total muscle volume    {'not given' if tmv is None else f'{tmv:.0f} cm3'}",
            f"  P/A ratio              {'not given' if ratio is None else f'{ratio:.3f}'}",
            f"  Left-right asymmetry   {'not given' if asymmetry is None else f'{100 * asymmetry:.1f}%'}",
        ]
    lines += [f"  {flag['severity']}: {flag['message']}" for flag in quality["flags"]]
    if model["synthetic_training"]:
        lines.append("  The network was trained on synthetic images and not validated on people: not for clinical use.")
    lines.append(f"Written to {output}: start with {output / 'report.html'}")
    return "\n".join(lines)
