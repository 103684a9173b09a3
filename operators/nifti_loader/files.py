"""Which NIfTI files make up a study, and which contrast each of them shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from operators.core.contrast import Contrast
from operators.core.errors import InputError
from operators.core.label_file_names import NIFTI_ENDINGS
from operators.dicom_loader.clutter import is_clutter

__all__ = ["contrast_files", "is_nifti"]

_WORDS: Mapping[Contrast, frozenset[str]] = {
    Contrast.WATER: frozenset({"water", "wateronly", "w"}),
    Contrast.FAT: frozenset({"fat", "fatonly", "f"}),
    Contrast.IN: frozenset({"in", "inphase", "ip"}),
    Contrast.OPPOSED: frozenset({"opp", "opposed", "out", "outphase", "op", "opposedphase"}),
}
_OTHERS = frozenset(
    {"fraction", "mask", "body", "labels", "label", "segmentation", "seg", "ff", "pdff", "confidence", "dseg"}
)
_NO_IMAGE = _OTHERS - {"body"}
"""The water image of a whole body may be called so; in a folder, ``body`` is a mask."""

_PREAMBLE, _OPENING = 128, 132  # "DICM" follows 128 bytes
_MOST_FILES = 2000

_EXPECTED = "a NIfTI file of the water image, or a folder with one file for each contrast (water, fat, in, opp)"


def is_nifti(source: Path) -> bool:
    """Whether a study is given as NIfTI: a file by its name, or a folder that holds NIfTI files and no DICOM.

    A README, tables, pictures, thumbnails and folders without anything that may be DICOM do not matter.
    """
    if not source.is_dir():
        return source.name.lower().endswith(NIFTI_ENDINGS)
    beside = [path for path in source.iterdir() if not path.name.startswith(".")]
    if not any(path.name.lower().endswith(NIFTI_ENDINGS) for path in beside):
        return False
    inside = (file for path in beside for file in (path.rglob("*") if path.is_dir() else (path,)))
    return not any(_may_be_dicom(file) for file in islice(inside, _MOST_FILES))


def _may_be_dicom(file: Path) -> bool:
    if file.name.lower().endswith((*NIFTI_ENDINGS, ".bval", ".bvec")):
        return False
    try:
        if not file.is_file():
            return False
        with file.open("rb") as opened:
            opening = opened.read(_OPENING)
    except OSError:
        return False
    return opening[_PREAMBLE:] == b"DICM" or not is_clutter(file.name, opening[:_PREAMBLE])


def contrast_files(source: Path) -> dict[Contrast, Path]:
    """The files of a study by contrast.

    Parameters
    ----------
    source : Path
        A file is the water image, whatever its name says, unless that names another contrast, a fraction or labels.
        In a folder, each file's name holds a word for its contrast: ``sub-01_water.nii.gz``, ``opp.nii``. Fat
        fractions, masks and label maps are passed over.

    Raises
    ------
    InputError
        When there is no file, none is of water, a name says no contrast, or two say the same.
    """
    if not source.is_dir():
        if not source.is_file():
            raise InputError(source.name, "no such file", _EXPECTED, "Check the path.")
        told = _told(source)
        if told in (Contrast.FAT, Contrast.IN, Contrast.OPPOSED):
            raise InputError(
                source.name,
                f"a {told.value} image alone, by its name",
                _EXPECTED,
                "Give the folder with all contrasts, or rename the file if it is the water image.",
            )
        if told is None and (others := sorted(_NO_IMAGE & set(_words(source)))):
            raise InputError(
                source.name,
                f"a name that says it is not a water image ({others[0]})",
                _EXPECTED,
                "Give the water image, or rename the file if it is that.",
            )
        return {Contrast.WATER: source}
    files = sorted(p for p in source.iterdir() if p.name.lower().endswith(NIFTI_ENDINGS) and not p.name.startswith("."))
    files = [path for path in files if not _OTHERS & set(_words(path))]
    if len(files) == 1 and _told(files[0]) is None:
        return {Contrast.WATER: files[0]}
    found: dict[Contrast, Path] = {}
    for path in files:
        contrast = _told(path)
        if contrast is None:
            raise InputError(
                path.name,
                "a name that does not say the contrast, or says two",
                "a word for the contrast in each name: water, fat, in or opp",
                "Rename the file, or move it out of the folder.",
            )
        if contrast in found:
            raise InputError(
                source.name,
                f"{found[contrast].name} and {path.name}, both {contrast.value}",
                "one file for each contrast",
                "Leave one file for each contrast in the folder.",
            )
        found[contrast] = path
    if Contrast.WATER not in found:
        names = ", ".join(path.name for path in files) or "no image"
        raise InputError(source.name, names, _EXPECTED, "Add the water image.")
    return found


def _words(path: Path) -> list[str]:
    stem = re.sub(r"\.nii(\.gz)?$", "", path.name.lower())
    return [word for word in re.split(r"[^a-z]+", stem.replace("fatfraction", "fat-fraction")) if word]


def _told(path: Path) -> Contrast | None:
    """The one contrast that a file's name says; None when it says none or several."""
    words = set(_words(path))
    if "fraction" in words:
        return None
    told = [contrast for contrast, its in _WORDS.items() if its & words]
    return told[0] if len(told) == 1 else None
