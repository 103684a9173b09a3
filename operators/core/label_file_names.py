"""Which files can hold a label map, by their names."""

from __future__ import annotations

from pathlib import Path

from operators.core.errors import InputError

__all__ = ["NIFTI_ENDINGS", "NRRD_ENDINGS", "check_label_file_name"]

NIFTI_ENDINGS = (".nii", ".nii.gz")
NRRD_ENDINGS = (".nrrd", ".nhdr")


def check_label_file_name(path: Path) -> None:
    """Raise `InputError` for a file that no reader of label maps takes."""
    if not path.name.lower().endswith((*NIFTI_ENDINGS, *NRRD_ENDINGS)):
        raise InputError(path.name, "not a label map", ".nii, .nii.gz, .nrrd or .seg.nrrd", "Convert it.")
