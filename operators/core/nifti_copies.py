"""Copies of a run's volumes as NIfTI, for tools that read nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from operators.core.anatomy import STRUCTURES
from operators.core.label_map import LabelMap
from operators.core.nifti_files import write_nifti
from operators.core.output_files import replacing
from operators.core.volume import Volume

__all__ = ["NIFTI_FOLDER", "label_copies", "nifti_names", "write_nifti_copies"]

NIFTI_FOLDER = "nifti"
_NAMES_FILE = "segmentation_labels.json"


def write_nifti_copies(folder: Path, volumes: Mapping[str, Volume]) -> None:
    """Write ``nifti/<name>.nii.gz`` for each volume, and the names of the labels where ``segmentation`` is among them.

    Parameters
    ----------
    folder : Path
        Output folder of the run.
    volumes : mapping of str to Volume
        By name: `Fused.volumes`, and those of `label_copies`.

    Raises
    ------
    OutputError
        When a file cannot be written.
    """
    for name, volume in volumes.items():
        write_nifti(folder / NIFTI_FOLDER / f"{name}.nii.gz", volume)
    if "segmentation" in volumes:
        names = {str(structure.index): structure.name for structure in STRUCTURES}
        with replacing(folder / NIFTI_FOLDER / _NAMES_FILE) as temporary:
            temporary.write_text(json.dumps(names, indent=2) + "\n", encoding="utf-8")


def label_copies(labels: Volume) -> dict[str, Volume]:
    """The label map, and its confidence and sides if they are known, by the names of their copies."""
    copies = {"segmentation": labels}
    if isinstance(labels, LabelMap):
        further = {"segmentation_confidence": labels.confidence, "segmentation_sides": labels.sides}
        copies |= {name: volume for name, volume in further.items() if volume is not None}
    return copies


def nifti_names(fused_files: Iterable[str]) -> tuple[str, ...]:
    """The copies that a whole run writes, for its ``fused/<name>.nrrd``."""
    stems = [Path(name).stem for name in fused_files]
    files = [f"{stem}.nii.gz" for stem in (*stems, "segmentation")]
    return tuple(f"{NIFTI_FOLDER}/{name}" for name in (*files, _NAMES_FILE))
