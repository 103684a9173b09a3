"""What the page shows of quality: figures beside limits, the stations, close-ups of seams, and different slices."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from operators.core.volume import Contrast, QualityFlag, Volume
from operators.phenotype_report import build_report, busiest_slice, measure, pictures_of, render_html
from operators.phenotype_report.html import PageContent
from operators.phenotype_report.page_checks import checks_of
from operators.phenotype_report.station_pictures import seam_pictures, station_diagram
from operators.phenotype_report.viewer import viewer_data
from tests import box_body


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    labels, _ = box_body.box_labels(left_scale=0.8)
    fused = box_body.fused_of(box_body.grid(), contrasts=tuple(Contrast))
    study = box_body.study_of(fused)
    return build_report(measure(Volume(labels, fused.grid), fused, 1.7, sex="F"), fused, study, box_body.MODEL, {})


def test_figures_beyond_their_limit_are_shown_as_such(report: dict[str, Any]) -> None:
    study = box_body.study_of(box_body.fused_of(box_body.grid()))
    found = {check.name: check for check in checks_of(report, study)}
    assert (found["Brightness of neighbouring stations"].figure, found["Volume index (TVI)"].passed) == ("1.02", False)
    changed = json.loads(json.dumps(report))
    changed["quality"]["overlaps"][0] |= {"gain_ratio": 0.5, "shift_mm": 9.0}
    changed["structures"][3]["confidence_mean"] = 0.41
    found = {check.name: check for check in checks_of(changed, study)}
    assert not any(check.passed for check in found.values())
    lowest = found["Lowest mean confidence of a structure"]
    assert lowest.figure == f"41.0% ({changed['structures'][3]['display_name']})"
    page = render_html(changed, further=PageContent(checks=tuple(found.values())))
    assert page.count(">beyond<") == len(found) and "at most 6 mm" in page


def test_diagram_shows_the_stations_and_where_warnings_point(report: dict[str, Any]) -> None:
    changed = json.loads(json.dumps(report["quality"]))
    stations = changed["stations"]
    low, high = stations[1]["z_low_mm"], stations[1]["z_high_mm"]
    changed["flags"] = [{"code": "ghosting", "severity": "warning", "message": "Ghosts.", "z_mm": [low, high]}]
    diagram = station_diagram(changed)
    assert diagram is not None
    upper, lower = diagram.stations
    assert upper.x < lower.x and upper.row != lower.row
    (flagged,) = diagram.flagged
    assert (flagged.x, flagged.width) == (lower.x, lower.width)
    assert (flagged.anchor, flagged.text_x) == ("end", lower.x + lower.width)
    # The text's baseline (quality.html.j2) leaves room for its descenders above the end of the picture.
    assert diagram.height - 2 >= 46 + 14 * flagged.row + 3
    assert station_diagram({**changed, "stations": []}) is None


def test_seam_is_shown_where_the_stations_meet(report: dict[str, Any]) -> None:
    fused = box_body.fused_of(box_body.grid(), contrasts=tuple(Contrast))
    bright = fused.water.copy()
    bright[30:] = 400.0  # the upper station
    (seam,) = seam_pictures(replace(fused, water=bright), report["quality"])
    rows = np.asarray(Image.open(io.BytesIO(seam.jpeg))).astype(float).mean(axis=1)
    middle = len(rows) // 2
    assert rows[: middle - 8].min() > 1.2 * rows[middle + 8 :].max()
    assert "1 and 2" in seam.title


def test_two_pictures_never_show_the_same_slice() -> None:
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(box_body.grid())
    pictures = pictures_of(Volume(labels, fused.grid), fused, measure(Volume(labels, fused.grid), fused))
    slices = [picture.caption for picture in pictures if picture.title.startswith("Axial")]
    assert len(set(slices)) == len(slices) > 1
    first = busiest_slice(labels, fused.grid, "axial")
    second = busiest_slice(labels, fused.grid, "axial", taken=[first], apart=4)
    assert abs(first - second) >= 4


def test_pictures_of_a_withheld_study_show_its_body_at_different_heights() -> None:
    flag = QualityFlag("station-gap", "error", "A gap.")
    fused = replace(box_body.fused_of(box_body.grid()), flags=(flag,))
    labels = Volume(np.zeros(fused.grid.shape, dtype=np.uint8), fused.grid)
    pictures = pictures_of(labels, fused, measure(labels, fused))
    assert [picture.title for picture in pictures] == [
        "Coronal",
        "Axial, upper quarter",
        "Axial, middle",
        "Axial, lower quarter",
    ]
    slices = [int(picture.caption.split()[1].rstrip(".")) for picture in pictures[1:]]
    assert slices == sorted(slices, reverse=True) and len(set(slices)) == 3
    assert all(fused.body[number - 1].any() for number in slices)


def test_viewer_of_a_study_without_fat_has_water_alone(report: dict[str, Any]) -> None:
    fused = replace(box_body.fused_of(box_body.grid()), absent=frozenset({Contrast.FAT}))
    data = viewer_data(None, fused, None)
    assert data["fat"] is None and data["water"]
    page = render_html(report, pictures_of_one(), PageContent(viewer=data))
    assert 'value="fraction"' not in page and "<canvas" in page


def pictures_of_one() -> tuple[Any, ...]:
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(box_body.grid())
    volume = Volume(labels, fused.grid)
    return pictures_of(volume, fused, measure(volume, fused))[:1]
