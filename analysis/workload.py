"""How long a run with many covariates will take, told before it starts."""

from __future__ import annotations

import time

import numpy as np

from analysis.cohort import Cohort
from analysis.design import Covariates, standardise
from analysis.logistic import information_of
from analysis.options import Options
from analysis.threads import one_blas_thread

__all__ = ["expected_minutes", "said_of_time"]

# Fewer columns cost less than the figures.
_FEWEST_COLUMNS = 40
_PEOPLE_TIMED = 4096
# Times that the information matrix is made: steps of a model and of the ends of its interval; models of one exposure
# and one outcome (main, per SD and curve, by sex, sensitivity); further models of --full.
_STEPS, _MODELS_PAPER, _MODELS, _MODELS_FULL = 14, 4, 10, 150
_STEPS_OF_BOOTSTRAP, _MODELS_BOOTSTRAPPED, _MEDIATIONS = 2, 35, 1800
_WORTH_SAYING = 2.0


@one_blas_thread
def expected_minutes(cohort: Cohort, options: Options) -> float:
    """Minutes of one processor that the models will take, from the time of one information matrix; 0 if few."""
    shared = Covariates(cohort.analysed, options.adjust)
    columns, people = len(shared.names), len(cohort.analysed)
    if columns < _FEWEST_COLUMNS or 2 * (columns + 2) > people:  # so many that no model is tried
        return 0.0
    some = np.flatnonzero(shared.known)[:_PEOPLE_TIMED]
    rows = np.zeros(people, dtype=bool)
    rows[some] = True
    design = standardise(shared.of(rows).values).design
    started = time.perf_counter()
    information_of(design, np.full(len(some), 0.25))
    once = (time.perf_counter() - started) * people / max(len(some), 1)
    pairs = len(options.exposures) * len(options.outcomes)
    times = _STEPS * pairs * (_MODELS_PAPER if options.paper else _MODELS)
    if options.full:
        times += _STEPS * _MODELS_FULL + _STEPS_OF_BOOTSTRAP * _MODELS_BOOTSTRAPPED * options.bootstraps + _MEDIATIONS
    return once * times / 60


def said_of_time(cohort: Cohort, options: Options) -> str:
    """What to tell the user before a long run; empty for a short one."""
    minutes = expected_minutes(cohort, options)
    if minutes < _WORTH_SAYING:
        return ""
    columns = len(Covariates(cohort.analysed, options.adjust).names)
    how = f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"
    less = (
        ", fewer --bootstraps, or no --full, take" if options.full else " take" if options.paper else " or --paper take"
    )
    return (
        f"{columns} columns of covariates (each further level of a factor is one) for {len(cohort.analysed)} people: "
        f"expect about {how}. Fewer covariates{less} less."
    )
