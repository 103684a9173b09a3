"""A trained nnU-Net v2 says which images it reads, which folds it has and what its numbers mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from operators.core.anatomy import by_name
from operators.core.contrast import Contrast
from operators.core.errors import UsageError
from operators.core.label_schemes import load_scheme
from operators.core.options import LabelOptions
from operators.core.segmenters import load_segmenter

LABELS = {"background": 0, "femur": 1, "sartorius_left": 2, "sartorius_right": 3, "patella": 4}


def trained(folder: Path, folds: tuple[str, ...] = ("0", "2"), **facts: Any) -> Path:
    """What nnU-Net writes for one configuration, without the weights."""
    model = folder / "nnUNetTrainer__nnUNetPlans__2d"
    for fold in folds:
        (model / f"fold_{fold}").mkdir(parents=True)
        (model / f"fold_{fold}" / "checkpoint_final.pth").touch()
    model.mkdir(exist_ok=True)
    (model / "plans.json").write_text("{}")
    dataset = {"channel_names": {"0": "water"}, "labels": LABELS, "file_ending": ".nii.gz", **facts}
    (model / "dataset.json").write_text(json.dumps(dataset))
    return model


def test_command_and_scheme_follow_the_model(tmp_path: Path) -> None:
    model = trained(tmp_path, channel_names={"1": "water", "0": "fat"})
    tool = load_segmenter("nnunet", model)
    assert tool.contrasts == (Contrast.FAT, Contrast.WATER)
    assert tool.image_names() == ("image_0000.nii.gz", "image_0001.nii.gz")
    words = tool.words(gpu=False, images=Path("/i"), folder=Path("/o"))
    assert words == [
        *("nnUNetv2_predict_from_modelfolder", "-i", "/i", "-o", "/o", "-m", str(model.resolve())),
        *("-f", "0", "2", "-device", "cpu"),
    ]
    assert "-device" not in tool.words(gpu=True)
    scheme = load_scheme(tool.scheme)
    assert scheme.targets() == {
        "femur": by_name("femur").index,
        "sartorius_left": by_name("sartorius").index,
        "sartorius_right": by_name("sartorius").index,
    }
    assert scheme.sides() == {"sartorius_left": 1, "sartorius_right": 2}
    assert scheme.labels[4] == "patella"


def test_one_channel_of_any_name_gets_water_and_fold_all_counts_alone(tmp_path: Path) -> None:
    tool = load_segmenter("nnunet", trained(tmp_path, ("all",), channel_names={"0": "MRI"}))
    assert tool.contrasts == (Contrast.WATER,)
    assert tool.words()[-2:] == ["-f", "all"]


def test_another_scheme_replaces_the_models_own(tmp_path: Path) -> None:
    options = LabelOptions(segmenter="nnunet", segmenter_model=trained(tmp_path), scheme=("musclemap",))
    tool = options.tool()
    assert tool is not None and tool.scheme == "musclemap"


@pytest.mark.parametrize(
    ("folds", "facts", "message"),
    [
        ((), {}, "no fold_"),
        (("0",), {"channel_names": {"0": "T1", "1": "T2"}}, "channels T1, T2"),
        (("0",), {"channel_names": None}, "no channel_names"),
        (("0",), {"file_ending": ".nrrd"}, r"file_ending \.nrrd"),
        (("0",), {"labels": {"background": 0, "liver": 1}}, "labels liver"),
        (("0",), {"labels": {"background": 0, "femur": [1, 2]}}, "regions"),
        (("0",), {"labels": {"background": 0, "femur": 1, "sartorius": 1}}, "a number for two labels"),
    ],
)
def test_a_model_that_cannot_be_used_is_one_clear_error(tmp_path: Path, folds: Any, facts: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_segmenter("nnunet", trained(tmp_path, folds, **facts))


def test_a_folder_that_is_no_model_and_a_tool_that_takes_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no readable dataset\.json"):
        load_segmenter("nnunet", tmp_path)
    with pytest.raises(UsageError, match="which takes none"):
        load_segmenter("musclemap", tmp_path)
    with pytest.raises(UsageError, match="no file or folder none"):
        load_segmenter("nnunet", tmp_path / "none")
    with pytest.raises(UsageError, match="given without a tool"):
        LabelOptions(segmenter_model=tmp_path)
