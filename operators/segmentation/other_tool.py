"""Labelling of a fused study by a tool of another maker, in a process of its own with limits."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from operators.core.cuda_driver import driver_sees_device
from operators.core.errors import SegmentationError
from operators.core.label_files import read_label_file
from operators.core.label_map import LabelMap
from operators.core.label_schemes import LabelSource, load_scheme
from operators.core.model_card import ModelCard
from operators.core.nifti_files import write_nifti
from operators.core.segmenters import Segmenter
from operators.core.volume import Fused
from operators.segmentation.made_elsewhere import import_labels
from operators.segmentation.tool_version import environment, version_of

__all__ = ["check_installed", "label_with"]

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None)  # loaded here: between fork and exec little may be done
_log = logging.getLogger(__name__)
_POLL_S = 0.2
_OUTPUT = "labels.nii.gz"
_SAME_GRID_MM = 0.1
_KILOBYTES_PER_GB = 1e6


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
    with tempfile.TemporaryDirectory(prefix="sarcomap-segmenter-") as name:
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
        if not read_label_file(found[0]).grid.same_as(fused.grid, _SAME_GRID_MM):
            raise SegmentationError(
                f"segmenter {tool.name}",
                "a label map on another grid than the image",
                "a label for each voxel of the image that it was given",
                "Have the tool resample its labels to the input, as most do by default.",
            )
        labels, card = import_labels(fused, (LabelSource(found[0], load_scheme(tool.scheme)),))
    return labels, replace(card, version=version_of(tool) or card.version)


def _run(tool: Segmenter, words: list[str], folder: Path, seconds: float, memory_gb: float) -> None:
    log = folder.parent / "tool.log"
    start = time.monotonic()
    with log.open("wb") as stream:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=folder,
                env=environment(tool),
                start_new_session=True,
                preexec_fn=_end_with_us,
            )
        except OSError as error:
            raise SegmentationError(
                f"segmenter {tool.name}", f"cannot be started ({error.strerror})", "a program", "Install it again."
            ) from error
        exceeded = ""
        try:
            while process.poll() is None and not exceeded:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_S)
                if time.monotonic() - start > seconds:
                    exceeded = f"not done after {seconds / 60:g} minutes"
                elif _memory_gb(process.pid) > memory_gb:
                    exceeded = f"more than {memory_gb:g} GB of memory"
        finally:
            with suppress(ProcessLookupError):  # also what the tool left running
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    text = log.read_text(encoding="utf-8", errors="replace")
    _log.debug("%s wrote:\n%s", tool.name, text)
    if exceeded:
        raise SegmentationError(
            f"segmenter {tool.name}",
            exceeded,
            "a result within the limits",
            "Raise --segmenter-minutes or --segmenter-memory-gb, or use a machine with a GPU.",
        )
    if process.returncode != 0:
        last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")
        raise SegmentationError(
            f"segmenter {tool.name}",
            f"it ended with code {process.returncode}: {last[:200]}",
            "code 0",
            "Run it by hand on fused/water.nrrd (--nifti writes it as NIfTI), or see --log-level DEBUG.",
        )


def _end_with_us() -> None:
    """In the tool's process: the kernel kills it when ours ends without a chance to do so, by SIGKILL or Ctrl-C."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _memory_gb(group: int) -> float:
    """Memory that the processes of a session hold together, from /proc; 0 where there is none."""
    total_kb = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            after_name = status.read_text().rpartition(")")[2].split()
            if int(after_name[3]) == group:  # the session, which the first process leads
                resident = re.search(r"VmRSS:\s+(\d+)", (status.parent / "status").read_text())
                total_kb += int(resident[1]) if resident else 0
    return total_kb / _KILOBYTES_PER_GB
