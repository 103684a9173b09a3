"""The map colours the larger side blue and the smaller one orange."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from operators.core.volume import Volume
from operators.phenotype_report import measure
from operators.phenotype_report.asymmetry_map import asymmetry_map
from tests import box_body


def test_the_larger_side_is_blue_and_the_patients_right_is_on_the_left() -> None:
    labels, _ = box_body.box_labels(left_scale=0.8)
    fused = box_body.fused_of(box_body.grid())
    volume = Volume(labels, fused.grid)
    png = asymmetry_map(volume, measure(volume, fused))
    assert png is not None
    picture = np.asarray(Image.open(io.BytesIO(png))).astype(int)
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
    assert asymmetry_map(Volume(labels, fused.grid), measure(Volume(labels, fused.grid), fused)) is None
