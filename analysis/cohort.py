"""Select the analysed participants: join two tables, apply the criteria in order and count every exclusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.definitions import BY_AGE, COVARIATES, EWGSOP2, EXPOSURES, OUTCOMES, CutOffs
from analysis.derived_columns import derive
from analysis.errors import DataError
from analysis.validation import Checked, Note

__all__ = ["Cohort", "build_cohort"]

_FEWEST = 20
# The first criteria below define the study population; the others concern missing data.
_OF_ELIGIBILITY = 3


@dataclass(frozen=True)
class Cohort:
    """The participants of an analysis.

    Attributes
    ----------
    analysed : DataFrame
        One row per participant that met every criterion, with all derived
        columns (see `analysis.derived_columns.derive`).
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
        the network that measured them was trained on synthetic data.
    """

    analysed: pd.DataFrame
    all_ages: pd.DataFrame
    eligible: pd.DataFrame
    flow: pd.DataFrame
    notes: tuple[Note, ...]
    cut_offs: CutOffs
    structures: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def synthetic(self) -> bool:
        """Whether any participant is synthetic."""
        return bool(self.analysed["synthetic"].isin(["1", "True"]).any())

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
    rejected: frozenset[str] = frozenset(),
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
    rejected : frozenset of str
        The eid of each participant whose study was rejected.

    Raises
    ------
    DataError
        If the tables share no participant, or fewer than 20 remain.
    """
    people, images = participants.table, phenotypes.table
    clash = [name for name in images.columns if name in people.columns and name != "eid"]
    joined = people.merge(images.drop(columns=clash), on="eid", how="inner", validate="one_to_one")
    if "synthetic" in images.columns:
        said = images.set_index("eid")["synthetic"].astype("string").str.removesuffix(".0")
        joined["synthetic"] = joined["synthetic"].fillna(joined["eid"].map(said).astype("string"))
    if joined.empty:
        raise DataError(
            "participants and phenotypes",
            f"no eid in common ({len(people)} and {len(images)} rows)",
            "the same identifiers in both",
            "Check that both tables use identifiers of the same UK Biobank application.",
        )
    steps: list[tuple[str, int, int]] = [
        ("in the participants table", 0, len(people)),
        ("without MRI phenotypes", len(people) - len(joined), len(joined)),
    ]
    orphans = len(images) - len(joined)
    if rejected:
        kept = joined[~joined["eid"].isin(rejected)].reset_index(drop=True)
        steps.append(("study rejected (--exclude)", len(joined) - len(kept), len(kept)))
        joined = kept
    table = derive(joined, cut_offs)
    for covariate in covariates:
        if covariate not in table.columns:
            raise DataError("participants", f"no column {covariate}", "every covariate", "Check --adjust.")
    missing = table[[*covariates]].isna().any(axis=1)
    criteria: list[tuple[str, pd.Series, bool]] = [
        ("age or sex not known", table["age"].isna() | table["sex"].isna(), False),
        (f"younger than {min_age:g} years", table["age"] < min_age, True),
        ("incomplete MRI coverage (no total muscle volume or P/A ratio)",
         table[["tmv_cm3", "pa_ratio"]].isna().any(axis=1), False),
        ("no DXA appendicular lean mass or height", table["almi"].isna(), False),
        ("no grip strength", table["grip_kg"].isna(), False),
        (f"missing covariate ({', '.join(covariates)})", missing, False),
    ]  # fmt: skip
    if not covariates:
        criteria.pop()
    keep = pd.Series(True, index=table.index)
    keep_any_age = keep.copy()
    eligible = keep.copy()
    for number, (reason, unfit, is_age) in enumerate(criteria):
        before = int(keep.sum())
        keep &= ~unfit
        if not is_age:
            keep_any_age &= ~unfit
        if number < _OF_ELIGIBILITY:
            eligible &= ~unfit
        steps.append((reason, before - int(keep.sum()), int(keep.sum())))
    if keep.sum() < _FEWEST:
        largest = max(steps[1:], key=lambda step: step[1])
        raise DataError(
            "participants and phenotypes",
            f"{int(keep.sum())} participants left to analyse; main reason for exclusion: {largest[0]} ({largest[1]})",
            f"at least {_FEWEST}",
            "Check that column, or change --min-age or --adjust.",
        )
    flow = pd.DataFrame(
        [(number, *step) for number, step in enumerate(steps)], columns=["step", "reason", "excluded", "remaining"]
    )
    notes = [*participants.notes, *phenotypes.notes]
    if orphans:
        notes.append(Note("phenotypes", "eid not in the participants table: left out", orphans, ()))
    analysed = table[keep].reset_index(drop=True)
    questions = dict.fromkeys([*EXPOSURES, *OUTCOMES, "probable_sarcopenia", "age", "sex", *covariates])
    return Cohort(
        analysed=analysed,
        all_ages=table.loc[keep_any_age, ["age", "sex", *BY_AGE]].reset_index(drop=True),
        eligible=table.loc[eligible, [*questions]].reset_index(drop=True),
        flow=flow,
        notes=tuple(notes),
        cut_offs=cut_offs,
        structures=_structures(images),
        warnings=_warnings(analysed),
    )


def _warnings(analysed: pd.DataFrame) -> tuple[str, ...]:
    made_up = int(analysed["synthetic"].isin(["1", "True"]).sum())
    warnings = []
    if made_up:
        who = "Every participant" if made_up == len(analysed) else f"{made_up} of {len(analysed)} participants"
        verb = "is" if made_up in (1, len(analysed)) else "are"
        warnings.append(f"{who} {verb} synthetic: made up by a computer. No number here is about a real person.")
    if "model_trained_on_synthetic" in analysed.columns:
        trained_so = analysed[pd.to_numeric(analysed["model_trained_on_synthetic"], errors="coerce") == 1]
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
