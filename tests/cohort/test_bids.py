"""A cohort as a BIDS derivative: names, geometry, labels."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from app.cohort.bids import write_bids
from operators.core.anatomy import STRUCTURES
from operators.core.errors import InputError
from operators.core.nrrd_files import write_segmentation, write_volume
from operators.core.volume import Grid, Volume
from tests.analysis.made_reports import made_report, write_report

SHAPE = (4, 5, 6)
AFFINE = np.array([[2.0, 0, 0, -50], [0, 2.5, 0, -40], [0, 0, 3.0, 700], [0, 0, 0, 1]])


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """One study with fused images, and one of which only labels were kept."""
    grid = Grid(SHAPE, AFFINE)
    labels = Volume(np.arange(np.prod(SHAPE), dtype=np.uint8).reshape(SHAPE) % 28, grid)
    water = Volume(np.random.default_rng(1).random(SHAPE, dtype=np.float32), grid)
    for name in ("100-1_2", "1002_3"):
        report = made_report("x")
        report["phenotypes"] |= {"pa_ratio": 0.4567}
        write_report(tmp_path / "studies", name, report)
        folder = tmp_path / "studies" / name
        eid, visit = name.split("_")
        (folder / "attempt.json").write_text(json.dumps({"eid": eid, "visit": visit}))
        write_segmentation(folder / "segmentation.seg.nrrd", labels)
    (tmp_path / "studies" / "100-1_2" / "fused").mkdir()
    write_volume(tmp_path / "studies" / "100-1_2" / "fused" / "water.nrrd", water)
    return tmp_path


def test_images_and_labels_are_where_bids_wants_them(cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "derivatives"
    assert write_bids(cohort, out) == 2
    images = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.nii.gz"))
    assert images == [
        "sub-1001/ses-2/anat/sub-1001_ses-2_desc-muscles_dseg.nii.gz",
        "sub-1001/ses-2/anat/sub-1001_ses-2_desc-water_T1w.nii.gz",
        "sub-1002/ses-3/anat/sub-1002_ses-3_desc-muscles_dseg.nii.gz",
    ]
    assert all((out / name.replace(".nii.gz", ".json")).is_file() for name in images)
    labels: Any = nibabel.load(out / images[0])
    assert labels.shape == SHAPE[::-1] and np.asarray(labels.dataobj)[5, 0, 0] == 5
    # NIfTI's axes run to the right and to anterior, ours to the left and to posterior.
    np.testing.assert_allclose(labels.affine @ [0, 0, 0, 1], [50, 40, 700, 1])
    description = json.loads((out / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative" and "m 1. t u" in description["GeneratedBy"][0]["Description"]
    with (out / "desc-muscles_dseg.tsv").open() as opened:
        table = {int(row["index"]): row["name"] for row in csv.DictReader(opened, delimiter="\t")}
    assert table == {0: "background"} | {s.index: s.name for s in STRUCTURES}
    with (out / "phenotype.tsv").open() as opened:
        rows = list(csv.DictReader(opened, delimiter="\t"))
    assert [row["participant_id"] for row in rows] == ["sub-1001", "sub-1002"]
    assert rows[0]["pa_ratio"] == "0.4567" and rows[0]["tvi_cm3_per_cm2"] == "n/a"


def test_identifiers_that_bids_cannot_tell_apart_are_refused(cohort: Path, tmp_path: Path) -> None:
    write_report(cohort / "studies", "1001_2", made_report("1001"))
    (cohort / "studies" / "1001_2" / "attempt.json").write_text(json.dumps({"eid": "1001", "visit": "2"}))
    with pytest.raises(InputError, match="two studies"):
        write_bids(cohort, tmp_path / "derivatives")
    assert not (tmp_path / "derivatives").exists()
