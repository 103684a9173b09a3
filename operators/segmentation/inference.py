"""From a fused study to a label map on the same grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from operators.core import anatomy
from operators.core.confidence import confidence_by_label
from operators.core.errors import SarcoMapError, SegmentationError
from operators.core.label_map import LabelMap
from operators.core.options import Backend, SegmentationOptions
from operators.core.volume import Fused, QualityFlag, Volume
from operators.segmentation.bundle_model import SegmentationModel
from operators.segmentation.clean_up import clean_up
from operators.segmentation.device_chain import label_on_device
from operators.segmentation.device_image import prepare_on
from operators.segmentation.memory import return_freed_memory
from operators.segmentation.networks import Network, RunsAhead, open_network
from operators.segmentation.plausible_anatomy import anatomy_flags
from operators.segmentation.preparation import Prepared, prepare
from operators.segmentation.scorer import Scorer
from operators.segmentation.scores import labels_from_bands, map_scores
from operators.segmentation.signal_scale import matching_scale
from operators.segmentation.stream import stream_scores
from operators.segmentation.turned_image import turned_image_flags
from operators.segmentation.windows import place_windows

__all__ = ["DEFAULT_OPTIONS", "Prepared", "chain_device", "label_windows", "prepare", "segment", "segment_on"]

DEFAULT_OPTIONS = SegmentationOptions()
_GPU_BATCH = 4
_ONLY_NETWORK = (
    "The GPU ran out of memory; it ran only the network, and the CPU did the rest: slower, but with the same labels."
)


def segment(fused: Fused, model: SegmentationModel, options: SegmentationOptions = DEFAULT_OPTIONS) -> LabelMap:
    """Label every voxel of the fused grid.

    The image is cropped to the body, brought to the network's orientation,
    spacing and intensities by the bundle's own transforms, and scored window by
    window. Windows without a voxel of the body are skipped. Scores, not labels,
    are interpolated back to the fused grid, a band of slices at a time, so that
    the full volumes of all channels are never in memory together.

    A study with an ``error`` flag gets no labels: a network that was trained on
    pelvis to knee only would find structures in any image.
    Signal of another scale than the training's is multiplied first
    (`matching_scale`); where no factor helps there are no labels either.
    A study that was read from NIfTI is labelled again turned, and flagged if the network
    is surer of that (`turned_image_flags`). Labels of which the anatomy is impossible are
    flagged too (`anatomy_flags`).

    Parameters
    ----------
    fused : Fused
    model : SegmentationModel
    options : SegmentationOptions

    Returns
    -------
    LabelMap
        Indices of the label table, uint8, shape (z, y, x); 0 outside the body.

    Raises
    ------
    SegmentationError
        For an image without a body or with values that are not finite; for a
        network that fails, gives scores that are not finite or has the wrong
        number of channels; and when no structure is found.
    UsageError
        For a backend, device or precision that is not available on this machine.
    """
    device = chain_device(options)
    labels = segment_on(device, fused, model, options)
    doubts = turned_image_flags(fused, labels, lambda turned: segment_on(device, turned, model, options))
    return replace(labels, flags=(*labels.flags, *doubts, *anatomy_flags(labels, fused)))


def chain_device(options: SegmentationOptions) -> torch.device | None:
    """The device on which the whole stage runs; None for the CPU's way, which has a kernel of its own for labels."""
    on_gpu = torch.cuda.is_available() and options.device != "cpu" and options.backend != "openvino"
    return torch.device("cuda") if on_gpu else None


def segment_on(
    device: torch.device | None, fused: Fused, model: SegmentationModel, options: SegmentationOptions
) -> LabelMap:
    """Like `segment`, with the device of `operators.segmentation.device_chain`; None for the CPU's way."""
    if any(flag.severity == "error" for flag in fused.flags):
        return LabelMap(np.zeros(fused.grid.shape, dtype=np.uint8), fused.grid)
    fused, limits = _limited(fused)
    factor, signal_flags = matching_scale(fused, model.training_signal)
    if any(flag.severity == "error" for flag in signal_flags):
        return LabelMap(np.zeros(fused.grid.shape, dtype=np.uint8), fused.grid, flags=signal_flags)
    flags: list[QualityFlag] = [*limits, *signal_flags, *_stand_in_flags(fused, model)]
    return_freed_memory()  # of what came before: this stage needs the most memory of all
    try:
        with ThreadPoolExecutor(max_workers=1) as pool:  # the network is compiled while the image is transformed
            opening = pool.submit(_open, model, options, flags)
            found, sure, box, scorer = _labelled(device, fused, model, options, factor, opening.result, flags)
    except SarcoMapError:
        raise
    except Exception as error:  # each backend has its own errors; torch may raise RuntimeError when memory runs out
        raise SegmentationError(
            f"model {model.card.name}",
            f"failed on the fused volume ({type(error).__name__}: {next(iter(str(error).splitlines()), '')})",
            "a network and transforms that fit each other, and the memory to run them",
            "Check the bundle's configs, or set a smaller roi.",
        ) from error
    if options.clean_up:
        found = clean_up(found)[0]
    within = torch.from_numpy(found)  # torch uses all cores for what takes numpy longer than a GPU's whole work
    # Adipose tissue was never annotated, so the network cannot know it.
    within.masked_fill_(within == anatomy.ADIPOSE_INDEX, anatomy.BACKGROUND_INDEX)
    if options.clean_up:  # before, there is no label outside
        found *= fused.body[box]
    labels = np.zeros(fused.grid.shape, dtype=np.uint8)
    torch.from_numpy(labels)[box].copy_(within)
    if not within.any():
        raise SegmentationError(
            "fused volume",
            "no structure of the label table",
            "a body from pelvis to knee",
            "Look at fused/water.nrrd: does it show bright muscle and dark fat?",
        )
    confidence = None
    by_label = {} if sure is None else confidence_by_label(found, sure)
    if sure is not None and options.confidence:
        whole = np.zeros(fused.grid.shape, dtype=np.float32)
        whole[box] = sure
        confidence = Volume(whole, fused.grid)
    return LabelMap(
        labels,
        fused.grid,
        confidence=confidence,
        confidence_by_label=by_label,
        engine=scorer.network.description,
        flags=(*flags, *scorer.flags),
    )


