"""The whole epidemiology: two tables in, every result out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from analysis.associations import Associations, associations, sex_stratified
from analysis.cohort import COVARIATES, Cohort, build_cohort
from analysis.definitions import CUT_OFFS, EWGSOP2, EXPOSURES, CutOffs
from analysis.describe import age_groups, concordance, decline, table_one, trend
from analysis.errors import UsageError
from analysis.fields import read_fields
from analysis.sensitivity import per_sd, sensitivity
from analysis.survival import FollowUp, follow_up, hazard_ratios
from analysis.tables import read_table
from analysis.validation import check_participants, check_phenotypes

__all__ = ["Options", "Results", "analyse", "load_cohort", "read_options"]


@dataclass(frozen=True)
class Options:
    """What an analysis is asked to do; the same in YAML and on the command line.

    Attributes
    ----------
    phenotypes, participants : Path
    out : Path
    adjust : tuple of str
        Covariates; empty for crude models only.
    min_age : float
    cut_offs : CutOffs
    fields : Path or None
        The user's map of columns.
    fixed_cuts : dict of str to (float, float)
        Cuts by exposure in place of tertiles.
    censor_date : str or None
        Last day on which deaths are known, YYYY-MM-DD; otherwise that of the
        latest death.
    """

    phenotypes: Path
    participants: Path
    out: Path
    adjust: tuple[str, ...] = COVARIATES
    min_age: float = 50.0
    cut_offs: CutOffs = EWGSOP2
    fields: Path | None = None
    fixed_cuts: Mapping[str, tuple[float, float]] | None = None
    censor_date: str | None = None

    def as_plain(self) -> dict[str, Any]:
        """As written to YAML and JSON; `read_options` takes it back."""
        plain = asdict(self)
        for name in ("phenotypes", "participants", "out", "fields"):
            plain[name] = None if plain[name] is None else str(plain[name])
        plain["adjust"] = list(self.adjust)
        plain["fixed_cuts"] = {name: list(cuts) for name, cuts in (self.fixed_cuts or {}).items()} or None
        return plain


@dataclass(frozen=True)
class Results:
    """Every table of an analysis, by the name of its file.

    Attributes
    ----------
    cohort : Cohort
    associations : Associations
    tables : dict of str to DataFrame
        ``flow, table1, concordance, decline, trend, age_groups,
        associations, sex_stratified, survival, per_sd, sensitivity, notes``.
    followed : FollowUp
        How long, and until when.
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
    images = check_phenotypes(read_table(options.phenotypes, ("eid",)), options.phenotypes.name)
    return build_cohort(people, images, min_age=options.min_age, covariates=options.adjust, cut_offs=options.cut_offs)


def analyse(
    cohort: Cohort,
    adjust: tuple[str, ...] = COVARIATES,
    fixed_cuts: Mapping[str, tuple[float, float]] | None = None,
    progress: Callable[[str], None] = lambda label: None,
    censor_date: str | None = None,
) -> Results:
    """Every table (method, section 7) for a cohort that is already built; `Options` has the parameters."""
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


def read_options(plain: Mapping[str, Any], where: str) -> Options:
    """Options from YAML's plain values (see `Options.as_plain`).

    Raises
    ------
    UsageError
        Naming the option that is unknown or unusable.
    """
    known = {field.name for field in fields(Options)}
    unknown = sorted(set(plain) - known)
    if unknown:
        raise UsageError(where, f"option {unknown[0]}", f"one of {', '.join(sorted(known))}", "Correct its name.")
    made: dict[str, Any] = {name: value for name, value in plain.items() if value is not None}
    try:
        for name in ("phenotypes", "participants", "out"):
            if name not in made:
                raise UsageError(where, f"no {name}", "a path", f"Give --{name}.")
        for name in ("phenotypes", "participants", "out", "fields"):
            if name in made:
                made[name] = Path(made[name])
        if "adjust" in made:
            made["adjust"] = tuple(str(name) for name in made["adjust"])
        if "min_age" in made:
            made["min_age"] = float(made["min_age"])
        if "cut_offs" in made:
            made["cut_offs"] = _cut_offs(made["cut_offs"], where)
        if "censor_date" in made:
            made["censor_date"] = date.fromisoformat(str(made["censor_date"])).isoformat()
        if "fixed_cuts" in made:
            made["fixed_cuts"] = {name: (float(a), float(b)) for name, (a, b) in made["fixed_cuts"].items()}
            _check_cuts(made["fixed_cuts"], where)
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(where, str(error), "options as provenance.json shows them", "Correct the value.") from None
    return Options(**made)


def _check_cuts(cuts: Mapping[str, tuple[float, float]], where: str) -> None:
    for name, (low, high) in cuts.items():
        if name not in EXPOSURES:
            raise UsageError(where, f"fixed cuts of {name}", f"one of {', '.join(EXPOSURES)}", "Correct its name.")
        if not low < high:
            raise UsageError(where, f"fixed cuts {low:g} and {high:g}", "the lower one first", "Exchange them.")


def _cut_offs(given: Any, where: str) -> CutOffs:
    if isinstance(given, str):
        if given in CUT_OFFS:
            return CUT_OFFS[given]
        try:
            given = yaml.safe_load(Path(given).read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            raise UsageError(
                where, f"cut-offs {given}", f"{', '.join(CUT_OFFS)} or a YAML file", "Correct --cut-offs."
            ) from None
    wanted = {field.name for field in fields(CutOffs)}
    if not isinstance(given, dict) or not set(given) <= wanted or not wanted - {"source"} <= set(given):
        raise UsageError(where, "cut-offs that are not complete", f"keys {', '.join(sorted(wanted))}", "Correct them.")
    made: dict[str, Any] = {
        name: str(value) if name in ("name", "source") else float(value) for name, value in given.items()
    }
    return CutOffs(**made)
