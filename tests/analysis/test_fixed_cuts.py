"""Fixed cuts are warned about where labels come from another tool: on the page and in the provenance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.by_group import table_by_group
from analysis.competing_risks import competing_risks, dated_events, incidence_by_thirds
from analysis.fixed_cuts import fixed_cut_warnings
from analysis.imputation import imputed_associations
from analysis.options import Options
from analysis.provenance import provenance
from analysis.run import load_cohort
from analysis.survival import THIRDS
from tests.analysis.small_tables import images, people
from tests.analysis.synthetic import cohort_of

CUTS = {"pa_ratio": (0.41, 0.48)}


@pytest.fixture
def options(tmp_path: Path) -> Options:
    people().to_csv(tmp_path / "people.csv", index=False)
    sources = ["made elsewhere"] * 7 + ["automatic"] * 33
    images().assign(label_source=sources).to_csv(tmp_path / "images.csv", index=False)
    return Options(tmp_path / "images.csv", tmp_path / "people.csv", tmp_path / "out", fixed_cuts=CUTS)


def test_labels_of_another_tool_and_fixed_cuts_are_warned_about(options: Options) -> None:
    cohort = load_cohort(options)
    found = [text for text in cohort.warnings if "The cuts of pa_ratio are fixed" in text]
    assert len(found) == 1
    count = int((cohort.analysed["label_source"] == "made elsewhere").sum())
    assert count and f"{count} of {len(cohort.analysed)} participants" in found[0]
    assert found[0] in provenance(options, cohort)["warnings"]
    assert not any("fixed" in text for text in load_cohort(replace(options, fixed_cuts=None)).warnings)


@pytest.mark.parametrize(
    ("sources", "cuts"),
    [
        (["automatic"] * 3, CUTS),
        (["made elsewhere"] * 3, {"lr_asymmetry_dexa": (0.1, 0.2)}),
        (["made elsewhere"] * 3, {}),
    ],
)
def test_nothing_is_said_without_reason(sources: list[str], cuts: dict[str, tuple[float, float]]) -> None:
    assert fixed_cut_warnings(pd.DataFrame({"label_source": sources}), cuts) == ()
    assert fixed_cut_warnings(pd.DataFrame({"eid": ["1"]}), CUTS) == ()


def test_every_table_of_groups_has_the_fixed_cuts() -> None:
    table = cohort_of(12000, 4).analysed.head(1500).copy()
    table.loc[table.index[::3], "bmi"] = np.nan
    fall = table["imaging_date"] + pd.to_timedelta(np.arange(len(table)) % 700 + 1, unit="D")
    table["fall_date"] = fall.where(np.arange(len(table)) % 4 == 0)
    low, high = (int((table["pa_ratio"] <= 0.41).sum()), int((table["pa_ratio"] > 0.48).sum()))
    assert low + high != 1000  # as in exact thirds

    imputed = imputed_associations(
        table, ("bmi",), exposures=("pa_ratio",), outcomes=("weak_grip",), cuts=CUTS, imputations=2
    )
    assert imputed["n"].tolist() == [low + high]
    competing = competing_risks(table, (), ("pa_ratio",), ("fall_date",), None, CUTS)
    years = dated_events(table, "fall_date").years
    outer = (table["pa_ratio"] <= 0.41) | (table["pa_ratio"] > 0.48)
    assert competing.loc[competing["contrast"] == THIRDS, "n"].tolist() == [int((np.isfinite(years) & outer).sum())]
    assert not incidence_by_thirds(table, "pa_ratio", "fall_date", None, CUTS["pa_ratio"]).equals(
        incidence_by_thirds(table, "pa_ratio", "fall_date")
    )
    groups = table_by_group(table, cuts=CUTS["pa_ratio"]).groupby("group", sort=False)["people"].first()
    assert groups.iloc[:3].tolist() == [low, len(table) - low - high, high]
