"""Process every study in a folder with one model, and write the headline numbers as one CSV.

    python examples/process_folder.py archive out

Each zip and each folder in ``archive`` is one study. A study that fails does not
stop the others: its row says why. Results are in ``out/<name of the study>``.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import Any, Literal

from sarcomap import SHIPPED_BUNDLE, RunOptions, SarcoMapError, load_model, process_study

NUMBERS = ("tmv_cm3", "tvi_cm3_per_cm2", "pa_ratio", "lr_asymmetry", "muscle_dixon_fat_core")


def process_folder(
    studies: Path, output: Path, bundle: Path = SHIPPED_BUNDLE, device: Literal["auto", "cpu", "cuda"] = "auto"
) -> Path:
    """Process all studies; returns the CSV. Phenotypes that could not be given are empty there."""
    model = load_model(bundle)  # once; loading it takes longer than some studies
    options = RunOptions(device=device)
    sources = sorted(path for path in studies.iterdir() if path.is_dir() or path.suffix == ".zip")

    rows = []
    for source in sources:
        row: dict[str, Any] = {"study": source.name}
        try:
            result = process_study(source, output / source.name.removesuffix(".zip"), options, model=model)
        except SarcoMapError as error:  # all our errors; the output folder is as it was before
            row["error"] = str(error)
        else:
            row |= {name: result.phenotypes[name] for name in NUMBERS}
            row["flags"] = " ".join(flag["code"] for flag in result.flags)
        rows.append(row)
        print(row, file=sys.stderr)

    table = output / "numbers.csv"
    output.mkdir(parents=True, exist_ok=True)
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ("study", *NUMBERS, "flags", "error"))
        writer.writeheader()
        writer.writerows(rows)
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=Path, help="folder with one zip or folder for each study")
    parser.add_argument("output", type=Path)
    parser.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE, help="your own weights")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    print(process_folder(**vars(parser.parse_args())))
