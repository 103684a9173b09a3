"""Competing risks against R's survival and cmprsk, and against a simulated truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.competing_risks import competing_risks, dated_events, incidence_by_thirds
from analysis.competing_tables import competing_table
from analysis.cox import fit_cox
from analysis.deaths import Register
from analysis.errors import DataError
from analysis.figures.incidence import incidence_figure
from analysis.fine_gray import cumulative_incidence, fit_fine_gray
from tests.analysis.r import needs, needs_survival, run_r
from tests.analysis.synthetic import cohort_of


def _drawn(n: int = 500, seed: int = 3, ties: bool = False) -> pd.DataFrame:
    """Falls and deaths of competing exponential hazards, and loss to follow-up."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=n), (rng.random(n) < 0.4).astype(float)
    fall = rng.exponential(1 / (0.08 * np.exp(0.5 * x + 0.3 * z)))
    death = rng.exponential(1 / (0.06 * np.exp(-0.4 * x + 0.6 * z)))
    end = rng.uniform(1, 12, n)
    time = np.minimum(np.minimum(fall, death), end)
    status = np.where(time == end, 0, np.where(time == fall, 1, 2))
    return pd.DataFrame({"time": np.ceil(time) if ties else time, "status": status, "x": x, "z": z})


@needs("cmprsk")
def test_fine_and_grays_model_agrees_with_crr(tmp_path: Path) -> None:
    d = _drawn()
    r = run_r(
        """
        library(cmprsk); f <- crr(d$time, d$status, cbind(d$x, d$z), gtol = 1e-12)
        out("coefficients", f$coef); out("errors", sqrt(diag(f$var))); out("value", f$loglik)
        ci <- cuminc(d$time, d$status); out("incidence", timepoints(ci, c(2, 5, 9))$est[1, ])
        """,
        tmp_path,
        d=d,
    )
    time, status = d["time"].to_numpy(), d["status"].to_numpy()
    found = fit_fine_gray(time, status, d[["x", "z"]].to_numpy())
    assert found.converged and found.events == (status == 1).sum() and found.competing == (status == 2).sum()
    np.testing.assert_allclose(found.coefficients, r["coefficients"], atol=1e-7)
    np.testing.assert_allclose(found.summary["standard_error"], r["errors"], rtol=1e-6)
    assert found.log_likelihood == pytest.approx(r["value"][0], abs=1e-6)
    incidence = cumulative_incidence(time, status)
    np.testing.assert_allclose([incidence.at(t) for t in (2, 5, 9)], r["incidence"], rtol=1e-9)
    assert incidence.at(0) == 0


@needs_survival
@pytest.mark.parametrize("ties", [False, True])
def test_fine_and_grays_model_agrees_with_finegray_and_coxph(tmp_path: Path, ties: bool) -> None:
    d = _drawn(ties=ties)
    r = run_r(
        """
        library(survival); d$id <- seq_len(nrow(d)); d$s <- factor(d$status, 0:2, c("end", "fall", "death"))
        w <- finegray(Surv(time, s) ~ ., d, etype = "fall", id = id)
        f <- coxph(Surv(fgstart, fgstop, fgstatus) ~ x + z, w, weights = fgwt, ties = "breslow", cluster = id,
                   control = coxph.control(eps = 1e-12))
        out("coefficients", coef(f)); out("errors", sqrt(diag(f$var)))
        g <- coxph(Surv(time, status == 1) ~ x + z, d); out("cause", c(coef(g), sqrt(diag(g$var))))
        s <- summary(survfit(Surv(time, s) ~ 1, d), times = c(2, 5, 9)); out("incidence", s$pstate[, 2])
        """,
        tmp_path,
        d=d,
    )
    time, status, design = d["time"].to_numpy(), d["status"].to_numpy(), d[["x", "z"]].to_numpy()
    found = fit_fine_gray(time, status, design)
    np.testing.assert_allclose(found.coefficients, r["coefficients"], atol=1e-7)
    # coxph counts the weights as known.
    np.testing.assert_allclose(found.summary["standard_error"], r["errors"], rtol=0.02)
    cause = fit_cox(time, (status == 1).astype(float), design)
    np.testing.assert_allclose([*cause.coefficients, *cause.standard_errors], r["cause"], rtol=1e-6)
    np.testing.assert_allclose([cumulative_incidence(time, status).at(t) for t in (2, 5, 9)], r["incidence"], rtol=1e-9)


