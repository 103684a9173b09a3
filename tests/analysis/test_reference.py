"""Reference percentiles: known curves are found, R maximises the same likelihood, and a published z score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.command_line import run_command
from analysis.errors import DataError
from analysis.lms import centile, fit_lms, z_score
from analysis.people_with_images import people_with_images
from analysis.reference import COLUMNS, percentile_curves, reference_table
from analysis.reference_command import command
from tests.analysis.r import needs_r, run_r


def _drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A measure whose L, M and S are known: 0.4, 9000 exp(-0.006 (age - 65)), 0.16 exp(0.005 (age - 65))."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(50, 82, n)
    median, spread = 9000 * np.exp(-0.006 * (age - 65)), 0.16 * np.exp(0.005 * (age - 65))
    return age, centile(np.full(n, 0.4), median, spread, 1.0) * 0 + median * np.power(
        np.maximum(1 + 0.4 * spread * rng.standard_normal(n), 0.05), 1 / 0.4
    )


def test_a_published_z_score_and_percentile_come_out() -> None:
    # CDC's worked example: a boy of 9.5 months who weighs 9.7 kg has a z score of 0.207.
    lms = np.array([-0.1600954]), np.array([9.476500305]), np.array([0.11218624])
    assert z_score(np.array([9.7]), *lms)[0] == pytest.approx(0.207, abs=5e-4)
    assert centile(*lms, float(z_score(np.array([9.7]), *lms)[0]))[0] == pytest.approx(9.7)
    none = np.array([0.0])
    assert z_score(centile(none, *lms[1:], 1.3), none, *lms[1:])[0] == pytest.approx(1.3)


def test_known_centiles_are_found_and_bands_contain_them() -> None:
    age, values = _drawn(6000, 1)
    table = pd.DataFrame({"sex": "F", "age": age, "tmv_cm3": values})
    curves = percentile_curves(table, ("tmv_cm3",), bootstraps=20)
    ages = curves["age"].unique().astype(float)
    median, spread = 9000 * np.exp(-0.006 * (ages - 65)), 0.16 * np.exp(0.005 * (ages - 65))
    for percentile, z in {3: -1.8808, 50: 0.0, 97: 1.8808}.items():
        part = curves[curves["percentile"] == percentile]
        truth = centile(np.full(len(ages), 0.4), median, spread, z)
        np.testing.assert_allclose(part["value"], truth, rtol=0.02)
        inside = (part["ci_low"] * 0.99 <= truth) & (truth <= part["ci_high"] * 1.01)
        assert inside.mean() > 0.9
    # 3% of people lie below the 3rd percentile.
    fit = fit_lms(age, values)
    assert (z_score(values, *fit.at(age)) < -1.8808).mean() == pytest.approx(0.03, abs=0.006)


@needs_r
def test_a_resampled_cohort_gives_the_curves_of_its_people() -> None:
    rng = np.random.default_rng(6)
    age, height = rng.uniform(50, 80, 400), rng.normal(170, 8, 400)
    values = 50 * (height / 170) ** 2 * np.exp(rng.normal(0, 0.15, 400)) - 0.1 * (age - 60)
    counts = np.bincount(rng.integers(0, 400, 400), minlength=400)
    assert (counts == 0).sum() > 100
    first = fit_lms(age, values, height_cm=height)
    drawn = np.repeat(np.arange(400), counts)
    by_count = fit_lms(age, values, counts.astype(float), first, height)
    by_person = fit_lms(age[drawn], values[drawn], None, first, height[drawn])
    ages = np.array([55.0, 65.0, 75.0])
    np.testing.assert_allclose(by_count.at(ages)[1:], by_person.at(ages)[1:], rtol=1e-4)
    assert by_count.n == by_person.n == 400
    assert by_count.log_likelihood == pytest.approx(by_person.log_likelihood, abs=1e-4)


def test_r_finds_the_same_maximum(tmp_path: Path) -> None:
    age, values = _drawn(600, 2)
    fit = fit_lms(age, values)
    r = run_r(
        """
        library(splines); k <- quantile(d$age, c(.05, .35, .65, .95))
        B <- cbind(1, ns(d$age, knots = k[2:3], Boundary.knots = k[c(1, 4)])); u <- d$y / median(d$y)
        off <- function(p) { m <- exp(B %*% p[2:5]); s <- exp(p[6] + p[7] * (d$age - mean(d$age)) / 10)
          z <- ((u / m)^p[1] - 1) / (p[1] * s); -sum(p[1] * log(u / m) - log(s) - z^2 / 2) }
        p <- c(1, 0, 0, 0, 0, log(.15), 0)
        for (i in 1:6) p <- optim(p, off, method = "BFGS", control = list(maxit = 2000, reltol = 1e-15))$par
        out("best", -off(p)); out("L", p[1]); i <- order(d$age)[c(1, 300, 600)]
        out("M", exp(B[i, ] %*% p[2:5]) * median(d$y)); out("S", exp(p[6] + p[7] * (d$age[i] - mean(d$age)) / 10))
        """,
        tmp_path,
        d=pd.DataFrame({"age": age, "y": values}),
    )
    assert fit.log_likelihood == pytest.approx(r["best"][0], abs=1e-4)
    power, median, spread = fit.at(np.sort(age)[[0, 299, 599]])
    np.testing.assert_allclose(power[0], r["L"][0], atol=5e-3)
    np.testing.assert_allclose(median, r["M"], rtol=1e-4)
    np.testing.assert_allclose(spread, r["S"], rtol=2e-3)


def made_cohort(folder: Path, n: int = 400) -> tuple[Path, Path]:
    """Phenotypes of two visits and participants without grip or DXA; the first visit follows known curves."""
    age, tmv = _drawn(n, 5)
    eid = [str(1000 + i) for i in range(n)]
    first = pd.DataFrame({"eid": eid, "visit": "2", "tmv_cm3": tmv, "lr_asymmetry": 0.02})
    first["pa_ratio"] = np.linspace(0.35, 0.5, n)
    second = first.assign(visit="3", tmv_cm3=2 * tmv)
    pd.concat([first, second]).to_csv(folder / "mri.csv", index=False)
    people = pd.DataFrame({"eid": eid, "sex": "F", "age": age.round().astype(int)})
    people.to_csv(folder / "people.csv", index=False)
    return folder / "mri.csv", folder / "people.csv"


def test_the_command_takes_one_visit_and_asks_for_sex_and_age_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mri, people = made_cohort(tmp_path)
    words = [str(mri), "--participants", str(people), "--source", "people of a test", "--out", str(tmp_path / "r.csv")]
    assert run_command(command, words) == 3
    assert "Choose it with --visit" in capsys.readouterr().err
    words += ["--visit", "2"]
    assert run_command(command, words) == 0
    told = capsys.readouterr().out
    assert "women: 2 phenotypes" in told and "reports of men show no percentiles" in told
    table = pd.read_csv(tmp_path / "r.csv").query("phenotype == 'tmv_cm3'").set_index("age")
    assert set(table["source"]) == {"people of a test"} and set(table["synthetic"]) == {0}
    assert table.loc[65, "M"] == pytest.approx(9000, rel=0.03) and table.loc[65, "S"] == pytest.approx(0.16, rel=0.15)
    rejected = pd.DataFrame({"eid": [str(1000 + i) for i in range(350)], "visit": "2"})
    rejected.assign(decision="reject").to_csv(tmp_path / "no.csv", index=False)
    assert run_command(command, [*words, "--exclude", str(tmp_path / "no.csv")]) == 3  # 50 people are too few
    assert "no phenotype with enough people" in capsys.readouterr().err


def test_numbers_of_a_network_trained_on_synthetic_images_make_a_synthetic_reference(tmp_path: Path) -> None:
    mri, people = made_cohort(tmp_path)
    pd.read_csv(mri).assign(model_trained_on_synthetic=1).to_csv(mri, index=False)
    assert people_with_images(mri, people, visit="2").synthetic


def test_the_table_has_the_columns_that_a_report_reads() -> None:
    age, values = _drawn(400, 3)
    table = pd.DataFrame({"sex": np.where(np.arange(400) % 2, "M", "F"), "age": age, "tmv_cm3": values})
    made = reference_table(table, "a cohort", synthetic=True)
    assert tuple(made.columns) == COLUMNS and set(made["sex"]) == {"M", "F"} and set(made["synthetic"]) == {1}
    assert made["age"].between(50, 82).all() and not made.duplicated(["phenotype", "sex", "age"]).any()
    with pytest.raises(DataError, match="no phenotype with enough people"):
        reference_table(table.head(60), "too few")
