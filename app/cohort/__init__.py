"""Many studies: `sarcomap cohort run` and `python -m app.cohort`."""

from __future__ import annotations

from app.cohort.ledger import Ledger
from app.cohort.options import CohortOptions
from app.cohort.records import OUTCOMES, Attempt

__all__ = ["OUTCOMES", "Attempt", "CohortOptions", "Ledger"]
