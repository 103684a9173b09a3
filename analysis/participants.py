"""Read single columns of a participants table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.errors import DataError
from analysis.fields import find_columns, read_fields
from analysis.problems import Problems
from analysis.tables import read_table
from analysis.values import decoded

__all__ = ["sex_of"]


def sex_of(eid: pd.Series, participants: Path, fields: Path | None = None) -> pd.Series:
    """The sex of each participant: ``M``, ``F`` or missing, with the index of ``eid``.

    Raises
    ------
    DataError
        If the table has no eid or sex, or no participant in common.
    """
    known = read_fields(fields)
    raw = read_table(participants, ("eid", *known["eid"].names, *known["eid"].titles))
    found = find_columns(raw.columns, known, participants.name)
    for name in ("eid", "sex"):
        if name not in found:
            raise DataError(
                participants.name, f"no column for {name}", "one", "Give its name in a field map (--fields)."
            )
    problems = Problems(participants.name)
    codes = decoded(raw, known["sex"], found["sex"], problems)
    problems.raise_if_any("the codes of analysis/fields.yaml")
    by_eid = pd.Series(codes.to_numpy(), index=raw[found["eid"].columns[0]].astype("string"))
    sex = eid.map(by_eid[~by_eid.index.duplicated()]).astype("string")
    if sex.isna().all():
        raise DataError(
            participants.name,
            "no participant in common with the reports",
            "the same identifiers",
            "Check that both use identifiers of the same UK Biobank application.",
        )
    return sex.where(sex.isin(["M", "F"]))
