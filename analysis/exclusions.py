"""Which studies to analyse: one visit of each participant, without those that were rejected."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.errors import DataError
from analysis.tables import read_table
from analysis.text_files import text_of

__all__ = ["Excluded", "choose_visit", "consenting", "instance_of", "of_instance", "read_exclusions", "repeats_of"]

_REJECT = "reject"
_DECISIONS = {_REJECT, "accept", ""}


@dataclass(frozen=True)
class Excluded:
    """Studies that are not to be analysed.

    Attributes
    ----------
    participants : frozenset of str
        Their eid, for every visit.
    studies : frozenset of (str, str)
        The eid and visit of single studies.
    """

    participants: frozenset[str]
    studies: frozenset[tuple[str, str]]

    def rows(self, table: pd.DataFrame) -> pd.Series:
        """Which rows of a table with ``eid`` and perhaps ``visit`` are excluded."""
        excluded = table["eid"].isin(self.participants)
        if "visit" not in table.columns:
            # Without visits in the table, nobody knows that the rejected study is not this one.
            return excluded | table["eid"].isin({eid for eid, _ in self.studies})
        # A visit 2 in the list means 2_0 in the table too; 2_0 means only itself.
        named = visits(table)
        numbers = named.str.extract(r"^\D*(\d+)", expand=False).fillna("")
        for written in (named, numbers):
            pairs = zip(table["eid"], written, strict=True)
            excluded |= pd.Series([pair in self.studies for pair in pairs], index=table.index)
        return excluded


def read_exclusions(path: Path) -> Excluded:
    """Read a list of exclusions.

    Parameters
    ----------
    path : Path
        A table with the column ``eid`` and, if known, ``visit`` and ``decision``
        (only rows with ``reject`` are excluded), as the page of `sarcomap cohort
        qc` saves it; or a plain list with one eid a line, as UK Biobank sends
        its lists of withdrawn participants.

    Raises
    ------
    DataError
        If there is no eid, or a decision is neither ``accept`` nor ``reject``.
    """
    try:
        lines = text_of(path).split()
    except (OSError, UnicodeDecodeError):
        lines = []
    if lines and all(line.isdigit() for line in lines):
        return Excluded(frozenset(lines), frozenset())
    # An empty file, or a header alone, is allowed: nobody has withdrawn, or nothing was rejected.
    if path.is_file() and path.suffix.lower() != ".parquet":
        rows = text_of(path, errors="replace").splitlines()
        if not rows or (len(rows) == 1 and "eid" in re.split(r'[,;\t "]+', rows[0])):
            return Excluded(frozenset(), frozenset())
    table = read_table(path, ("eid", "visit", "decision"))
    if "eid" not in table.columns:
        raise DataError(path.name, "no column eid", "a column eid, or one eid a line", "Add a header.")
    if "decision" in table.columns:
        decisions = table["decision"].fillna("").str.lower()
        unknown = sorted(set(decisions) - _DECISIONS)
        if unknown:
            raise DataError(path.name, f"decision {unknown[0]!r}", "accept or reject", "Correct it.")
        table = table[decisions == _REJECT]
    visit = visits(table) if "visit" in table.columns else pd.Series("", index=table.index)
    with_visit = visit != ""
    return Excluded(
        frozenset(table.loc[~with_visit, "eid"]),
        frozenset(zip(table.loc[with_visit, "eid"], visit[with_visit], strict=True)),
    )


def consenting(table: pd.DataFrame, withdrawn: Set[str] = frozenset()) -> pd.DataFrame:
    """Leave out people who withdrew, and everybody whose identifier is negative, as UK Biobank marks them."""
    out = table["eid"].isin(list(withdrawn)) | table["eid"].str.startswith("-").fillna(False)
    return table[~out.to_numpy(dtype=bool)].reset_index(drop=True) if out.any() else table


def choose_visit(table: pd.DataFrame, visit: str | None, where: str) -> pd.DataFrame:
    """The rows of one visit; all rows if no visit is given.

    Raises
    ------
    DataError
        If no visit is given and a participant has several, no row is of the visit, or there is no eid.
    """
    if "eid" not in table.columns:
        raise DataError(where, "no column eid", "one", "Make the table with `sarcomap analysis collect`.")
    if "visit" not in table.columns:
        if visit is not None:
            raise DataError(where, "no column visit", "one", "Leave out --visit, or collect the reports again.")
        return table
    counts = visits(table).value_counts().sort_index()
    seen = ", ".join(f"{name or 'unknown'} ({count} rows)" for name, count in counts.items())
    if visit is None:
        if table["eid"].duplicated().any() and len(counts) > 1:
            several = int(table["eid"].duplicated(keep=False).sum())
            raise DataError(
                where,
                f"{several} rows of participants with several visits: {seen}",
                "one visit of each participant",
                "Choose it with --visit.",
            )
        return table
    chosen = table[visits(table) == visit]
    if chosen.empty:
        raise DataError(where, f"no row of visit {visit}; there are {seen}", "one of these", "Correct --visit.")
    return chosen.reset_index(drop=True)


def instance_of(table: pd.DataFrame) -> int | None:
    """The only visit of a table of phenotypes as a number; None if there is none, or several."""
    if "visit" not in table.columns:
        return None
    known = _numbers(table).dropna().unique()
    return int(known[0]) if len(known) == 1 else None


def of_instance(table: pd.DataFrame, instance: int | None, where: str) -> tuple[pd.DataFrame, int]:
    """Leave out studies that are known to be of another visit than the participants' data.

    Parameters
    ----------
    table : DataFrame
        Phenotypes with one visit of each participant.
    instance : int or None
        Visit of the participants' data; None: the first imaging visit, 2.
    where : str

    Returns
    -------
    (DataFrame, int)
        The table, and how many rows were left out.

    Raises
    ------
    DataError
        If no row is left.
    """
    if "visit" not in table.columns:
        return table, 0
    wanted = 2 if instance is None else instance
    number = _numbers(table)
    other = (number.notna() & (number != wanted)).to_numpy(dtype=bool)
    if other.all():
        there = ", ".join(sorted(str(int(visit)) for visit in number.dropna().unique()))
        raise DataError(
            where, f"no study of visit {wanted}; visits in the table: {there}", "studies of that visit",
            "Correct --instance.",
        )  # fmt: skip
    return (table[~other].reset_index(drop=True), int(other.sum())) if other.any() else (table, 0)


def repeats_of(table: pd.DataFrame) -> pd.DataFrame | None:
    """Studies of people with several visits, with ``visit`` as a number; None if nobody has several."""
    if "visit" not in table.columns:
        return None
    known = table.assign(visit=_numbers(table)).dropna(subset=["visit"])
    known = known[~known.duplicated(["eid", "visit"], keep=False)]
    if not known["eid"].duplicated().any():
        return None
    return known.reset_index(drop=True)


def _numbers(table: pd.DataFrame) -> pd.Series:
    """Visits as numbers: 2 for "2", "2_0" and "ses-2"."""
    return pd.to_numeric(visits(table).str.extract(r"^\D*(\d+)", expand=False), errors="coerce")


def visits(table: pd.DataFrame) -> pd.Series:
    """The column ``visit`` as text; empty where it is not known."""
    # pandas stores the visit 2 as 2.0 in a column with missing values.
    return table["visit"].astype("string").str.strip().str.removesuffix(".0").fillna("")
