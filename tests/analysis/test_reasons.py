"""A row without an estimate says why, in the table and in print."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.centres import site_differences
from analysis.competing_tables import composition_table
from analysis.composition import GROUPS, composition_associations
from analysis.curves import odds_ratio_curves
from analysis.further_tables import FURTHER
from analysis.head_to_head import head_to_head
from analysis.imputation import imputed_associations
from analysis.interactions import interactions, sex_stratified
from analysis.muscles import muscle_associations
from analysis.sensitivity import per_sd
from analysis.survival import FollowUp


def _table(n: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"sex": np.where(np.arange(n) % 2, "M", "F"), "age": rng.normal(65, 8, n)})
    table["x"] = rng.normal(size=n)
    table["flat"], table["copy"] = 1.0, table["age"]
    table["often"] = (rng.random(n) < 0.4).astype(float)
    table["rare"] = (np.arange(n) < 3).astype(float)
    table["never"], table["always"], table["unknown"] = 0.0, 1.0, np.nan
    table["only_men"] = ((table["sex"] == "M") & (rng.random(n) < 0.4)).astype(float)
    table["bmi"] = np.where(rng.random(n) < 0.2, np.nan, rng.normal(26, 4, n))
    return table


_OUTCOMES = ("often", "rare", "never", "always", "unknown")


def test_every_row_of_imputed_has_an_estimate_or_a_reason() -> None:
    found = imputed_associations(
        _table(), ("age", "bmi"), exposures=("x", "flat", "unknown"), outcomes=_OUTCOMES, imputations=2
    )
    assert len(found) == 3 * len(_OUTCOMES)
    assert ((found["note"] != "") == found["odds_ratio"].isna()).all()
    notes = found.set_index(["exposure", "outcome"])["note"]
    assert notes["x", "rare"] == "fewer than 5 events per coefficient: not estimable"
    assert notes["x", "never"] == "no events" and notes["x", "always"] == "everyone has the outcome"
    assert "a group of nobody" in notes["flat", "often"] and "a group of nobody" in notes["x", "unknown"]
    remarks = FURTHER["imputed"](found).remarks
    assert remarks[1] == notes["x", "rare"] and 0 not in remarks


def test_every_row_of_interactions_has_a_p_value_or_a_reason() -> None:
    table = _table()
    found = interactions(
        table, ("age",), ("sex", "age", "flat", "copy", "x"), exposures=("x",), outcomes=(*_OUTCOMES, "only_men")
    )
    assert ((found["note"] != "") == found["p_interaction"].isna()).all()
    notes = found.set_index(["modifier", "outcome"])["note"]
    assert notes["sex", "often"] == "" and notes["x", "often"] == "the exposure itself"
    assert notes["flat", "often"] == "one value of the other column: not estimable"
    assert "collinear with the covariates" in notes["copy", "often"]
    assert "nobody in a combination" in notes["sex", "only_men"] and notes["sex", "never"] == "no events"
    assert FURTHER["interactions"](found).remarks[1] == notes["sex", "rare"] != ""


def test_models_by_sex_say_why_there_is_no_test_of_interaction() -> None:
    found = sex_stratified(_table(), ("age",), exposures=("x",), outcomes=("often", "only_men"))
    assert (
        found.loc[found["outcome"] == "only_men", "note"].str.contains("no test of interaction: nobody in a comb")
    ).all()
    assert not found.loc[found["outcome"] == "often", "note"].str.contains("interaction").any()
    men = sex_stratified(_table().query("sex == 'M'"), ("age",), exposures=("x",), outcomes=("often",))
    assert men["note"].tolist() == ["no test of interaction: people of one sex"]


def test_groups_of_composition_without_a_ratio_say_why() -> None:
    table = _table().assign(mortality=lambda t: t["rare"], falls=lambda t: t["often"])
    table["muscle_composition"] = np.array(GROUPS)[np.arange(len(table)) % 4]
    followed = FollowUp(np.linspace(1, 5, len(table)), table["rare"].to_numpy(), "", ())
    found = composition_associations(table, ("age",), followed)
    shown = found["group"] != "normal"
    assert ((found.loc[shown, "note"] != "") == found.loc[shown, "ratio"].isna()).all()
    rare = found[(found["outcome"] == "mortality") & shown]
    assert set(rare["note"]) == {"fewer than 5 events per coefficient: not estimable"}
    assert set(composition_table(found).remarks.values()) == set(rare["note"])


def test_muscles_sites_and_curves_say_what_is_missing() -> None:
    table = _table().assign(gracilis_cm3=100.0, height_cm=170.0, tmv_cm3=lambda t: 9000 + 900 * t["x"], pa_ratio=0.45)
    muscles = muscle_associations(table, ("gracilis",), ("age",), ("often", "rare"))
    assert muscles["odds_ratio"].isna().all()
    assert set(muscles["note"]) == {"no variation: not estimable", "too few events: not estimable"}
    placed = table.assign(centre=np.where(table["sex"] == "M", "A", "B"), lr_asymmetry=table["x"] ** 2)
    told = site_differences(placed, "centre", ("sex", "age"))
    assert told["range_sd"].isna().all() and (told["note"] != "").all()
    few = table.assign(x=(table["x"] > 1).astype(float))
    row = per_sd(few, ("age",), exposures=("x",), outcomes=("often",)).iloc[0]
    assert np.isnan(row["p_nonlinear"]) and row["note"] == "no test of a curve: too few different values"


@pytest.mark.parametrize("exposure", ["flat"])
def test_an_exposure_of_one_value_is_said_to_have_no_variation(exposure: str) -> None:
    row = per_sd(_table(), ("age",), exposures=(exposure,), outcomes=("often",)).iloc[0]
    assert row["note"] == "no variation: not estimable"


def test_an_exposure_that_one_person_has_ends_no_table_of_imputed_covariates() -> None:
    table = _table()
    table["one"] = np.where(np.arange(len(table)) == 3, 2.5, np.nan)
    table["few"] = np.where(np.arange(len(table)) < 4, table["x"], np.nan)
    found = imputed_associations(
        table, ("age", "bmi"), exposures=("x", "one", "few"), outcomes=("often",), imputations=2
    ).set_index("exposure")
    assert found["odds_ratio"].notna().tolist() == [True, False, False] and (found["note"][["one", "few"]] != "").all()


@pytest.mark.filterwarnings("error")
def test_an_exposure_of_one_value_has_no_curve() -> None:
    assert odds_ratio_curves(_table(), "flat", ("often",), ("age",)).empty


def test_markers_of_too_few_events_name_no_interval() -> None:
    compared = head_to_head(_table().assign(falls=0.0), ("age",), outcomes=("falls",)).models
    said = FURTHER["markers"](compared).caption
    assert "Harrell’s C; AUC, C and Brier score are not corrected for optimism." in said
