"""What benchmarks take for the truth of a phantom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.phantom_truth import interior, scanned_tissues
from benchmarks.records import kept
from operators.core.volume import Grid
from phantom.anatomy import body_grid, build_labels, fit_body
from phantom.participant import draw_participant
from phantom.station_geometry import archive_stations


@pytest.mark.parametrize("spacing_mm", [(2.0, 2.0, 2.0), (1.2, 0.9, 2.0), (3.0, 3.0, 3.0)])
def test_the_interior_is_what_is_deeper_than_the_distance(spacing_mm: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(4)
    labels = ndimage.zoom(rng.integers(0, 4, (4, 5, 6)).astype(np.uint8), 6, order=0)
    grid = Grid(labels.shape, np.diag([*spacing_mm, 1.0]))  # type: ignore[arg-type]
    found = interior(labels, grid, 2.0)
    for label in range(1, 4):
        mask = np.pad(labels == label, 1)
        depth = ndimage.distance_transform_edt(mask, sampling=spacing_mm[::-1])[1:-1, 1:-1, 1:-1]
        expected = depth > 2.0
        assert expected.any()
        np.testing.assert_array_equal(found & (labels == label), expected)


def test_scanned_tissues_are_the_body_where_stations_are() -> None:
    person = draw_participant(5)
    body = fit_body(person, rounds=2)
    stations = archive_stations(4)
    spacing = (8.0, 8.0, 8.0)
    tissues = scanned_tissues(person, body, stations, spacing)
    whole = body_grid(person, spacing)
    offset = np.rint((tissues.grid.origin_mm - whole.origin_mm) / 8.0).astype(int)[::-1]
    box = tuple(slice(n, n + size) for n, size in zip(offset, tissues.grid.shape, strict=True))
    labels = build_labels(body, whole)
    np.testing.assert_array_equal(tissues.labels, labels[box])
    low, high = stations[-1].z_edges_mm[0], stations[0].z_edges_mm[1]
    z = whole.origin_mm[2] + 8.0 * np.arange(whole.shape[0])
    shown = (z > low) & (z < high)
    labels[box] = 0
    assert not labels[shown].any()
    assert tissues.labels.size < 0.7 * labels.size


def test_records_are_made_once_unless_what_they_depend_on_changes(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> dict[str, int]:
        made.append(1)
        return {"number": len(made)}

    folder = tmp_path / "records"
    assert [kept(folder, 7, "a", make)["number"] for _ in range(2)] == [1, 1]
    assert kept(folder, 8, "a", make)["number"] == 2
    assert kept(folder, 7, "b", make)["number"] == 3
    assert kept(folder, 7, "b", make)["number"] == 3
    assert [kept(None, 7, "b", make)["number"] for _ in range(2)] == [4, 5]
