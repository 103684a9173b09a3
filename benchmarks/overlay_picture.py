"""Make ``docs/overlay.png``: a coronal and two axial slices of a fused study, each without and with the labels.

python benchmarks/overlay_picture.py --result demo/result --out docs/overlay.png
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

from operators.core.anatomy import HAMSTRINGS, QUADRICEPS
from operators.core.nrrd_files import read_segmentation, read_volume
from operators.core.volume import Volume
from operators.phenotype_report import busiest_slice, overlay_png

_GAP = 12


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--result", type=Path, default=Path("demo/result"), help="output folder of `python -m app`")
    parser.add_argument("--labels", type=Path, help="another label map on the same grid (default: the result's)")
    parser.add_argument("--out", type=Path, default=Path("docs/overlay.png"))
    arguments = parser.parse_args()
    water = read_volume(arguments.result / "fused" / "water.nrrd")
    labels = read_segmentation(arguments.labels or arguments.result / "segmentation.seg.nrrd")
    coronal = _pair(water, labels, "coronal", None)
    pelvis = _pair(water, labels, "axial", ("gluteus_maximus", "gluteus_medius"))
    thigh = _pair(water, labels, "axial", (*QUADRICEPS, *HAMSTRINGS))
    width = max(pelvis.width, thigh.width)
    sheet = Image.new(
        "RGB", (coronal.width + _GAP + width, max(coronal.height, pelvis.height + thigh.height + _GAP)), "black"
    )
    sheet.paste(coronal, (0, 0))
    sheet.paste(pelvis, (coronal.width + _GAP, 0))
    sheet.paste(thigh, (coronal.width + _GAP, pelvis.height + _GAP))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(arguments.out, optimize=True)
    print(arguments.out)


def _pair(water: Volume, labels: Volume, plane: str, structures: tuple[str, ...] | None) -> Image.Image:
    """The slice without and with labels, side by side."""
    voxels = np.asarray(labels.voxels, np.uint8)
    image = np.asarray(water.voxels, np.float32)
    index = busiest_slice(voxels, water.grid, plane, structures)  # type: ignore[arg-type]
    both = [
        Image.open(io.BytesIO(overlay_png(image, shown, water.grid, plane, index))).convert("RGB")  # type: ignore[arg-type]
        for shown in (None, voxels)
    ]
    w, h = both[0].size
    sheet = Image.new("RGB", (2 * w + _GAP, h), "black")
    for n, picture in enumerate(both):
        sheet.paste(picture, (n * (w + _GAP), 0))
    return sheet


if __name__ == "__main__":
    main()
