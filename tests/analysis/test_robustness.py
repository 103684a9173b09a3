"""All tables that ask whether the results hold, made as ``--full`` makes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.figures.power import power_figure
from analysis.further_tables import FURTHER
from analysis.options import Options
from analysis.robustness import robustness_tables
from tests.analysis.synthetic import cohort_of


def test_every_table_is_made_and_printed_where_the_cohort_has_what_it_needs() -> None:
    cohort = cohort_of(12000, 4)
    rng = np.random.default_rng(1)
    table = cohort.analysed.head(900).copy()
    table["centre"] = rng.choice(["Bristol", "Cheadle", "Reading"], len(table))
    fall = table["imaging_date"] + pd.to_timedelta(rng.integers(1, 9000, len(table)), unit="D")
    table["fall_date"] = fall.where((fall <= table["censor_date"]) & ~(fall > table["death_date"]))
    options = Options(phenotypes=Path("a"), participants=Path("b"), out=Path("c"), full=True,
                      outcomes=("falls", "weak_grip"), measurement_error={"pa_ratio": "2%"})  # fmt: skip
    made = robustness_tables(replace(cohort, analysed=table, structures=cohort.structures[:3]), options)
    asked = {"site_differences", "sites", "competing", "incidence", "composition", "undiluted", "power", "power_curves"}
    assert set(made) == asked
    for name in asked - {"incidence", "power_curves"}:
        text = FURTHER[name](made[name])
        assert text.rows and all(len(row) == len(text.header) for row in text.rows)
        assert not any(word in cell for row in text.rows for cell in row for word in ("nan", "inf", "None"))
    assert set(made["sites"]["handling"]) == {"not considered", "factor", "random intercept", "ComBat"}
    assert len(power_figure(made["power_curves"], len(table)).axes) == 2


def test_a_cohort_without_sites_dates_and_errors_has_only_power() -> None:
    cohort = cohort_of(12000, 4)
    table = cohort.analysed.head(400).drop(columns="muscle_composition")
    options = Options(phenotypes=Path("a"), participants=Path("b"), out=Path("c"), full=True, outcomes=("falls",))
    assert set(robustness_tables(replace(cohort, analysed=table), options)) == {"power", "power_curves"}
    determined = replace(options, adjust=("twin",))
    twin = table.assign(twin=2 * table["pa_ratio"])
    assert robustness_tables(replace(cohort, analysed=twin), determined) == {}