def test_without_competing_deaths_both_models_are_coxs() -> None:
    d = _drawn()
    status = np.where(d["status"] == 2, 0, d["status"])
    found = fit_fine_gray(d["time"].to_numpy(), status, d[["x", "z"]].to_numpy())
    cox = fit_cox(d["time"].to_numpy(), (status == 1).astype(float), d[["x", "z"]].to_numpy())
    np.testing.assert_allclose(found.coefficients, cox.coefficients, atol=1e-8)
    np.testing.assert_allclose(found.summary["standard_error"], cox.standard_errors, rtol=0.15)
    with pytest.raises(ValueError, match="no events"):
        fit_fine_gray(d["time"].to_numpy(), np.zeros(len(d), dtype=int), d[["x"]].to_numpy())


def test_the_subdistribution_hazard_that_was_drawn_is_found() -> None:
    """Fine and Gray's own simulation: share of events 1 - (1 - p (1 - exp(-t)))^exp(b x), here with b = 0.5."""
    rng = np.random.default_rng(5)
    n, p, b = 8000, 0.4, 0.5
    x = rng.normal(size=n)
    most = 1 - (1 - p) ** np.exp(b * x)
    happens = rng.random(n) < most
    u = rng.random(n) * most
    fall = -np.log(1 - (1 - (1 - u) ** np.exp(-b * x)) / p)
    death = rng.exponential(1 / np.exp(-0.5 * x))
    end = rng.uniform(0.5, 4, n)
    first = np.where(happens, fall, death)
    time, status = np.minimum(first, end), np.where(first <= end, np.where(happens, 1, 2), 0)
    row = fit_fine_gray(time, status, x[:, None]).summary.iloc[0]
    assert row["standard_error"] < 0.03 and abs(row["coefficient"] - b) < 2 * row["standard_error"]


def _dated(**columns: list[str | None]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.to_datetime(pd.Series(values)) for name, values in columns.items()})


def test_a_first_event_counts_after_imaging_before_death_and_before_the_end() -> None:
    table = _dated(
        imaging_date=["2015-01-01"] * 8,
        death_date=[None, "2017-01-01", "2017-01-01", None, None, "2016-01-01", "2021-06-01", None],
        censor_date=[None, None, None, None, "2016-01-01", None, None, None],
        fall_date=["2016-01-01", "2016-01-01", None, "2014-06-01", None, "2017-01-01", None, "2020-12-31"],
    )
    found = dated_events(table, "fall_date", Register(pd.Timestamp("2020-01-01"), stated=True))
    np.testing.assert_array_equal(found.status, [1, 1, 2, 0, 0, 0, 0, 0])
    days = np.array([365, 365, 731, np.nan, 365, np.nan, 1826, 1826]) / 365.25
    np.testing.assert_allclose(found.years, days)
    assert found.note == (
        "1 had the event before imaging: left out; 1 have an event after their death: left out; "
        "1 had the event after the end of follow-up: not counted"
    )
    assert found.summary.iloc[0][["n", "events", "died_first"]].tolist() == [6, 2, 1]
    with pytest.raises(DataError, match="no dates"):
        dated_events(table.assign(fall_date="yes"), "fall_date")


def test_the_table_shows_both_hazards_and_what_cannot_be_estimated() -> None:
    table = cohort_of(12000, 4).analysed.head(3000).copy()
    rng = np.random.default_rng(2)
    x = (table["pa_ratio"] - table["pa_ratio"].mean()) / table["pa_ratio"].std()
    days = np.ceil(rng.exponential(365 / (0.06 * np.exp(0.4 * x)))).clip(1, 30_000)
    fall = table["imaging_date"] + pd.to_timedelta(days, unit="D")
    table["fall_date"] = fall.where((fall <= table["censor_date"]) & ~(fall > table["death_date"]))
    table["fracture_date"] = fall.where(np.arange(3000) < 5)
    made = competing_risks(table, ("age", "sex"), ("pa_ratio",))
    assert list(made["event"].unique()) == ["fall_date", "fracture_date"]
    row = made[(made["contrast"] == "per SD") & (made["model"] == "adjusted")].iloc[0]
    assert row["cause_hazard_ratio_low"] < np.exp(0.4) < row["cause_hazard_ratio_high"] and row["died_first"] > 20
    rare = made[made["event"] == "fracture_date"]
    assert rare["sub_hazard_ratio"].isna().all() and rare["note"].str.contains("not estimable").all()
    text = competing_table(made)
    assert text.rows[0][0] == "First fall" and "not estimable" in text.rows[-1]
    curves = incidence_by_thirds(table, "pa_ratio", "fall_date").groupby("third")["share"].last()
    assert curves[0] < curves[1] < curves[2]
    assert len(incidence_figure(incidence_by_thirds(table, "pa_ratio", "fall_date")).axes) == 1
    assert competing_risks(table.assign(fall_date=pd.NaT, fracture_date=pd.NaT), (), ("pa_ratio",)).empty
