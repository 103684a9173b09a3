"""Labelling of a fused study by a tool of another maker, in a process of its own with limits."""

from __future__ import annotations

import logging
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from operators.core.cuda_driver import driver_sees_device
from operators.core.errors import InputError, SegmentationError
from operators.core.label_files import read_label_file
from operators.core.label_map import LabelMap
from operators.core.label_schemes import LabelSource, load_scheme
from operators.core.model_card import ModelCard
from operators.core.nifti_files import write_nifti
from operators.core.segmenters import Segmenter
from operators.core.volume import Fused
from operators.segmentation.made_elsewhere import import_labels
from operators.segmentation.tool_process import run_tool
from operators.segmentation.tool_version import version_of

__all__ = ["check_installed", "label_with"]

_log = logging.getLogger(__name__)
_OUTPUT = "labels.nii.gz"
_SAME_GRID_MM = 0.1


def check_installed(tool: Segmenter) -> None:
    """Raise `SegmentationError` if the tool's program is not on the path."""
    if shutil.which(tool.program) is None:
        raise SegmentationError(
            f"segmenter {tool.name}",
            f"no program {tool.program}",
            "the tool installed, its program on the path",
            f"Install it{f' ({tool.source})' if tool.source else ''}, or correct the path.",
        )


def label_with(tool: Segmenter, fused: Fused, *, minutes: float, memory_gb: float) -> tuple[LabelMap, ModelCard]:
    """Label a fused study with another tool and translate its labels.

    Parameters
    ----------
    tool : Segmenter
    fused : Fused
    minutes : float
        After this time the tool and all its processes are ended.
    memory_gb : float
        So they are when together they hold more memory than this.

    Returns
    -------
    labels : LabelMap
    model : ModelCard
        With the version that the tool prints.

    Raises
    ------
    SegmentationError
        When the tool is not installed, fails, exceeds a limit, or writes no label map or one on another grid.
    InputError
        When its labels cannot be translated or lie where they cannot; see `import_labels`.
    """
    check_installed(tool)
    if lacking := [contrast.value for contrast in tool.contrasts if contrast in fused.absent]:
        raise SegmentationError(
            f"segmenter {tool.name}",
            f"a study without {' and '.join(lacking)} images",
            f"the {' and '.join(contrast.value for contrast in tool.contrasts)} images that it reads",
            "Use a tool for what the study has.",
        )
    # A container may leave files behind that only its own user may remove.
    with tempfile.TemporaryDirectory(prefix="sarcomap-segmenter-", ignore_cleanup_errors=True) as name:
        folder, images = Path(name) / "labels", Path(name) / "images"
        folder.mkdir()
        volumes = fused.volumes()
        for file, contrast in zip(tool.image_names(), tool.contrasts, strict=True):
            write_nifti(images / file, volumes[contrast.value])
        words = tool.words(
            gpu=driver_sees_device(),
            input=images / tool.image_names()[0],
            images=images,
            output=folder / _OUTPUT,
            folder=folder,
        )
        _run(tool, words, folder, minutes * 60, memory_gb)
        found = sorted(path for path in folder.glob(tool.writes) if path.is_file())
        if len(found) != 1:
            raise SegmentationError(
                f"segmenter {tool.name}",
                f"{len(found)} files {tool.writes} after it ended",
                "one label map",
                "Check its description: command and writes.",
            )
        labels, card = _imported(tool, found[0], fused)
    return labels, replace(card, version=version_of(tool) or card.version)


def _imported(tool: Segmenter, file: Path, fused: Fused) -> tuple[LabelMap, ModelCard]:
    try:
        if not read_label_file(file).grid.same_as(fused.grid, _SAME_GRID_MM):
            raise SegmentationError(
                f"segmenter {tool.name}",
                "a label map on another grid than the image",
                "a label for each voxel of the image that it was given",
                "Have the tool resample its labels to the input, as most do by default.",
            )
        return import_labels(fused, (LabelSource(file, load_scheme(tool.scheme)),))
    except InputError as error:  # the file's name alone would be that of no file of the user's
        where = f"segmenter {tool.name}, its {error.where}"
        raise type(error)(where, error.found, error.expected, error.remedy) from error


def _run(tool: Segmenter, words: list[str], folder: Path, seconds: float, memory_gb: float) -> None:
    ended = run_tool(words, folder, temporary=folder.parent, seconds=seconds, memory_gb=memory_gb)
    _log.debug("%s wrote:\n%s", tool.name, ended.printed)
    if ended.exceeded:
        raise SegmentationError(
            f"segmenter {tool.name}",
            ended.exceeded,
            "a result within the limits",
            "Raise --segmenter-minutes or --segmenter-memory-gb, or use a machine with a GPU.",
        )
    if ended.code != 0:
        last = (ended.lines() or ["no message"])[-1]
        raise SegmentationError(
            f"segmenter {tool.name}",
            f"{ended.how}: {last[:200]}",
            "code 0",
            "Run it by hand on fused/water.nrrd (--nifti writes it as NIfTI), or see --log-level DEBUG.",
        )
