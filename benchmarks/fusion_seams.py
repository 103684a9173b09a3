"""Effect of blends and matched intensities on seams: python -m benchmarks.fusion_seams [--out FILE.json].

Phantoms are scanned with gain steps, coil bias, noise and displacements, fused
with each setting, and compared with the same body scanned without any of them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.fusion import finish
from benchmarks.made_studies import study_of
from operators.core.options import FusionOptions
from operators.core.volume import Fused, Study
from operators.station_fusion import fuse
from operators.station_fusion.overlaps import sample_overlaps
from operators.station_fusion.positions import find_positions
from phantom.acquisition import acquire_study
from phantom.anatomy import body_grid, build_tissues
from phantom.dixon_signal import AcquisitionOptions
from phantom.participant import draw_participant
from phantom.station_geometry import archive_stations, coarser

SETTINGS: dict[str, dict[str, Any]] = {
    f"{blend}{', matched' if matched else ''}": {"blend": blend, "match_intensity": matched}
    for matched in (False, True)
    for blend in ("average", "linear", "logistic")
}


def seams(participants: int, n4: bool) -> dict[str, Any]:
    """Error against a scan without noise, gain, bias and motion, where stations overlap."""
    settings = dict(SETTINGS)
    if n4:
        settings["linear, matched, N4"] = {"blend": "linear", "match_intensity": True, "bias_correction": "n4"}
    stations = coarser(archive_stations(4), in_plane=3, through_plane=1)
    options = AcquisitionOptions(noise_sd=7.5, bias_sd=0.05, gain_sd=0.10, shift_sd_mm=1.0, breathing_sd_mm=1.0)
    errors: dict[str, list[float]] = defaultdict(list)
    visibility: dict[str, list[float]] = defaultdict(list)
    for seed in range(700, 700 + participants):
        person = draw_participant(seed)
        tissues = build_tissues(person, body_grid(person, (5.0, 5.0, 5.0)))
        truth = fuse(study_of(acquire_study(tissues, stations, AcquisitionOptions.exact(decay=True), seed)))
        scanned = study_of(acquire_study(tissues, stations, options, seed))
        tissue = truth.body & (truth.in_phase > 50)
        overlapping = tissue & overlap_slices(scanned, truth)[:, None, None]
        for name, setting in settings.items():
            fused = fuse(scanned, FusionOptions(**setting))
            # The overall brightness is arbitrary, so it is matched first; the remaining difference is error.
            scale = (truth.in_phase[tissue] * fused.in_phase[tissue]).sum() / (fused.in_phase[tissue] ** 2).sum()
            error = scale * fused.in_phase[overlapping] - truth.in_phase[overlapping]
            errors[name].append(float(np.sqrt((error**2).mean()) / truth.in_phase[overlapping].mean()))
            visibility[name].append(float(np.mean([pair["seam_visibility"] for pair in fused.overlaps])))
        print(f"participant {seed}", file=sys.stderr)
    return {
        "participants": participants,
        "options": {"noise_sd": 7.5, "bias_sd": 0.05, "gain_sd": 0.10, "shift_sd_mm": 1.0, "breathing_sd_mm": 1.0},
        "settings": {
            name: {
                "rms_error_median": statistics.median(errors[name]),
                "rms_error_worst": max(errors[name]),
                "seam_visibility_median": statistics.median(visibility[name]),
            }
            for name in settings
        },
    }


def overlap_slices(study: Study, fused: Fused) -> NDArray[np.bool_]:
    shared = np.zeros(fused.grid.shape[0], dtype=np.bool_)
    for overlap in sample_overlaps(find_positions(study.stations)[0], fused.grid):
        first = round(float(np.linalg.solve(fused.grid.affine, overlap.grid.affine)[2, 3]))
        shared[first : first + overlap.grid.shape[0]] = True
    return shared


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--participants", type=int, default=20)
    parser.add_argument("--n4", action="store_true", help="also measure N4, which takes minutes")
    parser.add_argument("--out", type=Path, help="JSON file; default: printed")
    options = parser.parse_args()
    finish(seams(options.participants, options.n4), options.out)


if __name__ == "__main__":
    main()
