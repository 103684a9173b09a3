"""A cohort with known effects, checked and built as the command line does it."""

from __future__ import annotations

from functools import cache

from analysis import Cohort, build_cohort, check_participants, check_phenotypes, read_fields
from phantom.table import CohortTable, draw_cohort


@cache
def drawn(n: int, seed: int) -> CohortTable:
    return draw_cohort(n, seed)


@cache
def cohort_of(n: int, seed: int) -> Cohort:
    made = drawn(n, seed)
    people = check_participants(made.participants, read_fields(), "participants.csv")
    return build_cohort(people, check_phenotypes(made.phenotypes, "phenotypes.csv"))
