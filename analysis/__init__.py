"""Cohort epidemiology of sarcopenia, on tables alone: from phenotypes and participants to a report."""

from analysis.agreement import Agreement, agreement
from analysis.associations import Association, Associations, associations, sex_stratified
from analysis.cohort import Cohort, build_cohort
from analysis.collect import Collected, collect_reports
from analysis.cox import CoxFit, fit_cox, proportional_hazards_p
from analysis.definitions import AWGS2019, EWGSOP2, CutOffs, derive
from analysis.errors import AnalysisError, DataError, OutputError, UsageError
from analysis.fields import read_fields
from analysis.firth import FirthEstimate, firth
from analysis.logistic import LogisticFit, fit_logistic, profile_interval
from analysis.published_table import Audit, audit
from analysis.run import Options, Results, analyse, load_cohort
from analysis.survival import FollowUp, HazardRatio, follow_up, hazard_ratios
from analysis.tables import read_table, write_table
from analysis.tertiles import Tertiles, tertiles
from analysis.trend import Decline, Trend, cochran_armitage, decline_per_decade
from analysis.validation import Checked, Note, check_participants, check_phenotypes

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
