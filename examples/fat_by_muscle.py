"""The stages one by one, in memory: the fat fraction of each muscle as a table, and a picture of one axial slice.

    python examples/fat_by_muscle.py 1000123_20201_2_0.zip slice.png

With ``--labels edited.seg.nrrd`` an edited label map takes the network's place.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sarcomap import SHIPPED_BUNDLE, Fused, Volume, fuse, load_model, load_study, measure, read_segmentation, segment


def fat_by_muscle(
    source: Path, picture: Path, labels: Path | None = None, bundle: Path = SHIPPED_BUNDLE
) -> pd.DataFrame:
    """Fat fraction and volume of each structure that was found, the fattest first; writes the picture."""
    study = load_study(source)  # stations of four contrasts, by table position
    fused = fuse(study)  # one grid: water, fat, in phase, opposed phase, fat fraction, body mask
    found = read_segmentation(labels) if labels else segment(fused, load_model(bundle))
    measured = measure(found, fused, study.height_m)

    draw_slice(fused, found, picture)
    rows = [
        (m.structure.display_name, m.volume_cm3, m.fat_fraction_mean)
        for m in measured.structures
        if m.fat_fraction_mean is not None  # None where no voxel bears the label
    ]
    table = pd.DataFrame(rows, columns=["structure", "volume_cm3", "fat_fraction"])
    return table.sort_values("fat_fraction", ascending=False, ignore_index=True)


def draw_slice(fused: Fused, labels: Volume, picture: Path) -> None:
    """The axial slice with the most labelled voxels: fat fraction in grey, labels in colour."""
    k = int(np.count_nonzero(labels.voxels, axis=(1, 2)).argmax())  # arrays are (z, y, x)
    spacing = np.linalg.norm(fused.grid.affine[:3, :3], axis=0)  # mm along x, y, z
    figure, axes = plt.subplots()
    axes.imshow(fused.fat_fraction[k], cmap="gray", vmin=0, vmax=1, aspect=spacing[1] / spacing[0])
    axes.imshow(np.ma.masked_equal(labels.voxels[k], 0), cmap="prism", alpha=0.4, aspect=spacing[1] / spacing[0])
    axes.set_title(f"Fat fraction, {fused.grid.affine[2, 3] + k * fused.grid.affine[2, 2]:.0f} mm")
    axes.set_axis_off()
    figure.savefig(picture, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="zip or folder of DICOM")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--labels", type=Path, help="label map in place of the network's, on the fused grid")
    parser.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE, help="your own weights")
    print(fat_by_muscle(**vars(parser.parse_args())).round(3).to_string(index=False))