def _labelled(
    device: torch.device | None,
    fused: Fused,
    model: SegmentationModel,
    options: SegmentationOptions,
    factor: float,
    opened: Callable[[], Network],
    flags: list[QualityFlag],
) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None, tuple[slice, slice, slice], Scorer]:
    """Labels, confidence, the box of the fused grid that they are on, and the scorer that was used."""

    def scorer_for(prepared: Prepared) -> Scorer:
        mirror = prepared.left_right_axis if options.mirror else None
        return Scorer(opened(), model.card.name, _cpu_stand_in(model, options, flags), mirror)

    if device is not None:
        try:
            study = prepare_on(device, fused, model, factor)
            scorer = scorer_for(study.prepared)
            return *label_on_device(study, model, options, scorer), study.prepared.box, scorer
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            flags.append(QualityFlag("segmentation-memory", "info", _ONLY_NETWORK))
    prepared = prepare(fused, model, factor)
    scorer = scorer_for(prepared)
    return_freed_memory()  # of transforms and compilation
    found, sure = label_windows(prepared, fused.body, model, options, scorer)
    scorer.confirm()
    return found, sure, prepared.box, scorer


def _stand_in_flags(fused: Fused, model: SegmentationModel) -> tuple[QualityFlag, ...]:
    shown = [contrast.value for contrast in model.contrasts if contrast in fused.absent]
    if not shown:
        return ()
    names = " and ".join(shown)
    message = (
        f"The study has no {names} images. The network was shown {names} computed from water: labels are less sure."
    )
    return (QualityFlag("contrast-computed", "warning", message),)


def _limited(fused: Fused) -> tuple[Fused, tuple[QualityFlag, ...]]:
    """The study with no body outside `Fused.label_slices`, and what to say of it."""
    if fused.label_slices is None:
        return fused, ()
    first, end = fused.label_slices
    body = np.zeros_like(fused.body)
    body[first:end] = fused.body[first:end]
    low, high = sorted(float((fused.grid.affine @ [0, 0, k, 1])[2]) for k in (first, end - 1))
    message = (
        f"Labels are given from z = {low:.0f} to {high:.0f} mm, pelvis to knee. The network knows nothing else "
        "and would name muscles in the chest and below the knees."
    )
    return replace(fused, body=body), (QualityFlag("labels-limited", "info", message),)


def _open(model: SegmentationModel, options: SegmentationOptions, flags: list[QualityFlag]) -> Network:
    """Open the network. If the backend was chosen by ``auto`` and cannot load it, PyTorch is used instead."""
    try:
        return open_network(model, options)
    except SarcoMapError:
        raise
    except Exception as error:
        if options.backend != "auto":
            raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        flags.append(
            QualityFlag("segmentation-backend", "info", f"PyTorch ran the network because OpenVINO could not: {reason}")
        )
        return open_network(model, replace(options, backend="torch"))


def _cpu_stand_in(
    model: SegmentationModel, options: SegmentationOptions, flags: list[QualityFlag]
) -> Callable[[], Network] | None:
    """A function that opens the network on the CPU, for when the GPU's memory is too small; None if no GPU is used."""
    if not torch.cuda.is_available() or options.device == "cpu":
        return None
    backend: Backend = "onnxruntime" if options.backend == "onnxruntime" else "auto"
    cpu_options = replace(options, device="cpu", backend=backend, precision="auto")

    def on_cpu() -> Network:
        model.network.cpu()  # otherwise it would be exported on the GPU, whose memory is full
        return _open(model, cpu_options, flags)

    return on_cpu


def label_windows(
    prepared: Prepared,
    body: NDArray[np.bool_],
    model: SegmentationModel,
    options: SegmentationOptions,
    scorer: Scorer,
) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
    """Labels on ``prepared.grid``, and the confidence unless the options forbid it; ``body`` is on the fused grid."""
    inside = body[prepared.box]
    mapping = map_scores(prepared.shape, prepared.affine, prepared.grid)
    settings = model.windows
    turned_body = mapping.turned(inside)
    on_gpu = torch.cuda.is_available() and options.device != "cpu"
    bands = stream_scores(
        prepared.image,
        place_windows(prepared.shape, settings),
        settings,
        partial(scorer.in_order, probabilities=model.probabilities),
        lambda start: bool(turned_body[mapping.covers(start, settings.roi)].any()),
        options.batch_size or (_GPU_BATCH if on_gpu else 1),
    )
    beside = _one_thread() if isinstance(scorer.network, RunsAhead) else nullcontext()
    with beside:
        return labels_from_bands(
            bands,
            mapping,
            inside,
            not options.no_confidence,
            everywhere=options.confidence or options.clean_up,  # cleaning up labels what was background
            probabilities=model.probabilities,
        )


@contextmanager
def _one_thread() -> Iterator[None]:
    """PyTorch merges windows with one thread; more would compete with the network, which runs at the same time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
