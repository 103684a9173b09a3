"""A cohort with images: bodies and outcomes belong together, and what exists is kept."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from phantom.cohort import draw_imaged_cohort, write_imaged_cohort
from phantom.participant import VOLUME_RATIO
from phantom.study import eid_of


def test_each_row_is_the_person_of_its_body() -> None:
    table, bodies = draw_imaged_cohort(60, seed=3)
    people = table.participants
    assert people["eid"].tolist() == [eid_of(3 + number) for number in range(60)]
    for column, values in {
        "sex": [body.sex for body in bodies],
        "age": [body.age_years for body in bodies],
        "height_cm": [body.height_cm for body in bodies],
        "bmi": [body.bmi for body in bodies],
    }.items():
        assert people[column].tolist() == values
    np.testing.assert_allclose(VOLUME_RATIO * table.phenotypes["tmv_cm3"], [body.tmv_cm3 for body in bodies])
    np.testing.assert_array_equal(table.phenotypes["pa_ratio"], [body.pa_ratio for body in bodies])
    assert table.truth["n"] == 60 and table.truth["odds_ratio_adjusted"]["pa_ratio"]["falls"] > 1


def test_no_body_is_an_extreme_that_would_tear_the_anatomy_and_a_seed_repeats() -> None:
    table, bodies = draw_imaged_cohort(200, seed=5)
    men = np.array([body.pa_ratio for body in bodies if body.sex == "M"])
    assert np.abs((men - men.mean()) / men.std()).max() < 2.7
    again, _ = draw_imaged_cohort(200, seed=5)
    pd.testing.assert_frame_equal(table.participants, again.participants)


@pytest.mark.slow
def test_zips_truth_and_tables_are_written_and_kept(tmp_path: Path) -> None:
    counts: list[int] = []
    written = write_imaged_cohort(tmp_path, 1, seed=8, stations=4, small=True, progress=counts.append)
    (archive,) = written.zips.iterdir()
    assert archive.name == "9000008_20201_2_0.zip" and zipfile.ZipFile(archive).testzip() is None
    facts = json.loads((tmp_path / "truth" / "9000008" / "truth.json").read_text())
    truth = pd.read_csv(written.truth, dtype={"eid": str})
    assert truth["pa_ratio"][0] == pytest.approx(facts["covered_pa_ratio"], rel=1e-5)
    assert pd.read_csv(written.participants)["eid"].tolist() == [9000008]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    before = archive.stat().st_mtime_ns
    write_imaged_cohort(tmp_path, 1, seed=8, stations=4, small=True)
    assert archive.stat().st_mtime_ns == before and counts == [1]
