"""Select the analysed participants: join two tables, apply the criteria in order and count every exclusion."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

import pandas as pd

from analysis.amra import AMRA_WARNING
from analysis.asked_columns import check_columns, check_kinds, without_copies
from analysis.composition import add_composition
from analysis.deaths import Register, follow_up_warnings, notes_on_deaths, register_of
from analysis.definitions import BY_AGE, COVARIATES, EWGSOP2, EXPOSURES, OUTCOMES, CutOffs
from analysis.derived_columns import derive
from analysis.eligibility import apply_criteria
from analysis.errors import DataError
from analysis.exclusions import consenting
from analysis.mixed_units import pounds_of_some
from analysis.plausible import check_sexes
from analysis.problems import Note, Problems
from analysis.trend import YOUNGEST_GROUPED
from analysis.validation import Checked
from analysis.values import is_yes

__all__ = ["Cohort", "build_cohort"]

_FEWEST = 20
_MOST_NAMED = 5
# Printed in the paper as lean mass of arms and legs; in UK Biobank's dictionary they are not (method, section 8.13).
_PRINTED_DXA_FIELDS = (23263, 23264, 23265, 23266)


@dataclass(frozen=True)
class Cohort:
    """The participants of an analysis.

    Attributes
    ----------
    analysed : DataFrame
        One row per participant that met every criterion, with all derived
        columns (see `analysis.derived_columns.derive`). Of a structure's sides
        only those that a model names are kept, because they are half of the memory.
    all_ages : DataFrame
        The same without the age limit, for descriptive figures (method,
        section 8.10). Measurements only.
    eligible : DataFrame
        Everyone old enough with complete MRI, even if other data are missing:
        exposures, outcomes and covariates, for a sensitivity analysis.
    flow : DataFrame
        ``step, reason, excluded, remaining``.
    notes : tuple of Note
        Values that were set to missing.
    cut_offs : CutOffs
    structures : tuple of str
        Names of the muscles and bones that have a volume column.
    warnings : tuple of str
        What a reader must know first: that participants are synthetic, or that
        the network that measured them was trained on synthetic data; or that
        fixed cuts are used on another tool's labels.
    sources : mapping of str to tuple of str
        Column of ours to its column or columns in the participants' file.
    repeats : DataFrame or None
        Phenotypes of all visits of the analysed people, if some have several.
    register : Register
        Until when deaths are known: one end of follow-up for every model.
    """

    analysed: pd.DataFrame
    all_ages: pd.DataFrame
    eligible: pd.DataFrame
    flow: pd.DataFrame
    notes: tuple[Note, ...]
    cut_offs: CutOffs
    structures: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    repeats: pd.DataFrame | None = None
    register: Register = field(default_factory=lambda: Register(None, stated=False))

    @property
    def synthetic(self) -> bool:
        """Whether any participant is synthetic."""
        return bool(is_yes(self.analysed["synthetic"]).any())

    @property
    def summary(self) -> pd.DataFrame:
        """The flow of participants."""
        return self.flow


def build_cohort(
    participants: Checked,
    phenotypes: Checked,
    *,
    min_age: float = 50,
    covariates: Sequence[str] = COVARIATES,
    cut_offs: CutOffs = EWGSOP2,
    exposures: Sequence[str] = tuple(EXPOSURES),
    outcomes: Sequence[str] = tuple(OUTCOMES),
    also: Sequence[str] = (),
    register_until: pd.Timestamp | None = None,
    withdrawn: Set[str] = frozenset(),
    rejected: Set[str] = frozenset(),
    repeats: pd.DataFrame | None = None,
) -> Cohort:
    """Join by ``eid``, derive columns, and exclude in the paper's order (method, section 1).

    Parameters
    ----------
    participants, phenotypes : Checked
    min_age : float
        Youngest age at imaging, inclusive, years.
    covariates : sequence of str
        Key covariates. Participants without them are excluded, so that crude and
        adjusted models use the same people.
    cut_offs : CutOffs
    exposures, outcomes, also : sequence of str
        Columns that must exist; the outcomes as 0, 1 or missing.
    register_until : Timestamp, optional
        Last day on which deaths are known. Without it, the latest death in the
        participants' table, of people who are not analysed too.
    withdrawn : set of str
        Identifiers of people who withdrew their consent. They are left out
        before anything is computed, with everybody whose identifier is negative
        (as UK Biobank marks them).
    rejected : set of str
        The eid of each participant whose study was rejected.
    repeats : DataFrame, optional
        Phenotypes of all visits: ``eid, visit`` and measures.

    Raises
    ------
    DataError
        If a column is missing or an outcome is not of 0 and 1, the tables share
        no participant, or fewer than 20 remain.
    """
    entered = len(participants.table)
    people, images = (consenting(one.table, withdrawn) for one in (participants, phenotypes))
    people = without_copies(people, images, participants.fields)
    register = register_of(people["death_date"], register_until)
    structures = _structures(images)
    joined = _joined(people, images, structures, {*covariates, *exposures, *outcomes, *also})
    steps: list[tuple[str, int, int]] = [
        ("in the participants table", 0, entered),
        ("without MRI phenotypes", len(people) - len(joined), len(joined)),
    ]
    if len(people) < entered:
        steps.insert(1, ("consent withdrawn", entered - len(people), len(people)))
    notes = [*participants.notes, *phenotypes.notes]
    orphans = len(images) - len(joined)
    del images, phenotypes  # as large as the joined table, which is all that follows needs
    if rejected:
        kept = joined[~joined["eid"].isin(list(rejected))].reset_index(drop=True)
        steps.append(("study rejected (--exclude)", len(joined) - len(kept), len(kept)))
        joined = kept
    table = add_composition(derive(joined, cut_offs, register))
    check_columns(table, participants, {"adjust": covariates, "exposures": exposures, "outcomes": outcomes,
                                        "interactions, --sites and --events": also})  # fmt: skip
    check_kinds(table, exposures, outcomes, covariates)
    problems = Problems("participants and phenotypes")
    check_sexes(table, problems)
    problems.raise_if_any("men with more muscle than women")
    _order_levels(table, participants, [*covariates, *also])
    found = apply_criteria(table, covariates, min_age)
    keep = found.all_criteria
    steps += found.steps
    lacking = _lacking(table.loc[found.all_but_last, [*covariates]])
    if keep.sum() < _FEWEST:
        raise _too_few(participants, steps, lacking)
    notes += notes_on_deaths(table, register)
    if orphans:
        notes.append(Note("phenotypes", "eid not in the participants table: left out", orphans, ()))
    # Again, because the percentiles of these outcomes are those of the analysed people.
    analysed = add_composition(table if keep.all() else table[keep].reset_index(drop=True))
    if young := int((analysed["age"] < YOUNGEST_GROUPED).sum()):
        rule = f"younger than {YOUNGEST_GROUPED}: in no group of age, so not in trend and age_groups"
        notes.append(Note("age", rule, young, ()))
    questions = dict.fromkeys(
        [*EXPOSURES, *OUTCOMES, "probable_sarcopenia", "age", "sex", *exposures, *outcomes, *covariates, *also]
    )
    costly = bool(covariates) and found.all_but_last.sum() > 2 * keep.sum()
    return Cohort(
        analysed=analysed,
        all_ages=table.loc[found.any_age, ["age", "sex", *BY_AGE]].reset_index(drop=True),
        eligible=table.loc[found.study_population, [*questions]].reset_index(drop=True),
        flow=pd.DataFrame(
            [(number, *step) for number, step in enumerate(steps)], columns=["step", "reason", "excluded", "remaining"]
        ),
        notes=tuple(notes),
        cut_offs=cut_offs,
        structures=structures,
        warnings=(
            *_warnings(analysed),
            *pounds_of_some(analysed),
            *follow_up_warnings(analysed, register),
            *([lacking] if costly else []),
        ),
        sources={name: columns for name, columns in participants.sources.items() if name in people.columns},
        repeats=None if repeats is None else repeats[repeats["eid"].isin(analysed["eid"])],
        register=register,
    )


def _joined(people: pd.DataFrame, images: pd.DataFrame, structures: Sequence[str], named: Set[str]) -> pd.DataFrame:
    """Both tables by ``eid``, in the order of the people; of a structure's sides, only the named columns.

    Raises
    ------
    DataError
        If the tables share no participant.
    """
    sides = {f"{name}_{side}_cm3" for name in structures for side in ("left", "right")} - named
    measured = [name for name in images.columns if name not in sides and name not in people.columns and name != "eid"]
    # Rows and columns are taken in one step: a merge of these wide tables holds three copies at once.
    place = pd.Index(images["eid"]).get_indexer(pd.Index(people["eid"]))
    joined = pd.concat(
        [
            people[place >= 0].reset_index(drop=True),
            images.iloc[place[place >= 0], images.columns.get_indexer(measured)].reset_index(drop=True),
        ],
        axis=1,
    )
    if joined.empty:
        raise DataError(
            "participants and phenotypes",
            f"no eid in common ({len(people)} and {len(images)} rows)",
            "the same identifiers in both",
            "Check that both tables use identifiers of the same UK Biobank application.",
        )
    if "synthetic" in images.columns:
        said = images.set_index("eid")["synthetic"].astype("string").str.removesuffix(".0")
        joined["synthetic"] = joined["synthetic"].fillna(joined["eid"].map(said).astype("string"))
    return joined


def _too_few(participants: Checked, steps: Sequence[tuple[str, int, int]], lacking: str) -> DataError:
    """The error of a cohort that is too small, with the criterion that excluded most and what to do about it."""
    reason, excluded, _ = largest = max(steps[1:], key=lambda step: step[1])
    return DataError(
        "participants and phenotypes",
        f"{steps[-1][2]} participants left to analyse; main reason for exclusion: {reason} ({excluded})",
        f"at least {_FEWEST}",
        _absent(participants)
        or (f"{lacking} Check that column, or take it out of --adjust." if lacking and largest == steps[-1] else "")
        or "Check that column, or change --min-age or --adjust.",
    )


def _absent(participants: Checked) -> str:
    """Which columns of lean mass, height and grip the participants' table lacks, as a sentence; empty if none."""
    there, fields = set(participants.sources), participants.fields
    needed = ["height_cm", *(() if {"grip_left_kg", "grip_right_kg"} & there else ("grip_left_kg", "grip_right_kg"))]
    for limb in ("arm", "leg"):
        if f"{limb}s_lean_kg" not in there:
            needed += [f"{limb}_lean_left_kg", f"{limb}_lean_right_kg"]
    lacking = [f"{name} (field {fields[name].ukb})" for name in needed if name not in there and name in fields]
    if not lacking:
        return ""
    printed = {str(number) for number in _PRINTED_DXA_FIELDS} & {
        found for name in participants.header for found in re.findall(r"2326[3-6]", name)
    }
    more = f" Fields {', '.join(sorted(printed))} are other masses (method, section 8.13)." if printed else ""
    return f"The participants' table has no {', '.join(lacking)}.{more}"


