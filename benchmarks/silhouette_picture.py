"""Make a picture of labels without the image: on the flat outline of the body, so that no image of a person is shown.

    python -m benchmarks.silhouette_picture RESULT --out docs/people_labels.png

Seven axial slices from the lowest to the highest with labels, and one coronal slice.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from operators.core.nrrd_files import read_segmentation, read_volume
from operators.core.output_files import replacing
from operators.phenotype_report import busiest_slice, overlay_png

_AXIAL, _COLUMNS, _GAP = 7, 4, 8
_GREY = 0.5


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="output folder of `sarcomap run`")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    labels = read_segmentation(arguments.result / "segmentation.seg.nrrd")
    body = np.asarray(read_volume(arguments.result / "fused" / "body.nrrd").voxels, np.uint8) > 0
    voxels, grid = np.asarray(labels.voxels, np.uint8), labels.grid
    heights = np.flatnonzero(voxels.any(axis=(1, 2)))
    axial = np.linspace(heights[0], heights[-1], _AXIAL + 2)[1:-1].round().astype(int)
    within = np.stack([ndimage.binary_erosion(slice_) for slice_ in body])
    flat = np.where(within, _GREY, body).astype(np.float32)
    pictures = [
        Image.open(io.BytesIO(overlay_png(flat, voxels, grid, plane, int(index), body=body))).convert("RGB")  # type: ignore[arg-type]
        for plane, index in (*(("axial", z) for z in axial[::-1]), ("coronal", busiest_slice(voxels, grid, "coronal")))
    ]
    width, height = (max(picture.size[side] for picture in pictures) for side in (0, 1))
    rows = -(-len(pictures) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP), "black")
    for number, picture in enumerate(pictures):
        row, column = divmod(number, _COLUMNS)
        left = column * (width + _GAP) + (width - picture.width) // 2
        sheet.paste(picture, (left, row * (height + _GAP) + (height - picture.height) // 2))
    with replacing(arguments.out) as partial:
        sheet.save(partial, format="PNG", optimize=True)
    print(arguments.out)


if __name__ == "__main__":
    main()
