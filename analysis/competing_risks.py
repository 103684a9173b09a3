"""Dated falls and fractures, which death can prevent: cause-specific and subdistribution hazard ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.cox import fit_cox
from analysis.deaths import Register, count_deaths, register_of
from analysis.design import Covariates, in_sds
from analysis.errors import DataError
from analysis.fine_gray import COMPETING, EVENT, cumulative_incidence, fit_fine_gray
from analysis.odds_ratios import EVENTS_PER_COEFFICIENT
from analysis.survival import PER_SD, THIRDS
from analysis.thirds import tertiles

__all__ = ["EVENTS", "DatedEvents", "competing_risks", "dated_events", "incidence_by_thirds"]

Vector = NDArray[np.float64]
Row = dict[str, object]

EVENTS = ("fall_date", "fracture_date")
"""Dates that are used without being named."""
_DAYS_PER_YEAR = 365.25
_FEWEST_EVENTS = 10


@dataclass(frozen=True)
class DatedEvents:
    """First events after imaging, deaths before them, and the end of follow-up.

    Attributes
    ----------
    years : ndarray, shape (n,)
        From imaging to the first of event, death and end; NaN for people who are not followed.
    status : ndarray of int, shape (n,)
        0 followed to the end, 1 event, 2 died first; 0 where not followed.
    note : str
        Who is left out, or has an event that does not count, and why.
    """

    years: Vector
    status: NDArray[np.intp]
    note: str

    @property
    def summary(self) -> pd.DataFrame:
        """People, events, competing deaths and person-years."""
        known = np.isfinite(self.years)
        return pd.DataFrame([{"n": int(known.sum()), "events": int((self.status == EVENT).sum()),
                              "died_first": int((self.status == COMPETING).sum()),
                              "person_years": float(np.nansum(self.years))}])  # fmt: skip


def dated_events(table: pd.DataFrame, event: str, register: Register | None = None) -> DatedEvents:
    """Follow people from imaging to their first event, their death, or the end of follow-up.

    Parameters
    ----------
    table : DataFrame
        With ``imaging_date``, ``death_date`` and ``censor_date``.
    event : str
        Column with the date of the first event; missing for people who had none.
    register : Register, optional
        The end of follow-up of people without a date of their own, the same as of
        deaths. Without it, the latest death in this table. If nobody died, it is
        the latest event.

    Raises
    ------
    DataError
        If the column does not hold dates.
    """
    happened = table[event]
    if not pd.api.types.is_datetime64_any_dtype(happened):
        raise DataError(
            f"column {event}", "no dates", "dates as YYYY-MM-DD", "Give the column `kind: date` in --fields."
        )
    start, death = table["imaging_date"], table["death_date"]
    register = register_of(death) if register is None else register
    if register.until is None:
        register = register_of(happened)
    deaths = count_deaths(table, register)
    end = deaths.end
    before = (happened <= start).fillna(False)
    late = (happened > death).fillna(False)
    event_counts = happened.notna() & ~before & (happened <= end)
    died = deaths.counted & ~event_counts
    stop = end.mask(died, death).mask(event_counts, happened)
    years = (stop - start).dt.days.to_numpy(dtype=float, na_value=np.nan) / _DAYS_PER_YEAR
    undated = deaths.undated & ~event_counts
    out = before | late | deaths.before | undated | ~(pd.Series(years, index=table.index) > 0)
    known = start.notna() & ~out
    found = (("had the event before imaging", before), ("have an event after their death", late & ~before),
             ("died on an unknown day", undated & ~before & start.notna()),
             ("have no time of follow-up", out & ~before & ~late & ~undated & start.notna()))  # fmt: skip
    notes = [f"{int(who.sum())} {why}: left out" for why, who in found if who.any()]
    if (later := known & (happened > end).fillna(False)).any():
        notes.append(f"{int(later.sum())} had the event after the end of follow-up: not counted")
    status = np.where(known & event_counts, EVENT, np.where(known & died, COMPETING, 0))
    return DatedEvents(np.where(known, years, np.nan), status.astype(np.intp), "; ".join(notes))


def competing_risks(
    table: pd.DataFrame,
    covariates: Sequence[str],
    exposures: Sequence[str],
    events: Sequence[str] = EVENTS,
    register: Register | None = None,
    cuts: Mapping[str, tuple[float, float]] | None = None,
) -> pd.DataFrame:
    """Fit both models of every event, by thirds (or ``cuts``) and per SD of each exposure, crude and adjusted.

    Returns
    -------
    DataFrame
        ``event, exposure, contrast, model, n, events, died_first,
        person_years``; ``cause_hazard_ratio`` and ``sub_hazard_ratio``, each with
        ``_low``, ``_high`` and ``_p``; ``note``. Empty if there are no dates.
    """
    rows: list[Row] = []
    for event in events:
        if event not in table or table[event].isna().all():
            continue
        followed = dated_events(table, event, register)
        for exposure in exposures:
            shared = [name for name in covariates if name != exposure]
            designs = [("crude", Covariates(table, ()))]
            designs += [("adjusted", Covariates(table, shared))] if shared else []
            values = table[exposure].to_numpy(dtype=float, na_value=np.nan)
            third = tertiles(values, (cuts or {}).get(exposure)).group
            high = np.where(third == 2, 1.0, np.where(third == 0, 0.0, np.nan))
            for contrast, column in ((THIRDS, high), (PER_SD, in_sds(values))):
                for model, columns in designs:
                    about: Row = {"event": event, "exposure": exposure, "contrast": contrast, "model": model}
                    rows.append(about | _one(followed, column, columns))
    return pd.DataFrame(rows)


def incidence_by_thirds(
    table: pd.DataFrame,
    exposure: str,
    event: str,
    register: Register | None = None,
    cuts: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """Cumulative incidence of an event by third (or ``cuts``) of an exposure, with the share who died first.

    Returns
    -------
    DataFrame
        ``event, third`` (0 to 2), ``time`` in years, ``share``, ``died_first``, at
        up to 200 times.
    """
    followed = dated_events(table, event, register)
    third = tertiles(table[exposure].to_numpy(dtype=float, na_value=np.nan), cuts).group
    parts = []
    for group in range(3):
        rows = (third == group) & np.isfinite(followed.years)
        if not rows.any():
            continue
        years, status = followed.years[rows], followed.status[rows]
        falls = cumulative_incidence(years, status)
        swapped = np.select([status == EVENT, status == COMPETING], [COMPETING, EVENT], 0)
        deaths = cumulative_incidence(years, swapped)
        shown = np.linspace(0, float(np.quantile(years, 0.95)), 200)
        parts.append(pd.DataFrame({"event": event, "third": group, "time": shown,
                                   "share": [falls.at(t) for t in shown],
                                   "died_first": [deaths.at(t) for t in shown]}))  # fmt: skip
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _one(followed: DatedEvents, column: Vector, covariates: Covariates) -> Row:
    rows = np.isfinite(column) & np.isfinite(followed.years) & covariates.known
    x, years, status = column[rows], followed.years[rows], followed.status[rows]
    events = int((status == EVENT).sum())
    row: Row = {"n": len(x), "events": events, "died_first": int((status == COMPETING).sum()),
                "person_years": float(years.sum()), "note": followed.note}  # fmt: skip
    row |= {f"{kind}_hazard_ratio{end}": np.nan for kind in ("cause", "sub") for end in ("", "_low", "_high", "_p")}
    if not len(x) or np.ptp(x) == 0:
        return row | {"note": _joined(followed.note, "no variation: not estimable")}
    design = covariates.of(rows)
    notes = [followed.note, *design.notes]
    regressors = np.column_stack([x, design.values])
    if events < max(_FEWEST_EVENTS, EVENTS_PER_COEFFICIENT * regressors.shape[1]):
        return row | {"note": _joined(*notes, "fewer than 5 events per coefficient: not estimable")}
    try:
        cause = fit_cox(years, (status == EVENT).astype(float), regressors)
        sub = fit_fine_gray(years, status, regressors)
    except np.linalg.LinAlgError:
        return row | {"note": _joined(*notes, "a coefficient without end: not estimable")}
    for kind, fit in (("cause", cause), ("sub", sub)):
        if not fit.converged:
            notes.append("a coefficient without end: not estimable")
            continue
        first = fit.summary.iloc[0]
        ends = {"": "hazard_ratio", "_low": "ci_low", "_high": "ci_high", "_p": "p_value"}
        row |= {f"{kind}_hazard_ratio{end}": float(first[name]) for end, name in ends.items()}
    return row | {"note": _joined(*notes)}


def _joined(*notes: str) -> str:
    return "; ".join(dict.fromkeys(note for note in notes if note))
