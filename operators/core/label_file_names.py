"""Which files and folders can hold labels, by their names."""

from __future__ import annotations

from pathlib import Path

from operators.core.errors import InputError

__all__ = ["NIFTI_ENDINGS", "NRRD_ENDINGS", "check_label_file_name", "masks_in"]

NIFTI_ENDINGS = (".nii", ".nii.gz")
NRRD_ENDINGS = (".nrrd", ".nhdr")
# Longest first: `femur.seg.nrrd` is the mask of `femur`.
_ENDINGS = (".seg.nrrd", ".nii.gz", ".nii", *NRRD_ENDINGS)


def check_label_file_name(path: Path) -> None:
    """Raise `InputError` for a file that no reader of label maps takes, and for a folder without masks."""
    if path.is_dir():
        masks_in(path)
    elif not path.name.lower().endswith((*NIFTI_ENDINGS, *NRRD_ENDINGS)):
        remedy = "Unpack it, and give the folder of masks." if path.suffix.lower() == ".zip" else "Convert it."
        raise InputError(path.name, "not a label map", ".nii, .nii.gz, .nrrd or .seg.nrrd", remedy)


def masks_in(folder: Path) -> dict[str, Path]:
    """The masks in a folder of single structures, by the structure's name; sub-folders and other files are passed over.

    Raises
    ------
    InputError
        When the folder cannot be read or holds no mask, or a structure has two files.
    """
    masks: dict[str, Path] = {}
    try:
        files = sorted(file for file in folder.iterdir() if not file.name.startswith(".") and not file.is_dir())
    except OSError as error:
        raise InputError(folder.name, f"not readable ({error.strerror})", "a folder of masks", "Check it.") from error
    for file in files:
        ending = next((ending for ending in _ENDINGS if file.name.lower().endswith(ending)), None)
        if ending is None:
            continue
        name = file.name[: -len(ending)]
        if name in masks:
            raise InputError(
                folder.name, f"{masks[name].name} and {file.name}", "one mask for each structure", "Remove one of them."
            )
        masks[name] = file
    if not masks:
        raise InputError(
            folder.name,
            "no mask",
            "one NIfTI or NRRD file for each structure, named like it, such as femur_left.nii.gz",
            "Give the folder that the tool wrote its masks to.",
        )
    return masks
