"""The stand-in's command line: signals are blocked before a package starts threads, as in `sarcomap cohort run`."""

from __future__ import annotations

import sys

from app.interrupt import clean_up_when_interrupted

if __name__ == "__main__":
    clean_up_when_interrupted()
    from tests.cohort.stand_in import main

    sys.exit(main(sys.argv[1:]))
