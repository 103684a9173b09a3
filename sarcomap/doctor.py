"""``sarcomap doctor``: what is installed and what works on this machine, on one screen."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from operators.core.command_line import new_app
from operators.core.model_card import SHIPPED_BUNDLE
from sarcomap.machine import examine

__all__ = ["command"]

command = new_app(
    "doctor",
    "Show what works on this machine: packages, devices, backends, the model, variables, cache and free disk.\n\n"
    "ok: it works. --: it does not, and `sarcomap run` can do without. NO: `sarcomap run` needs it.\n\n"
    "The exit code is 0 if `sarcomap run` can work here, else 1.",
)

_WIDTH = 120


@command.default
def _doctor(
    *,
    model: Annotated[
        Path,
        Parameter(
            name=("-m", "--model"),
            env_var="HOLOSCAN_MODEL_PATH",
            metavar="DIR",
            show_default=False,
            help="Bundle to look at.",
        ),
    ] = SHIPPED_BUNDLE,
) -> int:
    wrong = set()
    for finding in examine(model, _announce):
        mark = {True: "ok", False: "NO" if finding.needed else "--", None: "  "}[finding.ok]
        start, indent = f"{mark} {finding.topic:12s} ", " " * 16
        print(textwrap.fill(finding.text, _WIDTH, initial_indent=start, subsequent_indent=indent), flush=True)
        if mark == "NO":
            wrong.add(finding.topic)
    if not wrong:
        print("\n`sarcomap run` can work here.")
        return 0
    print("\n`sarcomap run` cannot work here; see the lines with NO.")
    if "base" not in wrong:
        print("`sarcomap analysis` can: it needs tables only.")
    return 1


def _announce(topic: str) -> None:
    if sys.stderr.isatty():  # the first compilation of the fusion takes half a minute
        print(f"   {topic:12s} ...", end="\r", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(command())
