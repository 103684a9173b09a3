"""Centres and scanners: mixed models against lme4 and nlme, ComBat against sva, and known truths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.centres import WAYS, site_associations, site_differences, sites_of
from analysis.combat import combat
from analysis.logistic import fit_logistic
from analysis.mixed_linear import fit_linear_mixed
from analysis.mixed_logistic import fit_random_intercept
from analysis.site_tables import site_differences_table, sites_table
from tests.analysis.r import needs, run_r
from tests.analysis.synthetic import cohort_of

SVA_FIRST = [17.36248, 17.55535, 18.66709, 15.51803, 16.55818, 17.37686]
SVA_LAST = [15.20890, 16.63937, 18.37768, 15.91126, 16.27980, 18.87988]


def _people(n: int = 900, groups: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    group = rng.integers(0, groups, n)
    x, age = rng.normal(size=n), rng.normal(65, 8, n)
    shift = rng.normal(0, 0.7, groups)
    chance = 1 / (1 + np.exp(1.2 - 0.5 * x - 0.03 * (age - 65) - shift[group]))
    y = 3 + 0.4 * x - 0.02 * age + 0.6 * shift[group] + rng.normal(size=n)
    return pd.DataFrame({"x": x, "age": age, "group": group, "event": (rng.random(n) < chance).astype(float), "y": y})


@needs("lme4")
def test_mixed_models_agree_with_lme4(tmp_path: Path) -> None:
    d = _people()
    r = run_r(
        """
        suppressMessages(library(lme4))
        f <- glmer(event ~ x + I((age - 65) / 8) + (1 | group), d, binomial, nAGQ = 9,
                   control = glmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9)))
        out("logistic", c(fixef(f), sqrt(diag(as.matrix(vcov(f)))), attr(VarCorr(f)$group, "stddev")))
        g <- lmer(y ~ x + age + (1 | group), d)
        out("linear", c(fixef(g), sqrt(diag(as.matrix(vcov(g)))), attr(VarCorr(g)$group, "stddev"), sigma(g)))
        """,
        tmp_path,
        d=d,
    )
    group = d["group"].to_numpy()
    found = fit_random_intercept(np.column_stack([d["x"], (d["age"] - 65) / 8]), d["event"].to_numpy(), group)
    errors = np.sqrt(np.diag(found.covariance))
    assert found.converged and found.groups == 12
    np.testing.assert_allclose(found.coefficients, r["logistic"][:3], atol=2e-5)
    # lme4's standard errors are by finite differences.
    np.testing.assert_allclose(errors, r["logistic"][3:6], rtol=2e-3)
    assert found.group_sd == pytest.approx(r["logistic"][6], abs=2e-5)
    linear = fit_linear_mixed(d["y"].to_numpy(), d[["x", "age"]].to_numpy(), group)
    np.testing.assert_allclose(linear.coefficients, r["linear"][:3], rtol=1e-5)
    np.testing.assert_allclose(linear.standard_errors, r["linear"][3:6], rtol=1e-4)
    np.testing.assert_allclose([linear.between_sd, linear.within_sd], r["linear"][6:], rtol=1e-4)


def test_without_differences_between_groups_the_mixed_model_is_the_plain_one() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(800, 2))
    y = (rng.random(800) < 1 / (1 + np.exp(1 - 0.6 * x[:, 0]))).astype(float)
    # Every group has the same people, so that the groups cannot differ.
    x, y, group = np.tile(x, (3, 1)), np.tile(y, 3), np.repeat([0, 1, 2], 800)
    found, plain = fit_random_intercept(x, y, group), fit_logistic(x, y)
    assert found.group_sd == 0 and found.converged
    np.testing.assert_allclose(found.coefficients, plain.coefficients, atol=1e-5)
    np.testing.assert_allclose(found.covariance, plain.covariance, rtol=1e-4)


def _measures() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    n, features = 150, 6
    batch, age = rng.integers(0, 3, n), rng.normal(65, 8, n)
    shift, scale = rng.normal(0, 1.5, (3, features)), rng.uniform(0.7, 1.5, (3, features))
    clean = 10 + 0.1 * age[:, None] + rng.normal(size=(n, features))
    return clean + shift[batch] + (scale[batch] - 1) * rng.normal(size=(n, features)), batch, age


@pytest.mark.slow  # sva loads half of Bioconductor
@needs("sva")
def test_combat_agrees_with_sva(tmp_path: Path) -> None:
    measures, batch, age = _measures()
    names = [f"m{i}" for i in range(measures.shape[1])]
    r = run_r(
        """
        suppressMessages(library(sva)); m <- t(as.matrix(d[, grep("^m", names(d))]))
        out("made", as.vector(ComBat(m, d$batch, model.matrix(~ age, d))))
        """,
        tmp_path,
        d=pd.DataFrame(measures, columns=names).assign(batch=batch, age=age),
    )
    made = combat(measures, batch, age[:, None])
    np.testing.assert_allclose(made, r["made"].reshape(made.shape), atol=1e-4)


def test_combat_gives_the_numbers_that_sva_gave() -> None:
    """For machines without sva: rows 0 and 149 as sva 3.46.0 computes them (the test above has the script)."""
    made = combat(*_measures()[:2], _measures()[2][:, None])
    np.testing.assert_allclose(made[0], SVA_FIRST, atol=1e-4)
    np.testing.assert_allclose(made[149], SVA_LAST, atol=1e-4)
    with pytest.raises(ValueError, match="two features"):
        combat(made[:, :1], np.arange(150) % 2, made[:, 1:2])
    with pytest.raises(np.linalg.LinAlgError, match="follows from the batches"):
        combat(made, np.arange(150) % 2, (np.arange(150) % 2)[:, None].astype(float))


def _imaged_at_four_centres() -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Centres with more falls measure higher ratios: the measured association is confounded by centre."""
    cohort = cohort_of(12000, 4)
    table = cohort.analysed.head(6000).copy()
    rng = np.random.default_rng(3)
    centre = rng.integers(0, 4, len(table))
    table["centre"] = np.array(["Bristol", "Cheadle", "Newcastle", "Reading"])[centre]
    shift = np.array([-0.04, -0.01, 0.01, 0.04])[centre]
    table["pa_ratio"] = rng.normal(0.45, 0.05, len(table)) + shift
    table["tmv_cm3"] *= 1 + 2 * shift
    table["falls"] = (rng.random(len(table)) < 0.15 + 2 * shift).astype(float)
    return table, cohort.structures


