"""Messages name series by number and contrast, because somebody typed the description at the scanner."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from operators.core.errors import GeometryError
from operators.core.volume import Contrast
from operators.dicom_loader.stacks import Stack
from tests.box_body import fused_of, grid

TYPED = "Mueller Erika knee"


def test_what_was_typed_at_the_scanner_is_in_no_name_of_a_station() -> None:
    station = replace(fused_of(grid()).stations[0], series_description=TYPED)
    assert station.title == f"series {station.series_number} ({station.contrast.value})"
    with pytest.raises(GeometryError) as refused:
        replace(station, voxels=np.zeros((1, 2, 2), np.float32))
    assert "Mueller" not in str(refused.value) and station.title in str(refused.value)


def test_what_was_typed_at_the_scanner_is_in_no_name_of_a_stack() -> None:
    file = cast(Any, SimpleNamespace(series_number=14, series_description=TYPED))
    stack = Stack(Contrast.WATER, (file,), (), (), fused_of(grid()).stations[0].grid)
    assert stack.title == "series 14 (water)"
