"""Who is analysed: two tables joined, and every exclusion counted in its order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.definitions import EWGSOP2, CutOffs, derive
from analysis.errors import DataError
from analysis.validation import Checked, Note

__all__ = ["COVARIATES", "Cohort", "build_cohort"]

# The paper's adjustment set; the name on the command line and the column behind it.
COVARIATES = ("age", "sex", "bmi", "activity")
_FEWEST = 20


@dataclass(frozen=True)
class Cohort:
    """The people that the results are about.

    Attributes
    ----------
    analysed : DataFrame
        One row per participant that met every criterion, with all derived
        columns (see `analysis.definitions.derive`).
    all_ages : DataFrame
        The same without the lowest age: descriptive figures may show it
        (PAPER section 8.10).
    flow : DataFrame
        ``step, reason, excluded, remaining``.
    notes : tuple of Note
        Values that were set to missing on the way.
    cut_offs : CutOffs
    structures : tuple of str
        Names of the muscles and bones that have a volume column.
    """

    analysed: pd.DataFrame
    all_ages: pd.DataFrame
    flow: pd.DataFrame
    notes: tuple[Note, ...]
    cut_offs: CutOffs
    structures: tuple[str, ...]

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
) -> Cohort:
    """Join by ``eid``, derive, exclude in the paper's order (PAPER section 1).

    Parameters
    ----------
    participants, phenotypes : Checked
    min_age : float
        Youngest age at imaging, inclusive, years.
    covariates : sequence of str
        Key covariates: without them a participant is excluded, so that crude
        and adjusted models are about the same people.
    cut_offs : CutOffs

    Raises
    ------
    DataError
        When the tables share no participant, or fewer than 20 remain.
    """
    people, images = participants.table, phenotypes.table
    clash = [name for name in images.columns if name in people.columns and name != "eid"]
    joined = people.merge(images.drop(columns=clash), on="eid", how="inner", validate="one_to_one")
    if joined.empty:
        raise DataError(
            "participants and phenotypes",
            f"no eid in common ({len(people)} and {len(images)} rows)",
            "the same identifiers in both",
            "Check that both tables use the same application's identifiers.",
        )
    steps: list[tuple[str, int, int]] = [
        ("in the participants table", 0, len(people)),
        ("without MRI phenotypes", len(people) - len(joined), len(joined)),
    ]
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
    for reason, unfit, is_age in criteria:
        before = int(keep.sum())
        keep &= ~unfit
        if not is_age:
            keep_any_age &= ~unfit
        steps.append((reason, before - int(keep.sum()), int(keep.sum())))
    if keep.sum() < _FEWEST:
        largest = max(steps[1:], key=lambda step: step[1])
        raise DataError(
            "participants and phenotypes",
            f"{int(keep.sum())} participants left to analyse; most were lost as: {largest[0]} ({largest[1]})",
            f"at least {_FEWEST}",
            "Check that column, or change --min-age or --adjust.",
        )
    flow = pd.DataFrame(
        [(number, *step) for number, step in enumerate(steps)], columns=["step", "reason", "excluded", "remaining"]
    )
    notes = [*participants.notes, *phenotypes.notes]
    orphans = len(images) - len(joined)
    if orphans:
        notes.append(Note("phenotypes", "eid not in the participants table: left out", orphans, ()))
    return Cohort(
        analysed=table[keep].reset_index(drop=True),
        all_ages=table[keep_any_age].reset_index(drop=True),
        flow=flow,
        notes=tuple(notes),
        cut_offs=cut_offs,
        structures=_structures(images),
    )


def _structures(images: pd.DataFrame) -> tuple[str, ...]:
    """Columns that have a left and a right beside them are single structures."""
    return tuple(
        name.removesuffix("_cm3")
        for name in images.columns
        if name.endswith("_cm3")
        and not name.startswith(("tmv", "thigh"))
        and f"{name.removesuffix('_cm3')}_left_cm3" in images.columns
    )
