"""Which deaths count: after imaging, and until the day on which deaths are known.

That day is one fact of a run, a `Register`: every model of deaths and of dated events takes it from there.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.problems import Note
from analysis.values import is_yes

__all__ = [
    "Deaths",
    "Register",
    "count_deaths",
    "end_in_words",
    "follow_up_warnings",
    "notes_on_deaths",
    "register_of",
]

# Share of people whose death is unknown, only because nobody said until when deaths are known, that is worth a warning.
_MOST_LOST = 0.05


@dataclass(frozen=True)
class Register:
    """Until when deaths are known: the end of follow-up of everybody without a date of their own.

    Attributes
    ----------
    until : Timestamp or None
        Last day on which deaths are known; None if nobody died and nobody said it.
    stated : bool
        Whether the user said it. If not, it is the latest death in the participants' table, because a table cannot
        show later ones.
    dated : bool
        Whether the participants' table has a date of death, of people who are not analysed too.
    """

    until: pd.Timestamp | None
    stated: bool
    dated: bool = False

    @property
    def shows_who_lived(self) -> bool:
        """Whether people without a date of death are known to have lived until the end, also where nobody has one."""
        return self.dated or (self.until is not None and not self.stated)

    @property
    def words(self) -> str:
        """The day, and where it is from; empty if unknown."""
        if self.until is None:
            return ""
        return f"{self.until:%Y-%m-%d}" + ("" if self.stated else " (the latest death known)")


def register_of(death: pd.Series, stated: pd.Timestamp | None = None) -> Register:
    """The end of follow-up: as stated, or the latest of the dates of death.

    Parameters
    ----------
    death : Series of datetime
        Of everybody in the participants' table, and not only of those who are analysed: whom a model leaves out
        must not change how long the others were followed.
    stated : Timestamp, optional
    """
    latest = death.max() if stated is None else stated
    until = None if pd.isna(latest) else pd.Timestamp(latest)
    return Register(until, stated is not None, dated=bool(death.notna().any()))


def end_in_words(own: pd.Series, register: Register) -> str:
    """Until when people are followed; empty if unknown.

    Parameters
    ----------
    own : Series of datetime
        Each person's own ``censor_date``, or missing. Only a stated end shortens it.
    register : Register
    """
    if not own.notna().any():
        return register.words
    if register.stated:
        return f"{register.words}, or a person's own date if that is earlier"
    if own.notna().all():
        return "each person's own date"
    return f"{register.words}, or a person's own date" if register.words else "a person's own date"


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


def count_deaths(table: pd.DataFrame, register: Register | None = None) -> Deaths:
    """Decide which deaths count, for logistic and for Cox's models alike.

    Parameters
    ----------
    table : DataFrame
        With ``imaging_date``, ``death_date`` and ``censor_date`` (end of a
        person's own follow-up), as dates or missing, and perhaps ``died`` as ``1`` or ``0``.
    register : Register, optional
        The end of follow-up of people without a date of their own. Without it,
        the latest death in this table.
    """
    start, death, own = (table[name] for name in ("imaging_date", "death_date", "censor_date"))
    register = register_of(death) if register is None else register
    latest = pd.NaT if register.until is None else register.until
    end = own.fillna(latest)
    if register.stated:
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


def notes_on_deaths(table: pd.DataFrame, register: Register) -> list[Note]:
    """Which dates of death do not count as they stand, and whose follow-up ends by assumption."""
    if register.until is None or (table["death_date"].isna().all() and not register.shows_who_lived):
        return []
    deaths, day = count_deaths(table, register), f"{register.until:%Y-%m-%d}"
    assumed = table["censor_date"].isna() & table["death_date"].isna() & (not register.stated)
    found = (
        ("death_date", assumed,
         f"no --censor-date: deaths count as known until the latest one in the table, {day}, in every model"),
        ("death_date", deaths.before, "on or before the day of imaging: outcome not known, in the logistic models too"),
        ("death_date", deaths.after & ~deaths.unfollowed,
         "after the end of follow-up: counted as alive, in the logistic models too"),
        ("imaging_date", deaths.unfollowed,
         "on or after the end of follow-up: outcome not known, in the logistic models too"),
    )  # fmt: skip
    return [Note(where, rule, int(who.sum()), ()) for where, who, rule in found if who.any()]


def follow_up_warnings(table: pd.DataFrame, register: Register) -> tuple[str, ...]:
    """Warnings if follow-up ends after today, or if its assumed end is before many people were imaged.

    A mistaken date of death lengthens the follow-up of others too. Synthetic people may live in the future.
    """
    if register.until is None:
        return ()
    deaths = count_deaths(table, register)
    lost = int((deaths.unfollowed & table["censor_date"].isna()).sum())
    if not register.stated and lost > _MOST_LOST * len(table):
        return (
            f"{lost} of {len(table)} participants were imaged on or after {register.until:%Y-%m-%d}, the latest death "
            "known. Whether they died is therefore not known. Give the last day on which deaths are known: "
            "--censor-date.",
        )
    end = table["death_date"].where(deaths.counted, deaths.end)
    late = (end > pd.Timestamp.today()).fillna(False) & table["imaging_date"].notna() & ~is_yes(table["synthetic"])
    if not late.any():
        return ()
    return (
        f"The follow-up of {int(late.sum())} of {len(table)} participants ends after today (latest day: "
        f"{end[late].max():%Y-%m-%d}), when no death can be known yet. Correct the dates of death or of censoring, or "
        "give --censor-date.",
    )
