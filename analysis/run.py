"""The whole analysis, from two tables to all results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from analysis.amra import AMRA, amra_phenotypes
from analysis.asked_columns import check_kinds
from analysis.cohort import Cohort, build_cohort
from analysis.covariate_types import told_types
from analysis.definitions import COMPUTED
from analysis.describe import age_groups, concordance, decline, table_one, trend
from analysis.exclusions import choose_visit, instance_of, of_instance, read_exclusions
from analysis.fields import at_instance, columns_that_matter, read_fields
from analysis.fixed_cuts import fixed_cut_warnings
from analysis.interactions import interactions, sex_stratified
from analysis.markers import marker_tables
from analysis.odds_ratios import Associations, associations
from analysis.options import Options
from analysis.sensitivity import per_sd, sensitivity
from analysis.survival import FollowUp, follow_up, hazard_ratios
from analysis.tables import read_identifiers, read_table
from analysis.threads import made_together, one_blas_thread
from analysis.validation import Checked, check_participants, check_phenotypes, checked_repeats

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
        associations, sex_stratified, survival, per_sd, sensitivity, markers,
        notes``, with ``--paper`` fewer, and with ``--full`` those of
        `analysis.further.further_tables`.
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


@one_blas_thread
def load_cohort(options: Options) -> Cohort:
    """Read and check both tables, and apply the criteria."""
    field_map = read_fields(options.fields)
    identifiers = ("eid", *field_map["eid"].names, *field_map["eid"].titles)
    raw, repeats, rejected, elsewhere = None, None, frozenset[str](), 0
    unknown: list[str] = []
    instance = options.instance
    if str(options.phenotypes) != AMRA:
        every = read_table(options.phenotypes, ("eid", "visit"))
        raw = choose_visit(every, options.visit, options.phenotypes.name)
        excluded = None if options.exclude is None else read_exclusions(options.exclude)
        repeats = checked_repeats(every if excluded is None else every[~excluded.rows(every)], options.phenotypes.name)
        del every
        instance = instance_of(raw) if instance is None else instance
        raw, elsewhere = of_instance(raw, instance, options.phenotypes.name)
        if options.exclude is not None and excluded is not None:
            rejected = frozenset(raw.loc[excluded.rows(raw), "eid"])
            if not rejected and (excluded.participants or excluded.studies):
                unknown.append(
                    f"No study of {options.exclude.name} is in the phenotypes: none was left out as rejected."
                )
    also = (*options.interactions, *options.sites, *options.events)
    own = (*options.adjust, *options.exposures, *options.outcomes, *also)
    read_as = told_types(options.read_as or {}, own, field_map)
    withdrawn = read_identifiers(options.withdrawn)
    where = options.participants.name
    people = check_participants(
        read_table(options.participants, identifiers, lambda header: columns_that_matter(header, field_map, own)),
        field_map if instance is None else at_instance(field_map, instance),
        where,
        also=own,
        read_as=read_as,
    )
    if options.withdrawn is not None and withdrawn:
        known = {*people.table["eid"], *(() if raw is None else raw["eid"])}
        if not withdrawn & known:
            unknown.append(
                f"No identifier of {options.withdrawn.name} ({len(withdrawn)} lines) is in either table: nobody was "
                "left out as withdrawn."
            )

    def images() -> Checked:
        """The phenotypes. Nothing else refers to them or to the table as it was read, so that memory becomes free."""
        nonlocal raw
        table, raw = raw, None
        if table is None:
            return amra_phenotypes(people, where)
        others = [name for name in own if name not in people.sources and name not in COMPUTED]
        return check_phenotypes(table, options.phenotypes.name, elsewhere, others, read_as)

    cohort = build_cohort(
        people,
        images(),
        min_age=options.min_age,
        covariates=options.adjust,
        cut_offs=options.cut_offs,
        exposures=options.exposures,
        outcomes=options.outcomes,
        also=also,
        register_until=_day(options.censor_date),
        withdrawn=withdrawn,
        rejected=rejected,
        repeats=repeats,
    )
    check_kinds(cohort.analysed, (), (), (*options.interactions, *options.sites))
    further = (*fixed_cut_warnings(cohort.analysed, options.fixed_cuts), *unknown)
    return replace(cohort, warnings=(*cohort.warnings, *further)) if further else cohort


@one_blas_thread
def analyse(cohort: Cohort, options: Options, progress: Callable[[str], None] = lambda label: None) -> Results:
    """Make every table (method, section 7) of a cohort. `Options` explains what can be chosen."""
    table, adjust, cuts = cohort.analysed, options.adjust, dict(options.fixed_cuts or {})
    asked: dict[str, Any] = {"exposures": options.exposures, "outcomes": options.outcomes}
    followed = follow_up(table, cohort.register)
    progress("description")
    tables = {
        "flow": cohort.flow,
        "table1": table_one(table),
        "concordance": concordance(table),
        "decline": decline(table, cohort.structures),
        "trend": trend(table),
        "age_groups": age_groups(cohort.all_ages),
    }
    ratios: list[Associations] = []

    def main_table() -> pd.DataFrame:
        ratios.append(associations(table, adjust, cuts=cuts, progress=progress, **asked))
        return ratios[0].summary

    makers: dict[str, Callable[[], pd.DataFrame]] = {
        "associations": main_table,
        "sex_stratified": lambda: sex_stratified(table, adjust, cuts=cuts, **asked),
    }
    if not options.paper:
        makers |= {
            "per_sd": lambda: per_sd(table, adjust, **asked),
            "sensitivity": lambda: sensitivity(table, adjust, everyone=cohort.eligible, cuts=cuts, **asked),
            "survival": lambda: hazard_ratios(table, followed, adjust, exposures=options.exposures, cuts=cuts),
        }
        if options.interactions:
            makers["interactions"] = lambda: interactions(table, adjust, options.interactions, cuts=cuts, **asked)
    tables |= made_together(makers)
    if not options.paper:
        tables |= marker_tables(table, options, followed, progress)
    if options.full:
        # Imported here because its libraries take half a second that other runs save.
        from analysis.further import further_tables
        from analysis.robustness import robustness_tables

        tables |= further_tables(cohort, options, progress)
        tables |= robustness_tables(cohort, options, tables.get("repeats"), progress)
    notes = dict.fromkeys([*cohort.notes, *followed.notes])
    tables["notes"] = pd.DataFrame(
        [(note.where, note.rule, note.count, " ".join(map(str, note.first_rows))) for note in notes],
        columns=["where", "what", "count", "first_rows"],
    )
    return Results(cohort, ratios[0], tables, followed)


def _day(text: str | None) -> pd.Timestamp | None:
    return None if text is None else pd.Timestamp(text)
