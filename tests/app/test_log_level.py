"""``--log-level DEBUG`` shows what SarcoMAP does, not every step of numba's compiler."""

from __future__ import annotations

import subprocess
import sys

from tests.app.made_study import ROOT, clean_environment

COMPILE = """
import logging
from app.study_command import set_up_logging

set_up_logging("DEBUG")
logging.getLogger("operators.anything").debug("ours")

import numba

print(numba.njit(lambda x: x + 1)(1))
"""


def test_debug_messages_are_ours_and_not_those_of_the_compiler() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMPILE],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "2\n", done.stderr
    assert "DEBUG ours" in done.stderr and done.stderr.count("DEBUG") < 10
