"""Make ``docs/painted.png``: axial slices of a label map beside the water and fat that are painted into it.

    python -m benchmarks.painted_picture
    python -m benchmarks.painted_picture --labels person.nii.gz --scheme scheme.yaml --out painted.png

Without --labels, the map is that of a phantom's thighs and hips, in slabs around two heights.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from operators.core import anatomy
from operators.core.nrrd_files import write_segmentation, write_volume
from operators.core.volume import Grid, Volume
from phantom.anatomy import Tissues, body_grid, build_tissues, fit_body
from phantom.mapped_body import read_body
from phantom.painting import paint
from phantom.participant import draw_participant

_GAP, _BRIGHTEST = 8, 420.0
_HEIGHTS = {"gluteal": (anatomy.Compartment.GLUTEAL,), "thigh": (anatomy.Compartment.ANTERIOR,)}
_SLAB_MM = 40.0
_ENLARGED = 2


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--scheme", default="ours")
    parser.add_argument("--outline", type=Path)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("docs/painted.png"))
    arguments = parser.parse_args()
    if arguments.labels is not None:
        body = read_body(arguments.labels, arguments.scheme, arguments.outline)
        tissues = paint(body.body, arguments.seed)
        rows = [_row(tissues, slice_of(tissues.labels, names)) for names in _HEIGHTS.values()]
    else:
        rows = []
        with tempfile.TemporaryDirectory() as folder:
            for names in _HEIGHTS.values():
                labels, outline = write_phantom_slab(Path(folder), names, arguments.seed)
                tissues = paint(read_body(labels, "ours", outline).body, arguments.seed)
                rows.append(_row(tissues, len(tissues.labels) // 2))
    width = max(row.shape[1] for row in rows)
    rows = [np.pad(row, ((0, _GAP), (0, width - row.shape[1]), (0, 0))) for row in rows]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)[:-_GAP]).save(arguments.out, optimize=True)
    print(arguments.out)


def write_phantom_slab(folder: Path, compartments: tuple[anatomy.Compartment, ...], seed: int) -> tuple[Path, Path]:
    """Write label map and outline of a phantom around the height where it has most of a compartment."""
    person = draw_participant(seed)
    shape = fit_body(person)
    coarse = build_tissues(person, body_grid(person, (4.0, 4.0, 8.0)), shape)
    z_mm = coarse.grid.origin_mm[2] + 8.0 * slice_of(coarse.labels, compartments)
    whole = body_grid(person, (2.0, 2.0, 4.0))
    affine = whole.affine.copy()
    affine[2, 3] = z_mm - _SLAB_MM / 2
    grid = Grid((int(_SLAB_MM / 4) + 1, *whole.shape[1:]), affine)
    tissues = build_tissues(person, grid, shape)
    labels, outline = folder / "labels.seg.nrrd", folder / "outline.nrrd"
    write_segmentation(labels, Volume(tissues.labels, grid))
    write_volume(outline, Volume(((tissues.water + tissues.fat) > 0).astype(np.uint8), grid))
    return labels, outline


def slice_of(labels: NDArray[np.uint8], compartments: tuple[anatomy.Compartment, ...]) -> int:
    """The slice with most voxels of some compartments."""
    members = [s.index for s in anatomy.STRUCTURES if s.compartment in compartments]
    return int(np.isin(labels, members).sum(axis=(1, 2)).argmax())


def _row(tissues: Tissues, z: int) -> NDArray[np.uint8]:
    """Labels, water and fat of a slice side by side, as seen from the feet."""
    colours = np.zeros((256, 3), np.uint8)
    for structure in anatomy.STRUCTURES:
        colours[structure.index] = structure.colour_rgb
    grey = [np.clip(image[z] / _BRIGHTEST * 255, 0, 255).astype(np.uint8) for image in (tissues.water, tissues.fat)]
    there = np.maximum(*grey) > 0
    box = tuple(slice(max(0, place.min() - _GAP // 2), place.max() + _GAP // 2) for place in np.nonzero(there))
    pictures = [colours[tissues.labels[z]], *(np.repeat(image[..., None], 3, 2) for image in grey)]
    pictures = [picture[box].repeat(_ENLARGED, 0).repeat(_ENLARGED, 1) for picture in pictures]
    return np.concatenate([np.pad(picture, ((0, 0), (0, _GAP), (0, 0))) for picture in pictures], axis=1)


if __name__ == "__main__":
    main()
