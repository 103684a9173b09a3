"""What the plane and the number of stations change: one body acquired in several ways, against the archive's way.

    python -m benchmarks.planes --seed 11 --out benchmarks/results/planes.json

The same participant is scanned axially as in the archive, coronally, sagittally, and in one large axial station.
Each study is loaded, fused and measured twice: with the anatomy at the voxel centres as labels, and with those of the
shipped network. What differs with true labels comes from voxels and fusion, the rest from the network. Prints a table
for docs/inputs-planes.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from benchmarks.held_out import true_labels
from operators.core.label_map import LabelMap
from operators.core.model_card import SHIPPED_BUNDLE
from operators.core.output_files import replacing
from operators.dicom_loader import load_study
from operators.phenotype_report import measure
from operators.segmentation import SegmentationModel, load_model, segment
from operators.station_fusion import fuse
from phantom import write_study
from phantom.planes import Plane


class Way(NamedTuple):
    """How a body is acquired; ``stations`` as in `phantom.write_study`."""

    name: str
    plane: Plane
    stations: int


REFERENCE = Way("as in the archive", "axial", 6)
WAYS = (
    Way("four coronal stations, 4 mm images", "coronal", 4),
    Way("four sagittal stations, 4 mm images", "sagittal", 4),
    Way("one axial station, 4 mm slices", "axial", 1),
)
MEASURES = ("tmv_cm3", "pa_ratio", "lr_asymmetry", "thigh_dixon_fat_core", "thigh_dixon_fat_whole",
            "thigh_subcutaneous_adipose_cm3", "thigh_intermuscular_adipose_cm3")  # fmt: skip


def measured(way: Way, seed: int, model: SegmentationModel, folder: Path) -> dict[str, Any]:
    """Fused voxel (mm), and each of `MEASURES` with true labels and with the network's."""
    place = folder / f"{way.plane}-{way.stations}"
    write_study(place, seed=seed, orientation=way.plane, stations=way.stations)
    fused = fuse(load_study(place / "dicom"))
    truth = LabelMap(true_labels(seed, fused.grid), fused.grid)
    found: dict[str, Any] = {"voxel_mm": [round(float(size), 2) for size in fused.grid.spacing_mm]}
    for name, labels in (("true", truth), ("network", segment(fused, model))):
        phenotypes = measure(labels, fused).phenotypes
        found[name] = {key: getattr(phenotypes, key) for key in MEASURES}
    return found


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Differences from the reference, in Markdown; of the asymmetry as a difference, of all others as a ratio."""
    columns = [("true", "tmv_cm3"), ("network", "tmv_cm3"), ("true", "pa_ratio"), ("network", "pa_ratio"),
               ("true", "lr_asymmetry"), *(("true", key) for key in MEASURES[3:])]  # fmt: skip
    reference = rows[REFERENCE.name]
    lines = [
        "| acquired | fused voxel, x y z (mm) | " + " | ".join(f"{key}, {labels}" for labels, key in columns) + " |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for name, row in rows.items():
        cells = [name, " ".join(f"{size:.2f}" for size in row["voxel_mm"])]
        for labels, key in columns:
            value, usual = row[labels][key], reference[labels][key]
            if value is None or usual is None:
                cells.append("not given")
            elif key == "lr_asymmetry":
                cells.append(f"{value - usual:+.3f}")
            else:
                cells.append(f"{100 * (value / usual - 1):+.1f}%")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=11, help="participant (default: 11)")
    parser.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE)
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    arguments = parser.parse_args()
    model = load_model(arguments.bundle)
    with tempfile.TemporaryDirectory() as folder:
        ways = tqdm((REFERENCE, *WAYS), unit="study")
        rows = {way.name: measured(way, arguments.seed, model, Path(folder)) for way in ways}
    print(table(rows))
    if arguments.out:
        card = json.loads((arguments.bundle / "models/shipped.json").read_text(encoding="utf-8"))
        record = {"seed": arguments.seed, "model": f"{card['name']} {card['version']}", "acquired": rows}
        with replacing(arguments.out) as partial:
            partial.write_text(json.dumps(record, indent=1, default=float) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