def _lacking(reached: pd.DataFrame) -> str:
    """Which covariates are missing, and in how many of those who meet every other criterion; empty if none is."""
    counts = {str(name): int(reached[name].isna().sum()) for name in reached}
    parts = [
        f"{name} in {'all' if count == len(reached) else count}"
        for name, count in sorted(counts.items(), key=lambda item: -item[1])[:_MOST_NAMED]
        if count
    ]
    return f"Missing among the {len(reached)} who meet all other criteria: {', '.join(parts)}." if parts else ""


def _order_levels(table: pd.DataFrame, participants: Checked, names: Sequence[str]) -> None:
    """Give coded covariates the order of the field map, so that its first level is the reference."""
    for name in names:
        levels = participants.fields[name].levels if name in participants.fields else ()
        if levels and name not in ("sex", "activity"):
            table[name] = pd.Categorical(table[name], categories=list(levels))


def _warnings(analysed: pd.DataFrame) -> tuple[str, ...]:
    made_up = int(is_yes(analysed["synthetic"]).sum())
    warnings = []
    if made_up:
        who = "Every participant" if made_up == len(analysed) else f"{made_up} of {len(analysed)} participants"
        verb = "is" if made_up in (1, len(analysed)) else "are"
        warnings.append(f"{who} {verb} synthetic: made up by a computer. No number here is about a real person.")
    if "model_name" in analysed.columns and (analysed["model_name"] == "AMRA").any():
        warnings.append(AMRA_WARNING)
    if "model_trained_on_synthetic" in analysed.columns:
        trained_so = analysed[is_yes(analysed["model_trained_on_synthetic"])]
        for (name, data, use), part in trained_so.groupby(
            ["model_name", "model_training_data", "model_intended_use"], sort=True
        ):
            warnings.append(f"Volumes of {len(part)} of {len(analysed)} participants are those of {name}. {data} {use}")
    return tuple(warnings)


def _structures(images: pd.DataFrame) -> tuple[str, ...]:
    """Names of single structures: volume columns that also have a left and a right column."""
    return tuple(
        name.removesuffix("_cm3")
        for name in images.columns
        if name.endswith("_cm3")
        and not name.startswith(("tmv", "thigh"))
        and f"{name.removesuffix('_cm3')}_left_cm3" in images.columns
    )
