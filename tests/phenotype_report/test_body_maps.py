"""The maps of the body are coloured by asymmetry, fat and percentile."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from operators.core.volume import Volume
from operators.phenotype_report import measure
from operators.phenotype_report.body_maps import body_maps
from tests import box_body


def test_the_larger_side_is_blue_and_the_patients_right_is_on_the_left() -> None:
    labels, _ = box_body.box_labels(left_scale=0.8)
    fused = box_body.fused_of(box_body.grid())
    volume = Volume(labels, fused.grid)
    maps = body_maps(volume, measure(volume, fused), {"gluteal_cm3": 12})
    assert [one.key for one in maps] == ["asymmetry", "fat", "percentile"]
    picture = np.asarray(Image.open(io.BytesIO(maps[0].png))).astype(int)
    front = picture[:, : picture.shape[1] // 2 - 20]
    drawn = front[..., 3] > 0
    bluer = front[..., 2] - front[..., 0]
    columns = np.broadcast_to(np.arange(front.shape[1]), drawn.shape)
    blue, orange = columns[drawn & (bluer > 40)], columns[drawn & (bluer < -40)]
    assert blue.max() < orange.min()
    assert blue.size > orange.size > 100


def test_without_sides_there_is_no_map() -> None:
    labels, _ = box_body.box_labels()
    labels[:, :, 40:] = 0  # the patient's left
    fused = box_body.fused_of(box_body.grid())
    assert body_maps(Volume(labels, fused.grid), measure(Volume(labels, fused.grid), fused)) == ()


def test_islands_of_the_labels_are_not_drawn() -> None:
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(box_body.grid())
    clean = Volume(labels, fused.grid)
    with_island = labels.copy()
    with_island[59, 2, 2] = 1
    drawn = [body_maps(volume, measure(clean, fused))[0].png for volume in (clean, Volume(with_island, fused.grid))]
    assert drawn[0] == drawn[1]
