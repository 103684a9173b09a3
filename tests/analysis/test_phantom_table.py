"""The synthetic cohort matches the published one and has the stated effects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.describe import concordance, decline, table_one
from phantom.__main__ import main as phantom_main
from phantom.calibration import PREVALENCE
from phantom.cohort_model import PUBLISHED
from phantom.table import draw_cohort, write_cohort
from tests.analysis.synthetic import cohort_of, drawn

_N, _SEED = 37004, 11


def test_means_and_spreads_are_the_published_ones_within_two_per_cent() -> None:
    rows = table_one(cohort_of(_N, _SEED).analysed).set_index("variable")
    for name, by_sex in PUBLISHED.items():
        for who, sex in (("men", "M"), ("women", "F")):
            mean, sd = by_sex[sex]
            assert rows.loc[name, f"{who}_first"] == pytest.approx(mean, rel=0.02), (name, sex)
            assert rows.loc[name, f"{who}_second"] == pytest.approx(sd, rel=0.02), (name, sex)


def test_both_sexes_together_are_as_published_within_two_per_cent() -> None:
    """Both sexes (method, section 1). The SD of TVI and P/A is printed with one digit, so half a digit is allowed."""
    rows = table_one(cohort_of(_N, _SEED).analysed).set_index("variable")
    published = {"age": (64.5, 7.9), "bmi": (26.5, 4.4), "height_cm": (169.2, 9.3), "weight_kg": (76.1, 15.2)}
    published |= {"grip_kg": (31.5, 10.7), "tmv_cm3": (9321.7, 2276.5), "almi": (7.33, 1.21)}
    for name, (mean, sd) in published.items():
        assert rows.loc[name, "all_first"] == pytest.approx(mean, rel=0.02), name
        assert rows.loc[name, "all_second"] == pytest.approx(sd, rel=0.02), name
    for name, (mean, sd) in {"tvi_cm3_per_cm2": (0.32, 0.06), "pa_ratio": (0.45, 0.06)}.items():
        assert rows.loc[name, "all_first"] == pytest.approx(mean, rel=0.02), name
        assert rows.loc[name, "all_second"] == pytest.approx(sd, abs=0.0055), name


def test_expected_prevalences_are_the_published_ones_within_two_per_cent() -> None:
    """Expectations, not counts, because counts of 417 cases vary by 5%."""
    expected = drawn(_N, _SEED).truth["expected_prevalence"]
    share_of_men = 17920 / 37004
    for outcome, by_sex in PREVALENCE.items():
        wanted = share_of_men * by_sex["M"] + (1 - share_of_men) * by_sex["F"]
        assert expected[outcome] == pytest.approx(wanted, rel=0.02), outcome
    counts = cohort_of(_N, _SEED).analysed[list(PREVALENCE)].mean()
    for outcome, share in expected.items():
        error = np.sqrt(share * (1 - share) / _N)
        assert abs(counts[outcome] - share) < 3.5 * error, outcome


def test_correlations_and_declines_are_those_of_the_truth() -> None:
    table, truth = cohort_of(_N, _SEED).analysed, drawn(_N, _SEED).truth
    pooled = concordance(table).query("sex == 'all'").set_index("first")
    assert pooled.loc["tmv_cm3", "pearson"] == pytest.approx(truth["pearson"]["tmv_cm3, leg_lean_kg"], abs=0.003)
    assert pooled.loc["tvi_cm3_per_cm2", "pearson"] == pytest.approx(
        truth["pearson"]["tvi_cm3_per_cm2, almi"], abs=0.004
    )
    for row in decline(table).itertuples():
        if row.measure in truth["per_decade"]:
            wanted = truth["per_decade"][row.measure][row.sex]
            half = (row.high - row.low) / 2
            assert abs(row.per_decade - wanted) < 1.6 * half, (row.measure, row.sex)


def test_the_excluded_people_are_the_ones_that_were_added() -> None:
    made, cohort = drawn(3000, 2), cohort_of(3000, 2)
    assert len(cohort.analysed) == 3000
    assert made.truth["ineligible"]["young"] == 120
    excluded = dict(zip(cohort.flow["reason"], cohort.flow["excluded"], strict=True))
    assert excluded["younger than 50 years"] == 120
    assert excluded["no grip strength"] == made.truth["ineligible"]["no-grip"]


def test_muscles_add_up_to_the_phenotypes() -> None:
    table = drawn(500, 3).phenotypes.dropna()
    compartments = ["anterior_cm3", "gluteal_cm3", "medial_cm3", "posterior_cm3", "core_cm3"]
    np.testing.assert_allclose(table[compartments].sum(axis=1), table["tmv_cm3"], rtol=1e-9)
    np.testing.assert_allclose(table["hamstrings_cm3"] / table["quadriceps_cm3"], table["pa_ratio"], rtol=1e-9)
    both = table["rectus_femoris_left_cm3"] + table["rectus_femoris_right_cm3"]
    np.testing.assert_allclose(both, table["rectus_femoris_cm3"], rtol=1e-9)


def test_dates_and_deaths_belong_together_and_follow_the_hazard() -> None:
    people, truth = drawn(_N, _SEED).participants, drawn(_N, _SEED).truth
    imaged, died, end = (pd.to_datetime(people[name]) for name in ("imaging_date", "death_date", "censor_date"))
    assert (died.notna() == (people["died"] == 1)).all() and (died > imaged)[died.notna()].all()
    assert (died <= end)[died.notna()].all() and ((end - imaged).dt.days == 1826).all()
    years = ((died - imaged).dt.days / 365.25).dropna()
    # Deaths are rare, so they are spread evenly over the five years.
    assert years.mean() == pytest.approx(2.5, abs=0.2) and years.std() == pytest.approx(5 / np.sqrt(12), rel=0.1)
    hazards = truth["hazard_ratio_of_death"]["pa_ratio"]
    # Rare deaths: between no effect and the odds ratio, and close to the latter.
    assert 1.47 < hazards["adjusted"] < truth["odds_ratio_adjusted"]["pa_ratio"]["mortality"] == 1.49
    assert 1.52 < hazards["crude"] < truth["odds_ratio_crude"]["pa_ratio"]["mortality"]


def test_every_row_says_that_it_is_synthetic() -> None:
    made = drawn(500, 3)
    assert (made.participants["synthetic"] == 1).all() and (made.phenotypes["synthetic"] == 1).all()


def test_the_same_seed_draws_the_same_cohort(tmp_path: Path) -> None:
    first, second, other = (write_cohort(tmp_path / name, draw_cohort(50, seed)) for name, seed in
                            (("a", 1), ("b", 1), ("c", 2)))  # fmt: skip
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert first[0].read_bytes() != other[0].read_bytes()


def test_the_command_writes_three_files(tmp_path: Path) -> None:
    assert phantom_main(["table", "--out", str(tmp_path), "--n", "30"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["participants.csv", "phenotypes.csv", "truth.json"]
    assert json.loads((tmp_path / "truth.json").read_text())["odds_ratio_adjusted"]["pa_ratio"]["falls"] == 1.12