def test_an_association_that_centres_make_goes_when_they_are_accounted_for() -> None:
    table, structures = _imaged_at_four_centres()
    assert sites_of(table, ()) == ["centre"] and sites_of(table.assign(centre=pd.NA), ()) == []
    made = site_associations(table, "centre", ("age", "sex"), ("pa_ratio",), ("falls", "mortality"), structures)
    falls = made[made["outcome"] == "falls"].set_index("handling")
    assert list(falls.index) == list(WAYS) and falls["n"].nunique() == 1
    assert falls.loc["not considered", "ci_low"] > 1.15 and falls.loc["factor", "p_site"] < 1e-10
    # ComBat takes the shift out of the exposure; the outcome still differs between the centres.
    for way in ("factor", "random intercept", "ComBat"):
        assert falls.loc[way, "ci_low"] < 1 < falls.loc[way, "ci_high"]
    assert falls.loc["random intercept", "site_sd"] == pytest.approx(0.4, abs=0.25)
    differences = site_differences(table, "centre", ("age", "sex"), structures).set_index("measure")
    ratio = differences.loc["pa_ratio"]
    assert ratio["range_sd"] == pytest.approx(0.08 / 0.05, rel=0.1) and ratio["share"] > 0.2
    assert ratio["range_sd_after"] < 0.1 and ratio["share_after"] < 0.005 and ratio["p_value"] < 1e-50
    assert "Odds ratios with and without" in sites_table(made).title
    assert len(site_differences_table(differences.reset_index()).rows) == len(differences)


def test_sites_that_cannot_be_compared_say_why() -> None:
    table, _ = _imaged_at_four_centres()
    few = table.head(300).assign(falls=0.0)
    made = site_associations(few, "centre", ("age",), ("pa_ratio",), ("falls",))
    assert set(made["note"]) == {"too few events: not estimable"} and "odds_ratio" not in made
    twin = table.assign(scanner=table["centre"], men_only=(table["centre"] == "Bristol").astype(float))
    confounded = site_associations(twin, "scanner", ("men_only",), ("pa_ratio",), ("falls",)).set_index("handling")
    assert np.isfinite(confounded.loc["not considered", "odds_ratio"])
    assert confounded.loc["factor", "note"] == "a covariate follows from the sites: not estimable"


def test_measures_and_outcomes_that_sites_determine_are_said_to_be_so() -> None:
    table, _ = _imaged_at_four_centres()
    small = table.head(400)
    constant = site_associations(small.assign(pa_ratio=0.4), "centre", ("age",), ("pa_ratio",), ("falls",))
    assert set(constant["note"]) == {"no variation: not estimable"}
    own = small.assign(falls=(small["centre"] == "Reading").astype(float))
    made = site_associations(own, "centre", ("age",), ("pa_ratio",), ("falls",)).set_index("handling")
    assert made.loc["factor", "note"].startswith("a site with no events") and np.isnan(made.loc["factor", "odds_ratio"])
    assert made.loc["random intercept", "note"] == "did not converge"
    measures, batch, age = _measures()
    twins = combat(np.column_stack([measures[:, 0], measures[:, 0], np.full(150, 3.0)]), batch, age[:, None])
    assert np.isfinite(twins).all() and (twins[:, 2] == 3.0).all() and np.ptp(twins[:, 0] - twins[:, 1]) < 1e-9
    fixed = site_differences(small.assign(tmv_cm3=pd.factorize(small["centre"])[0] + 1.0), "centre", ("age",))
    assert np.isnan(fixed.set_index("measure").loc["tmv_cm3", "share"])
