"""Label maps and outlines that no body can be painted into are refused where they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
from numpy.typing import NDArray

from operators.core.errors import InputError
from phantom.mapped_body import read_body
from tests.phantom.thigh_maps import HAMSTRINGS, QUADRICEPS, SCHEME, thighs

AFFINE = np.diag([-2.0, -2.0, 8.0, 1.0])


@pytest.fixture
def scheme(tmp_path: Path) -> str:
    (tmp_path / "scheme.yaml").write_text(SCHEME)
    return str(tmp_path / "scheme.yaml")


def written(folder: Path, labels: NDArray[Any], affine: NDArray[np.float64] = AFFINE, name: str = "map") -> Path:
    """The map, shape (z, y, x), as NIfTI; x runs towards the patient's left, y towards the back."""
    nibabel.save(nibabel.Nifti1Image(labels.transpose(2, 1, 0).astype(np.uint8), affine), folder / f"{name}.nii.gz")
    return folder / f"{name}.nii.gz"


def body_of_thighs() -> NDArray[np.bool_]:
    _, y, x = np.indices(thighs().shape)
    return np.minimum(np.hypot(x - 28, y - 30), np.hypot(x - 72, y - 30)) < 24


@pytest.mark.parametrize(
    ("change", "affine", "said"),
    [
        (lambda labels: np.where(labels == 3, 77, labels), AFFINE, "does not list: 77"),
        (lambda labels: np.where(labels > 0, 4, 0), AFFINE, "a structure of the label table"),  # a sacrum
        (lambda labels: labels, AFFINE @ np.diag([100, 100, 100, 1]), "20 m long"),
        (lambda labels: labels, AFFINE @ np.diag([10, 10, 10, 1]), "voxel size"),  # thighs of 1.6 m
        (lambda labels: labels[:, ::-1], AFFINE, "hamstrings do not lie behind the quadriceps"),
        (lambda labels: labels, AFFINE @ np.diag([1, -1, 1, 1]), "hamstrings do not lie behind the quadriceps"),
    ],
    ids=["not in the scheme", "no structure", "too long", "too large", "front to back", "wrong affine"],
)
def test_a_map_that_is_no_body_is_refused(
    change: Any, affine: NDArray[np.float64], said: str, tmp_path: Path, scheme: str
) -> None:
    with pytest.raises(InputError, match=said):
        read_body(written(tmp_path, change(thighs()), affine), scheme)


@pytest.mark.parametrize(
    ("outline", "said"),
    [
        (lambda body: np.roll(body, 12, axis=2), "of the labels inside"),
        (lambda body: body & (np.indices(body.shape)[2] > 50), "of the labels inside"),  # of one leg
        (lambda body: np.ones_like(body), "no voxel outside the body"),
        (lambda body: ~body, "of the labels inside"),
        (lambda body: np.zeros_like(body), "no voxel of a body"),
        (lambda body: thighs() > 0, "without skin and fat"),
    ],
    ids=["shifted", "one leg", "everything", "inverted", "empty", "the labels"],
)
def test_an_outline_that_is_not_the_body_is_refused(outline: Any, said: str, tmp_path: Path, scheme: str) -> None:
    mask = written(tmp_path, outline(body_of_thighs()), name="mask")
    with pytest.raises(InputError, match=said):
        read_body(written(tmp_path, thighs()), scheme, mask)


def test_an_outline_of_the_body_is_taken(tmp_path: Path, scheme: str) -> None:
    mask = written(tmp_path, body_of_thighs(), name="mask")
    assert read_body(written(tmp_path, thighs()), scheme, mask).body.body is not None


def slicer_file(path: Path, layers: NDArray[np.uint8], segments: list[tuple[str, int, int]]) -> Path:
    """A ``.seg.nrrd`` with (name, layer, value) of each segment; layers have shape (layer, z, y, x)."""
    header: dict[str, Any] = {"space": "left-posterior-superior", "space origin": [0.0, 0.0, 0.0]}
    header["space directions"] = np.array([[np.nan] * 3, [2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 8.0]])
    header["kinds"] = ["list", "domain", "domain", "domain"]
    for number, (name, layer, value) in enumerate(segments):
        fields = {"ID": f"S{number}", "Name": name, "Layer": str(layer), "LabelValue": str(value)}
        header |= {f"Segment{number}_{key}": text for key, text in fields.items()}
    nrrd.write(str(path), layers.transpose(0, 3, 2, 1), header)
    return path


def test_segments_of_3d_slicer_are_told_by_their_names_with_any_scheme(tmp_path: Path, scheme: str) -> None:
    renumbered = np.array([0, 3, 1, 2], np.uint8)[thighs()]
    names = [("back", 0, 2), ("front", 0, 1), ("femur", 0, 3)]
    path = slicer_file(tmp_path / "map.seg.nrrd", renumbered[None], names)
    found = read_body(path, scheme).body.labels
    expected = read_body(written(tmp_path, thighs()), scheme).body.labels
    for value in (QUADRICEPS, HAMSTRINGS):
        assert (found == value).sum() == (expected == value).sum()
    with pytest.raises(InputError, match="segment 'skin', which two thighs does not list"):
        read_body(slicer_file(tmp_path / "map.seg.nrrd", renumbered[None], [("skin", 0, 2), *names[1:]]), scheme)


def test_segments_that_overlap_are_refused(tmp_path: Path, scheme: str) -> None:
    layers = np.stack([thighs() == 3, (thighs() == 2) | (thighs() == 3)]).astype(np.uint8)
    path = slicer_file(tmp_path / "map.seg.nrrd", layers, [("back", 0, 1), ("front", 1, 1)])
    with pytest.raises(InputError, match="'front' in another segment"):
        read_body(path, scheme)


def test_another_outline_or_scheme_makes_another_body(tmp_path: Path, scheme: str) -> None:
    path, mask = written(tmp_path, thighs()), written(tmp_path, body_of_thighs(), name="mask")
    other = tmp_path / "other.yaml"
    other.write_text(SCHEME.replace("biceps_femoris: back", "semitendinosus: back"))
    digests = {read_body(path, *given).digest() for given in ((scheme,), (scheme, mask), (str(other),))}
    assert len(digests) == 3 and read_body(path, scheme).digest() in digests
