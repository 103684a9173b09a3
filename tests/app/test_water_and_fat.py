"""A study of water and fat alone, the whole way: what is absent is absent everywhere, and nothing else is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from operators.core.contrast import Contrast
from operators.core.errors import DicomError
from operators.core.options import DicomOptions, RunOptions
from operators.dicom_loader import load_study
from operators.pipeline import process_study
from operators.remeasure import measure_study
from tests.app.made_study import linked_copy


def without(study: Path, target: Path, *suffixes: str) -> Path:
    copy = linked_copy(study, target)
    for folder in list(copy.iterdir()):
        if folder.name.endswith(suffixes):
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
    return copy


def test_water_and_fat_alone_give_all_but_the_absent_volumes(study: Path, bundle: Path, tmp_path: Path) -> None:
    source = without(study, tmp_path / "dicom", "_in", "_opp")
    options = RunOptions(dicom=DicomOptions(derived=(Contrast.IN, Contrast.WATER, Contrast.FAT)))
    out = tmp_path / "out"
    result = process_study(source, out, options, model=bundle)
    assert sorted(path.stem for path in out.glob("fused/*")) == ["body", "fat", "fat_fraction", "water"]
    assert sorted(path.name for path in (out / "derived").iterdir()) == ["fat", "water"]
    assert "contrast-absent" in [flag["code"] for flag in result.flags]
    series = [one["contrast"] for station in result.report["quality"]["stations"] for one in station["series"]]
    assert sorted(set(series)) == ["fat", "water"]
    again = measure_study(out)
    assert again.phenotypes == result.phenotypes
    assert [flag["code"] for flag in again.flags] == [flag["code"] for flag in result.flags]


@pytest.mark.parametrize("suffixes", [("_F",), ("_W", "_in")])
def test_a_study_without_water_or_fat_is_refused(study: Path, tmp_path: Path, suffixes: tuple[str, ...]) -> None:
    with pytest.raises(DicomError, match="water and fat at every table position"):
        load_study(without(study, tmp_path / "dicom", *suffixes))
