"""Cohort epidemiology of sarcopenia on tables, from phenotypes and participants to a report.

A name's dependencies are imported when it is first used, so that a command
line shows its help without waiting for pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.cohort import Cohort, build_cohort
    from analysis.collect import Collected, collect_reports
    from analysis.cox import CoxFit, fit_cox, proportional_hazards_p
    from analysis.deaths import Register
    from analysis.definitions import AWGS2019, EWGSOP2, CutOffs
    from analysis.derived_columns import derive
    from analysis.errors import AnalysisError, DataError, OutputError, UsageError
    from analysis.fields import read_fields
    from analysis.interactions import sex_stratified
    from analysis.limits_of_agreement import Agreement, agreement
    from analysis.logistic import LogisticFit, fit_logistic
    from analysis.odds_ratios import Association, Associations, associations
    from analysis.options import Options
    from analysis.penalised_logistic import FirthEstimate, firth
    from analysis.problems import Note
    from analysis.profile_likelihood import profile_interval
    from analysis.published_table import Audit, audit
    from analysis.run import Results, analyse, load_cohort
    from analysis.survival import FollowUp, HazardRatio, follow_up, hazard_ratios
    from analysis.tables import read_table, write_table
    from analysis.thirds import Tertiles, tertiles
    from analysis.trend import Decline, Trend, cochran_armitage, decline_per_decade
    from analysis.validation import Checked, check_participants, check_phenotypes

# No module may have the name of a function here: once imported, it would replace the function.
_HOMES = {
    "analysis.cohort": (
        "Cohort",
        "build_cohort",
    ),
    "analysis.collect": (
        "Collected",
        "collect_reports",
    ),
    "analysis.cox": (
        "CoxFit",
        "fit_cox",
        "proportional_hazards_p",
    ),
    "analysis.deaths": ("Register",),
    "analysis.definitions": ("AWGS2019", "EWGSOP2", "CutOffs"),
    "analysis.derived_columns": ("derive",),
    "analysis.errors": (
        "AnalysisError",
        "DataError",
        "OutputError",
        "UsageError",
    ),
    "analysis.fields": ("read_fields",),
    "analysis.limits_of_agreement": (
        "Agreement",
        "agreement",
    ),
    "analysis.logistic": (
        "LogisticFit",
        "fit_logistic",
    ),
    "analysis.profile_likelihood": ("profile_interval",),
    "analysis.odds_ratios": (
        "Association",
        "Associations",
        "associations",
    ),
    "analysis.interactions": ("sex_stratified",),
    "analysis.penalised_logistic": (
        "FirthEstimate",
        "firth",
    ),
    "analysis.published_table": (
        "Audit",
        "audit",
    ),
    "analysis.options": ("Options",),
    "analysis.run": (
        "Results",
        "analyse",
        "load_cohort",
    ),
    "analysis.survival": (
        "FollowUp",
        "HazardRatio",
        "follow_up",
        "hazard_ratios",
    ),
    "analysis.tables": (
        "read_table",
        "write_table",
    ),
    "analysis.thirds": (
        "Tertiles",
        "tertiles",
    ),
    "analysis.trend": (
        "Decline",
        "Trend",
        "cochran_armitage",
        "decline_per_decade",
    ),
    "analysis.problems": ("Note",),
    "analysis.validation": (
        "Checked",
        "check_participants",
        "check_phenotypes",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AWGS2019",
    "Agreement",
    "AnalysisError",
    "Association",
    "Associations",
    "Audit",
    "Checked",
    "Cohort",
    "CoxFit",
    "Collected",
    "CutOffs",
    "DataError",
    "Decline",
    "EWGSOP2",
    "FirthEstimate",
    "FollowUp",
    "HazardRatio",
    "LogisticFit",
    "Note",
    "Options",
    "OutputError",
    "Register",
    "Results",
    "Tertiles",
    "Trend",
    "UsageError",
    "agreement",
    "analyse",
    "associations",
    "audit",
    "build_cohort",
    "check_participants",
    "check_phenotypes",
    "cochran_armitage",
    "collect_reports",
    "decline_per_decade",
    "derive",
    "firth",
    "fit_cox",
    "fit_logistic",
    "follow_up",
    "hazard_ratios",
    "load_cohort",
    "profile_interval",
    "proportional_hazards_p",
    "read_fields",
    "read_table",
    "sex_stratified",
    "tertiles",
    "write_table",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
