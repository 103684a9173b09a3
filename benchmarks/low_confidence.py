"""How often ``low-confidence`` and ``low-signal-to-noise`` warn: sound phantoms, and the same with spoilt images.

    python -m benchmarks.low_confidence --n 20 --studies /tmp/held-out --out benchmarks/results/low_confidence.json

The participants are those of `benchmarks.held_out`. Water and fat of the fused study are
made noisy or blurred, or exchanged, and labelled by the shipped network. For each fault:
in how many participants each warned, and how wrong P/A was.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.held_out import kept_or_temporary, study, true_labels
from operators.core.model_card import SHIPPED_BUNDLE
from operators.core.options import SegmentationOptions
from operators.core.output_files import replacing
from operators.core.volume import Fused
from operators.dicom_loader import load_study
from operators.phenotype_report import measure
from operators.segmentation import SegmentationModel, load_model, segment
from operators.station_fusion import fuse
from phantom.truth import count_volumes

_OPTIONS = SegmentationOptions(confidence=True)
_CODES = ("low-confidence", "low-signal-to-noise")
_MUSCLE = 240.0
"""Water signal of muscle in the phantom."""


def noisy(fused: Fused, share_of_muscle: float) -> Fused:
    """Gaussian noise of this share of muscle's signal, as a magnitude."""
    rng = np.random.default_rng(0)

    def add(image: NDArray[np.float32]) -> NDArray[np.float32]:
        noise = rng.normal(0.0, share_of_muscle * _MUSCLE, (2, *image.shape)).astype(np.float32)
        magnitude: NDArray[np.float32] = np.hypot(image + noise[0], noise[1])
        return magnitude

    return replace(fused, water=add(fused.water), fat=add(fused.fat))


def blurred(fused: Fused, sigma_mm: float) -> Fused:
    """Gaussian blur."""
    sigma = [sigma_mm / mm for mm in reversed(fused.grid.spacing_mm)]
    water, fat = (ndimage.gaussian_filter(image, sigma) for image in (fused.water, fused.fat))
    return replace(fused, water=water, fat=fat)


FAULTS: dict[str, Callable[[Fused], Fused]] = {
    "none": lambda fused: fused,
    "signal-to-noise ratio 8": lambda fused: noisy(fused, 1 / 8),
    "signal-to-noise ratio 4": lambda fused: noisy(fused, 1 / 4),
    "signal-to-noise ratio 2": lambda fused: noisy(fused, 1 / 2),
    "blur of 5 mm": lambda fused: blurred(fused, 5.0),
    "blur of 10 mm": lambda fused: blurred(fused, 10.0),
    "water and fat exchanged": lambda fused: replace(fused, water=fused.fat, fat=fused.water),
}


def examine(seed: int, archive: Path, model: SegmentationModel) -> dict[str, tuple[set[str], float]]:
    """For each fault, which of the two warned, and the relative error of P/A (NaN if it is not given)."""
    fused = fuse(load_study(archive))
    truth = count_volumes(true_labels(seed, fused.grid), fused.grid).pa_ratio
    found = {}
    for name, spoil in FAULTS.items():
        spoilt = spoil(fused)
        measured = measure(segment(spoilt, model, _OPTIONS), spoilt)
        ratio = measured.phenotypes.pa_ratio
        error = float("nan") if ratio is None or truth is None else ratio / truth - 1
        found[name] = set(_CODES) & {flag.code for flag in measured.flags}, error
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=20, help="participants (default: 20)")
    parser.add_argument("--seed", type=int, default=900000, help="seed of the first participant (default: 900000)")
    parser.add_argument("--studies", type=Path, help="folder to keep the studies in; existing ones are reused")
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    args = parser.parse_args()
    model = load_model(SHIPPED_BUNDLE)
    every: list[dict[str, tuple[set[str], float]]] = []
    with kept_or_temporary(args.studies) as folder:
        for seed in range(args.seed, args.seed + args.n):
            every.append(examine(seed, study(seed, folder), model))
            print(seed, every[-1], flush=True)
    rows: list[dict[str, Any]] = []
    for name in FAULTS:
        errors = np.abs([one[name][1] for one in every])
        given = errors[~np.isnan(errors)]
        rows.append(
            {
                "fault": name,
                "participants": len(every),
                **{code: sum(code in one[name][0] for one in every) for code in _CODES},
                "pa_given": len(given),
                "pa_median_error": None if not len(given) else round(float(np.median(given)), 4),
            }
        )
    text = json.dumps({"model": model.card.version, "sha256": model.card.sha256, "faults": rows}, indent=1)
    print(text)
    if args.out is not None:
        with replacing(args.out) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
