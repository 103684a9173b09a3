"""The OHIF viewer in a real browser shows results from a PACS."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.dicomweb import Access, store_files
from app.from_server import dicom_results
from app.run import run_study
from operators.core.anatomy import STRUCTURES
from operators.core.options import DicomOptions, RunOptions, SegType
from tests.pacs.orthanc import needs_orthanc, orthanc
from tests.pacs.small_study import study_uid
from tests.pacs.viewer import OHIF, look, ohif

pytestmark = [
    needs_orthanc,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (OHIF / "index.html").is_file() or not shutil.which("chromium"),
        reason="OHIF and Chromium are not installed (tests/install_pacs.sh)",
    ),
]

SHOWN = "Vastus lateralis"


def coloured(picture: bytes) -> NDArray[np.bool_]:
    """Coloured pixels, which a grey image does not have."""
    rgb = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
    return (rgb.max(axis=2) - rgb.min(axis=2)) > 40


@pytest.mark.parametrize("seg_type", ["binary", "labelmap"])
def test_segments_are_listed_by_name_and_drawn_on_the_derived_series(
    study: Path, tmp_path: Path, seg_type: SegType
) -> None:
    run_study(study, tmp_path / "out", RunOptions(dicom=DicomOptions(seg_type=seg_type)))
    with orthanc(tmp_path / "orthanc") as pacs:
        store_files(Access(pacs.dicomweb), dicom_results(tmp_path / "out"))
        with ohif(pacs) as address:
            view = look(address, study_uid(study), SHOWN, tmp_path / "ohif.png")
    for structure in STRUCTURES:
        assert structure.display_name in view.text
    before, after = coloured(view.image_before), coloured(view.image_after)
    assert after.sum() > before.sum() + 0.01 * after.size
    assert view.errors == []
