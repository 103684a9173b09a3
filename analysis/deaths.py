"""Which deaths count: after imaging, and until the day on which deaths are known."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

__all__ = ["Deaths", "count_deaths"]


@dataclass(frozen=True)
class Deaths:
    """Dated deaths of a table's people. Every Series has the table's index.

    Attributes
    ----------
    end : Series of datetime
        Last day on which the person is known to be alive or dead; missing if unknown.
    counted : Series of bool
        Died after imaging (or at an unknown time from it), on or before ``end``.
    before : Series of bool
        Died on or before the day of imaging, so one of the dates is wrong.
    after : Series of bool
        Died after ``end``.
    undated : Series of bool
        Died by the column ``died``, on an unknown day.
    unfollowed : Series of bool
        Imaged on or after ``end``, so that nothing is known of them.
    """

    end: pd.Series
    counted: pd.Series
    before: pd.Series
    after: pd.Series
    undated: pd.Series
    unfollowed: pd.Series


def count_deaths(table: pd.DataFrame, register_until: pd.Timestamp | None = None) -> Deaths:
    """Decide which deaths count, for logistic and for Cox's models alike.

    Parameters
    ----------
    table : DataFrame
        With ``imaging_date``, ``death_date`` and ``censor_date`` (end of a
        person's own follow-up), as dates or missing, and perhaps ``died`` as ``1`` or ``0``.
    register_until : Timestamp, optional
        Last day on which the register of deaths is complete. Without it, and
        without a date of their own, people are followed until the latest death
        in the table.
    """
    start, death, own = (table[name] for name in ("imaging_date", "death_date", "censor_date"))
    latest = register_until if register_until is not None else death.max()
    end = own.fillna(latest)
    if register_until is not None:
        end = end.where(end <= latest, latest)
    before = (death <= start).fillna(False).astype(bool)
    after = (death.notna() & (death > end)).astype(bool)
    undated = pd.Series(False, index=table.index)
    if "died" in table:
        undated = death.isna() & (table["died"].astype("string").str.removesuffix(".0") == "1").fillna(False).astype(
            bool
        )
    unfollowed = (end <= start).fillna(False).astype(bool) & ~before
    return Deaths(end, death.notna() & ~before & ~after, before, after, undated, unfollowed)
