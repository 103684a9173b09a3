"""The whole analysis, from two tables to all results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.cohort import Cohort, build_cohort
from analysis.definitions import COVARIATES
from analysis.describe import age_groups, concordance, decline, table_one, trend
from analysis.exclusions import choose_visit, read_exclusions
from analysis.fields import read_fields
from analysis.odds_ratios import Associations, associations, sex_stratified
from analysis.options import Options
from analysis.sensitivity import per_sd, sensitivity
from analysis.survival import FollowUp, follow_up, hazard_ratios
from analysis.tables import read_table
from analysis.validation import check_participants, check_phenotypes

__all__ = ["Results", "analyse", "load_cohort"]


@dataclass(frozen=True)
class Results:
    """All tables of an analysis, by file name.

    Attributes
    ----------
    cohort : Cohort
    associations : Associations
    tables : dict of str to DataFrame
        ``flow, table1, concordance, decline, trend, age_groups,
        associations, sex_stratified, survival, per_sd, sensitivity, notes``.
    followed : FollowUp
        Length and end of follow-up.
    """

    cohort: Cohort
    associations: Associations
    tables: dict[str, pd.DataFrame]
    followed: FollowUp

    @property
    def summary(self) -> pd.DataFrame:
        """The associations."""
        return self.tables["associations"]


def load_cohort(options: Options) -> Cohort:
    """Read and check both tables, and apply the criteria."""
    field_map = read_fields(options.fields)
    identifiers = ("eid", *field_map["eid"].names)
    people = check_participants(
        read_table(options.participants, identifiers), field_map, options.participants.name, also=options.adjust
    )
    where = options.phenotypes.name
    raw = choose_visit(read_table(options.phenotypes, ("eid", "visit")), options.visit, where)
    rejected = frozenset[str]()
    if options.exclude is not None:
        rejected = frozenset(raw.loc[read_exclusions(options.exclude).rows(raw), "eid"])
    return build_cohort(
        people,
        check_phenotypes(raw, where),
        min_age=options.min_age,
        covariates=options.adjust,
        cut_offs=options.cut_offs,
        rejected=rejected,
    )


def analyse(
    cohort: Cohort,
    adjust: tuple[str, ...] = COVARIATES,
    fixed_cuts: Mapping[str, tuple[float, float]] | None = None,
    progress: Callable[[str], None] = lambda label: None,
    censor_date: str | None = None,
) -> Results:
    """Make every table (method, section 7) of a cohort. `Options` explains the parameters."""
    progress("description")
    tables = {
        "flow": cohort.flow,
        "table1": table_one(cohort.analysed),
        "concordance": concordance(cohort.analysed),
        "decline": decline(cohort.analysed, cohort.structures),
        "trend": trend(cohort.analysed),
        "age_groups": age_groups(cohort.all_ages),
    }
    cuts = dict(fixed_cuts or {})
    ratios = associations(cohort.analysed, adjust, cuts=cuts, progress=progress)
    tables["associations"] = ratios.summary
    progress("by sex")
    tables["sex_stratified"] = sex_stratified(cohort.analysed, adjust, cuts=cuts)
    progress("sensitivity")
    tables["per_sd"] = per_sd(cohort.analysed, adjust)
    tables["sensitivity"] = sensitivity(cohort.analysed, adjust, everyone=cohort.eligible, cuts=cuts)
    progress("survival")
    followed = follow_up(cohort.analysed, None if censor_date is None else pd.Timestamp(censor_date))
    tables["survival"] = hazard_ratios(cohort.analysed, followed, adjust, cuts=cuts)
    notes = [*cohort.notes, *followed.notes]
    tables["notes"] = pd.DataFrame(
        [(note.where, note.rule, note.count, " ".join(map(str, note.first_rows))) for note in notes],
        columns=["where", "what", "count", "first_rows"],
    )
    return Results(cohort, ratios, tables, followed)
