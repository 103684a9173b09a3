"""What a worker's process does with one study."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cohort.digests import digests_of
from app.cohort.settings import WorkerSettings
from operators.core.cuda_driver import driver_sees_device
from operators.core.device_copies import forget_all
from operators.core.errors import UsageError
from operators.core.turns import turn_between_processes

if TYPE_CHECKING:
    from operators.segmentation import SegmentationModel

__all__ = [
    "REPORT",
    "THUMBNAIL",
    "Facts",
    "ModelError",
    "Session",
    "check_unchanged",
    "gpu_turn",
    "keep_minimal",
    "process",
]

REPORT = "report.json"
THUMBNAIL = "thumbnail.jpg"
_THUMBNAIL_PIXELS = (240, 320)
_MINIMAL = {REPORT, "report.html", "report.sr.dcm", "segmentation.seg.nrrd", THUMBNAIL}
_PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")

OnStage = Callable[[str, float | None], None]


@dataclass
class Session:
    """What a process keeps from one study to the next.

    Attributes
    ----------
    network : SegmentationModel or None
    loaded : bool
        Whether ``network`` is the run's; it is None if label maps replace it.
    checked : bool
        Whether model, options and software are those with which the run began.
    """

    network: SegmentationModel | None = None
    loaded: bool = False
    checked: bool = False


@dataclass(frozen=True)
class Facts:
    """What is known of a study when it is done.

    Attributes
    ----------
    seconds : dict of str to float
        By stage.
    pseudonym : str or None
        As in the report; None for a study that was only fused.
    date : str or None
        Of the study, as YYYYMMDD.
    flags : tuple of str
    """

    seconds: dict[str, float]
    pseudonym: str | None = None
    date: str | None = None
    flags: tuple[str, ...] = ()


class ModelError(Exception):
    """The model cannot be loaded; its cause says why. No other study would succeed."""


def process(source: Path, folder: Path, settings: WorkerSettings, session: Session, on_stage: OnStage) -> Facts:
    """Process one study into a folder.

    Raises
    ------
    SarcoMapError
        When a stage fails.
    ModelError
        When the network cannot be loaded.
    """
    from operators.pipeline import fuse_study, process_study

    if settings.fuse_only:
        check_unchanged(settings, session)
        return Facts(dict(fuse_study(source, folder, settings.options, on_stage=on_stage).seconds))
    _load(settings, session, on_stage)
    turn = gpu_turn() if settings.options.device != "cpu" and driver_sees_device() else None
    result = process_study(source, folder, settings.options, model=session.network, on_stage=on_stage, gpu_turn=turn)
    date = None if settings.options.deidentification.deidentify else _date(folder)
    _write_thumbnail(folder)
    if settings.minimal:
        keep_minimal(folder)
    codes = tuple(dict.fromkeys(flag["code"] for flag in result.flags))
    return Facts(dict(result.seconds), str(result.report["study"]["pseudonym"]), date, codes)


@contextmanager
def gpu_turn() -> Iterator[None]:
    """The turn of this process at the GPU, which it leaves as it was, for the other workers of this machine.

    One study is labelled at a time, while other workers load, fuse and write. Workers are processes and not threads,
    because threads that read and write would make the one that launches the GPU's work wait for the interpreter, and
    because limits of time and memory are for one study.
    """
    device = re.sub(r"\W+", "_", os.environ.get("CUDA_VISIBLE_DEVICES", "0"))
    with turn_between_processes(Path(tempfile.gettempdir()) / f"sarcomap-{os.getuid()}-gpu-{device}.lock"):
        try:
            yield
        finally:
            forget_all()
            if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_initialized():
                torch.cuda.empty_cache()


def keep_minimal(folder: Path) -> None:
    """Remove everything but reports, labels and thumbnail. The labels are compressed already."""
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name not in _MINIMAL:
            entry.unlink()


def _load(settings: WorkerSettings, session: Session, on_stage: OnStage) -> None:
    if session.loaded:
        return
    from operators.pipeline import model_of

    on_stage("model", None)
    try:
        session.network = model_of(settings.model, settings.options)
    except Exception as error:
        raise ModelError from error
    session.loaded = True
    check_unchanged(settings, session)  # after it was loaded: weights may be replaced at any time


def check_unchanged(settings: WorkerSettings, session: Session) -> None:
    """Check that model, options and software are those that the ledger will name.

    A process may begin hours after its run, or on another machine.

    Raises
    ------
    ModelError
        If they are not.
    """
    if session.checked:
        return
    try:
        keep = "minimal" if settings.minimal else "everything"
        here = digests_of(settings.options, settings.model, settings.fuse_only, keep)
        if changed := settings.digests.changed(here):
            raise UsageError(
                " and ".join(changed),
                "changed since the run began, or different on this machine",
                "the same for all studies of a run",
                "Run the same command again: it processes again what was made with the earlier one.",
            )
    except Exception as error:
        raise ModelError from error
    session.checked = True


def _date(folder: Path) -> str | None:
    from pydicom import dcmread

    header = dcmread(folder / "segmentation.dcm", stop_before_pixels=True, specific_tags=["StudyDate"])
    date: Any = header.get("StudyDate")
    return str(date) if date and str(date).isdigit() else None


def _write_thumbnail(folder: Path) -> None:
    """The report's first picture at the size of a thumbnail."""
    from PIL import Image

    found = _PICTURE.search((folder / "report.html").read_text(encoding="utf-8"))
    if found is None:
        return
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as picture:
        small = picture.convert("RGB")
        small.thumbnail(_THUMBNAIL_PIXELS)
        small.save(folder / THUMBNAIL, "JPEG", quality=80)
