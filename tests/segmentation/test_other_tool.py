"""Tools of other makers: an ONNX network in a process of its own labels a fused study; every failure is one error."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from operators.core.anatomy import by_name
from operators.core.errors import InputError, SegmentationError, UsageError
from operators.core.known_segmenters import KNOWN_SEGMENTERS
from operators.core.label_schemes import load_scheme
from operators.core.options import FusionOptions, LabelOptions
from operators.core.segmenters import Segmenter, load_segmenter, segmenter_names
from operators.core.volume import Fused
from operators.nifti_loader import load_nifti
from operators.segmentation.other_tool import label_with
from operators.station_fusion.fused_elsewhere import fused_elsewhere
from tests.nifti_loader.made_thigh import save, thigh

TOOL = Path(__file__).with_name("tool.py")


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Fused:
    return fused_elsewhere(load_nifti(save(tmp_path_factory.mktemp("n") / "a.nii.gz", thigh(12))), FusionOptions())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX network that labels what is brighter than 100, and what its label means."""
    folder = tmp_path_factory.mktemp("tool")
    shape = [1, 1, None, None, None]
    weight = np.array([-1.0, 1.0], np.float32).reshape(2, 1, 1, 1, 1)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w", "b"], ["scores"])],
        "bright",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 2, None, None, None])],
        [
            onnx.numpy_helper.from_array(weight, "w"),
            onnx.numpy_helper.from_array(np.array([100.0, -100.0], np.float32), "b"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "net.onnx")
    (folder / "scheme.yaml").write_text(
        "name: bright\nversion: '1'\nsource: here\nmade: automatic\n"
        "structures:\n  vastus_lateralis: [bright]\nlabels:\n  1: bright\n"
    )
    return folder


def described(folder: Path, fault: str = "") -> Segmenter:
    path = folder / "tool.yaml"
    ending = f" --fault '{fault}'" if fault else ""
    path.write_text(
        f"name: bright\ncommand: \"'{sys.executable}' '{TOOL}' '{folder / 'net.onnx'}' {{input}} {{output}}{ending}\"\n"
        f"version: \"'{sys.executable}' '{TOOL}' --version\"\nscheme: scheme.yaml\n"
    )
    return load_segmenter(str(path))


def test_an_onnx_network_of_another_maker_labels_the_study(fused: Fused, folder: Path) -> None:
    labels, card = label_with(described(folder), fused, minutes=2, memory_gb=8)
    bright = (fused.water > 100) & fused.body
    np.testing.assert_array_equal(labels.voxels == by_name("vastus_lateralis").index, bright)
    assert (card.name, card.version, card.made_elsewhere) == ("bright", "onnx-tool 3.2.1", True)


@pytest.mark.parametrize(
    ("fault", "error", "message", "minutes", "memory_gb"),
    [
        ("fails", SegmentationError, "it ended with code 3: out of luck", 2, 8),
        ("hangs", SegmentationError, "not done after", 0.05, 8),
        ("grows", SegmentationError, r"more than 0\.5 GB of memory", 2, 0.5),
        ("writes nothing", SegmentationError, "0 files labels.nii.gz after it ended", 2, 8),
        ("other grid", SegmentationError, "a label map on another grid than the image", 2, 8),
        (
            "unknown labels",
            InputError,
            "^segmenter bright, its labels.nii.gz: numbers that bright 1 does not list: 77",
            2,
            8,
        ),
        ("empty", InputError, "no voxel of a structure that scheme bright maps", 2, 8),
    ],
)
def test_a_failure_of_the_tool_is_one_clear_error(
    fused: Fused, folder: Path, fault: str, error: type[Exception], message: str, minutes: float, memory_gb: float
) -> None:
    with pytest.raises(error, match=message):
        label_with(described(folder, fault), fused, minutes=minutes, memory_gb=memory_gb)


def test_a_tool_that_is_not_installed_says_so(fused: Fused) -> None:
    tool = Segmenter("none", "no-such-program {input} {output}", "ours")
    with pytest.raises(SegmentationError, match="no program no-such-program"):
        label_with(tool, fused, minutes=1, memory_gb=1)


@pytest.mark.parametrize("name", segmenter_names())
def test_every_known_tool_has_a_scheme(name: str) -> None:
    assert load_scheme(KNOWN_SEGMENTERS[name]["scheme"]).labels
    assert set(KNOWN_SEGMENTERS[name]) <= {field.name for field in fields(Segmenter)}
    assert Segmenter(name, **KNOWN_SEGMENTERS[name]).source


@pytest.mark.parametrize(
    "command",
    [
        "tool {output}",
        "tool {input} {other}",
        "tool '{input}",
        "",
        "tool {input:{x}}",
        "tool {input!r}",
        "a {input} | b",
    ],
)
def test_a_command_that_cannot_be_run_is_refused(command: str) -> None:
    with pytest.raises(UsageError, match="segmenter x: a command"):
        Segmenter("x", command, "ours")


@pytest.mark.parametrize("writes", ["", "/tmp/labels.nii.gz", "../labels.nii.gz"])
def test_labels_outside_the_folder_are_refused(writes: str) -> None:
    with pytest.raises(UsageError, match="segmenter x: writes"):
        Segmenter("x", "tool {input} {output}", "ours", writes=writes)


def test_a_script_beside_its_description_is_found(
    fused: Fused, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "it's {one} \u00e4"
    place.mkdir()
    script = place / "tool.sh"
    run = f"'{sys.executable}' '{TOOL}' '{folder / 'net.onnx'}' \"$1\" \"$2\""
    script.write_text(f"#!/bin/sh\n[ $# = 0 ] && echo 7.1 || {run}\n")
    script.chmod(0o755)
    (place / "scheme.yaml").write_bytes((folder / "scheme.yaml").read_bytes())
    words = "name: t\ncommand: ./tool.sh {input} {output}\nversion: ./tool.sh\nscheme: scheme.yaml\n"
    (place / "tool.yaml").write_text(words)
    _, card = label_with(load_segmenter(str(place / "tool.yaml")), fused, minutes=2, memory_gb=8)
    assert card.version == "7.1"
    script.rename(tmp_path / "tool.sh")
    monkeypatch.chdir(tmp_path)  # and a program whose path begins where we are
    tool = Segmenter("t", "./tool.sh {input} {output}", str(place / "scheme.yaml"))
    assert label_with(tool, fused, minutes=2, memory_gb=8)[0].voxels.any()


@pytest.mark.parametrize("twice", ["labels:\n  1: bright\n  1: dark\n", "labels:\n  1: bright\nname: other\n"])
def test_a_key_that_is_given_twice_is_refused(tmp_path: Path, twice: str) -> None:
    scheme = tmp_path / "scheme.yaml"
    scheme.write_text(f"name: s\nversion: '1'\nsource: here\nstructures:\n  vastus_lateralis: [bright]\n{twice}")
    with pytest.raises(UsageError, match="is given twice"):
        load_scheme(str(scheme))


def test_an_unknown_tool_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"totalsegmentator, .*nnunet, onnx, or a \.yaml file"):
        LabelOptions(segmenter="magic")
