"""Options are declared once: checks, flags and the record follow from the dataclasses."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from operators.core.contrast import Contrast
from operators.core.options import (
    Deidentification,
    DeidentificationOptions,
    DicomOptions,
    FusionOptions,
    LabelOptions,
    OptionError,
    RunOptions,
    SegmentationOptions,
    flag_of,
    recorded,
)

FUSION: Any = FusionOptions
SEGMENTATION: Any = SegmentationOptions
DICOM: Any = DicomOptions


@pytest.mark.parametrize(
    ("make", "field", "word"),
    [
        (lambda: FUSION(blend="linaer"), "blend", "Did you mean linear?"),
        (lambda: FUSION(stations="none"), "stations", "pelvis-to-knee or all"),
        (lambda: FUSION(spacing_mm=(1.0, 0.0, 1.0)), "spacing_mm", "positive"),
        (lambda: FUSION(spacing_mm=(1.0, float("nan"), 1.0)), "spacing_mm", "positive"),
        (lambda: FUSION(trim_slices=-1), "trim_slices", "0 or more"),
        (lambda: SEGMENTATION(backend="tensorflow"), "backend", "onnxruntime"),
        (lambda: SEGMENTATION(batch_size=0), "batch_size", "1 or more"),
        (lambda: DICOM(seg_type="bits"), "seg_type", "binary"),
        (lambda: DICOM(derived=()), "derived", "one or more"),
        (lambda: DICOM(derived=(Contrast.FAT, Contrast.FAT)), "derived", "each once"),
        (lambda: RunOptions(device="gpu"), "device", "cuda"),  # type: ignore[arg-type]
        (lambda: LabelOptions(segmentation=(Path("a.nii"),)), "segmentation", "one scheme for each"),
        (lambda: LabelOptions((Path("nowhere.nii"),), ("ours",)), "segmentation", "nowhere.nii"),
        (lambda: DeidentificationOptions(pseudonym="P1"), "pseudonym", "--deidentify"),
        (lambda: DeidentificationOptions(True, pseudonym="a^b"), "pseudonym", "letters"),
        (lambda: Deidentification(pseudonym=""), "pseudonym", "letters"),
    ],
)
def test_a_value_that_cannot_be_used_names_its_field(make: Any, field: str, word: str) -> None:
    with pytest.raises(OptionError) as caught:
        make()
    assert caught.value.field == field and word in str(caught.value)
    assert caught.value.exit_code == 2


def test_flags_follow_from_fields() -> None:
    assert flag_of("spacing_mm", RunOptions) == "--spacing"
    assert flag_of("compression", RunOptions) == "--dicom-compression"
    assert flag_of("trim_slices", RunOptions) == "--trim-slices"


def test_one_device_option_sets_fusion_and_segmentation() -> None:
    both = RunOptions(device="cpu")
    assert (both.fusion.device, both.segmentation.device) == ("cpu", "cpu")
    own = RunOptions(fusion=FusionOptions(device="cpu"))
    assert (own.fusion.device, own.segmentation.device) == ("cpu", "auto")


def test_the_record_holds_every_field_of_every_stage(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("secret", encoding="utf-8")
    options = RunOptions(deidentification=DeidentificationOptions(True, deidentify_key=key))

    def names(kind: Any) -> set[str]:
        return {field.name for field in dataclasses.fields(kind)}

    record = recorded(options)
    assert set(record) == names(RunOptions)
    for name in record:
        if dataclasses.is_dataclass(getattr(options, name)):
            assert set(record[name]) == names(getattr(options, name))
    assert record["deidentification"]["deidentify_key"] is True
    assert recorded(RunOptions())["deidentification"]["deidentify_key"] is False
    assert str(tmp_path) not in str(record) and "secret" not in str(record).replace("'secret'", "")


def test_the_secret_comes_from_the_file_or_else_from_the_environment(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("from the file\n", encoding="utf-8")
    environment = {"SARCOMAP_DEIDENTIFY_KEY": "from the environment"}
    assert DeidentificationOptions().chosen(environment) is None
    with_file = DeidentificationOptions(True, deidentify_key=key).chosen(environment)
    without = DeidentificationOptions(True).chosen(environment)
    assert with_file is not None and with_file.key == "from the file"
    assert without is not None and without.key == "from the environment"
    with pytest.raises(OptionError, match="not readable"):
        DeidentificationOptions(True, deidentify_key=tmp_path / "none").chosen({})


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: RunOptions(fusion={"blend": "linear"}), "fusion"),  # type: ignore[arg-type]
        (lambda: FusionOptions(trim_slices=1.5), "trim_slices"),  # type: ignore[arg-type]
        (lambda: DicomOptions(derived=("blood",)), "derived"),  # type: ignore[arg-type]
        (lambda: LabelOptions("labels.nii", "ours"), "segmentation"),  # type: ignore[arg-type]
        (lambda: LabelOptions(scheme=("ours",)), "scheme"),
    ],
)
def test_a_value_of_another_type_names_its_field(make: Any, field: str) -> None:
    with pytest.raises(OptionError) as caught:
        make()
    assert caught.value.field == field


def test_names_of_contrasts_and_paths_as_text_are_taken(tmp_path: Path) -> None:
    (tmp_path / "labels.nii.gz").touch()
    file: Any = str(tmp_path / "labels.nii.gz")
    assert LabelOptions((file,), ("ours",)).segmentation == (tmp_path / "labels.nii.gz",)
    names: Any = ("water", "fat")
    assert DicomOptions(derived=names).derived == (Contrast.WATER, Contrast.FAT)
