"""The fused study of a water image of two thighs of cylinders."""

from __future__ import annotations

import tempfile
from pathlib import Path

from operators.core.options import FusionOptions
from operators.core.volume import Fused
from operators.nifti_loader import load_nifti
from operators.station_fusion.fused_elsewhere import fused_elsewhere
from tests.nifti_loader.made_thigh import save, thigh

__all__ = ["fused_thighs"]


def fused_thighs(slices: int = 12) -> Fused:
    """As `load_nifti` and the fusion give it: water alone."""
    with tempfile.TemporaryDirectory() as folder:
        return fused_elsewhere(load_nifti(save(Path(folder) / "a.nii.gz", thigh(slices))), FusionOptions())
