"""From a fused study to a label map on the same grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from operators.core import anatomy
from operators.core.errors import SarcoMapError, SegmentationError
from operators.core.grid_geometry import LPS_TO_RAS
from operators.core.label_map import LabelMap
from operators.core.options import Backend, SegmentationOptions
from operators.core.volume import Contrast, Fused, Grid, QualityFlag, Volume
from operators.segmentation.bundle_model import SegmentationModel
from operators.segmentation.clean_up import clean_up
from operators.segmentation.memory import return_freed_memory
from operators.segmentation.monai_parts import MetaTensor
from operators.segmentation.networks import Network, RunsAhead, open_network
from operators.segmentation.scorer import Scorer
from operators.segmentation.scores import labels_from_bands, map_scores
from operators.segmentation.signal_scale import matching_scale
from operators.segmentation.stream import stream_scores
from operators.segmentation.windows import Triple, place_windows

__all__ = ["DEFAULT_OPTIONS", "Prepared", "label_windows", "prepare", "segment"]

DEFAULT_OPTIONS = SegmentationOptions()
_MARGIN_VOXELS = 4
_GPU_BATCH = 4
_CONSTANT = 1e-4  # relative; blending of stations leaves rounding errors in a constant image


@dataclass(frozen=True)
class Prepared:
    """The network's input image and its position.

    Attributes
    ----------
    image : Tensor, shape (channels, x, y, z), float32
        Cropped to the body, in the network's orientation, spacing and intensities.
    affine : ndarray, shape (4, 4)
        Voxels of the image to LPS millimetres.
    box : tuple of slice, (z, y, x)
        The part of the fused grid that the image was made from.
    grid : Grid
        The grid of that part.
    """

    image: torch.Tensor
    affine: NDArray[np.float64]
    box: tuple[slice, slice, slice]
    grid: Grid

    @property
    def shape(self) -> Triple:
        """Size of the image along its axes."""
        _, x, y, z = self.image.shape
        return x, y, z

    @property
    def left_right_axis(self) -> int:
        """The axis of the image that runs from left to right."""
        return int(np.abs(self.affine[0, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)).argmax())


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
    if any(flag.severity == "error" for flag in fused.flags):
        return LabelMap(np.zeros(fused.grid.shape, dtype=np.uint8), fused.grid)
    fused, limits = _limited(fused)
    factor, signal_flags = matching_scale(fused, model.training_signal)
    if any(flag.severity == "error" for flag in signal_flags):
        return LabelMap(np.zeros(fused.grid.shape, dtype=np.uint8), fused.grid, flags=signal_flags)
    flags: list[QualityFlag] = [*limits, *signal_flags]
    return_freed_memory()  # of what came before: this stage needs the most memory of all
    try:
        with ThreadPoolExecutor(max_workers=1) as pool:  # the network is compiled while the image is transformed
            opening = pool.submit(_open, model, options, flags)
            prepared = prepare(fused, model, factor)
            network = opening.result()
        return_freed_memory()  # of transforms and compilation
        on_cpu = _cpu_stand_in(model, options, flags)
        scorer = Scorer(network, model.card.name, on_cpu, prepared.left_right_axis if options.mirror else None)
        found, sure = label_windows(prepared, fused.body, model, options, scorer)
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
    labels = np.zeros(fused.grid.shape, dtype=np.uint8)
    labels[prepared.box] = found
    labels[labels == anatomy.ADIPOSE_INDEX] = anatomy.BACKGROUND_INDEX  # never annotated, so the network cannot know it
    labels[~fused.body] = anatomy.BACKGROUND_INDEX
    if not labels.any():
        raise SegmentationError(
            "fused volume",
            "no structure of the label table",
            "a body from pelvis to knee",
            "Look at fused/water.nrrd: does it show bright muscle and dark fat?",
        )
    confidence = None
    if sure is not None:
        whole = np.zeros(fused.grid.shape, dtype=np.float32)
        whole[prepared.box] = sure
        confidence = Volume(whole, fused.grid)
    return LabelMap(
        labels,
        fused.grid,
        confidence=confidence,
        engine=scorer.network.description,
        flags=(*flags, *scorer.flags),
    )


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


def prepare(fused: Fused, model: SegmentationModel, factor: float = 1.0) -> Prepared:
    """Apply the bundle's transforms to a fused study and crop the result to the body.

    The order matters, because transforms see the whole image, as in training.
    For example, percentiles of intensity depend on the amount of air.

    Parameters
    ----------
    fused : Fused
    model : SegmentationModel
    factor : float
        The signal is multiplied by it first; see `matching_scale`.

    Raises
    ------
    SegmentationError
        For an image without a body, with a constant value, or with values that
        are not finite.
    """
    if lacking := [contrast.value for contrast in model.contrasts if contrast in fused.absent]:
        raise SegmentationError(
            f"model {model.card.name}",
            f"a study without {' and '.join(lacking)} images",
            f"the images that it was trained on: {', '.join(contrast.value for contrast in model.contrasts)}",
            "Use a model that needs water and fat only.",
        )
    box = _body_box(fused.body)
    signals = {contrast: _contrast(fused, contrast) for contrast in model.contrasts}
    if not all(np.isfinite(signal).all() for signal in signals.values()):
        raise SegmentationError(
            "fused volume", "values that are not finite", "a signal in every voxel", "Look at the fused NRRD files."
        )
    for contrast, signal in signals.items():
        low, high = signal.min(where=fused.body, initial=np.inf), signal.max(where=fused.body, initial=-np.inf)
        if high - low <= _CONSTANT * abs(high):  # a network would find structures even in this
            raise SegmentationError(
                f"fused {contrast.value} volume",
                f"one value ({high:g}) in the whole body",
                "an image of a body",
                f"Look at fused/{contrast.value}.nrrd: is it empty or constant?",
            )
    # MONAI's arrays are (channel, x, y, z), and its affines map to RAS.
    image = np.empty((len(model.contrasts), *reversed(fused.grid.shape)), dtype=np.float32)
    for channel, contrast in zip(image, model.contrasts, strict=True):
        np.multiply(signals[contrast].T, np.float32(factor), out=channel)
    tensor = MetaTensor(torch.from_numpy(image), affine=torch.from_numpy(LPS_TO_RAS @ fused.grid.affine))
    whole = model.preprocessing({"image": tensor})["image"]
    affine = LPS_TO_RAS @ np.asarray(whole.affine, dtype=np.float64)
    grid = _part_of(fused.grid, box)
    around = _voxels_around(grid, affine, tuple(whole.shape[1:]))
    affine[:3, 3] = (affine @ [*(part.start for part in around), 1.0])[:3]
    return Prepared(
        torch.as_tensor(whole.as_tensor()[(slice(None), *around)], dtype=torch.float32).clone(), affine, box, grid
    )


def _part_of(grid: Grid, box: tuple[slice, slice, slice]) -> Grid:
    affine = grid.affine.copy()
    affine[:3, 3] = (affine @ [box[2].start, box[1].start, box[0].start, 1.0])[:3]
    z, y, x = (part.stop - part.start for part in box)
    return Grid((z, y, x), affine)


def _voxels_around(grid: Grid, affine: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[slice, slice, slice]:
    """The part of an image (x, y, z) that encloses all voxel centres of ``grid``."""
    z, y, x = (size - 1 for size in grid.shape)
    corners = np.array([[i, j, k, 1.0] for i in (0, x) for j in (0, y) for k in (0, z)]).T
    places = (np.linalg.inv(affine) @ grid.affine @ corners)[:3]
    low = np.clip(np.floor(places.min(axis=1) + 1e-6), 0, None).astype(int)
    high = np.clip(np.ceil(places.max(axis=1) - 1e-6), 0, np.array(shape) - 1).astype(int)
    first, second, third = (slice(a, b + 1) for a, b in zip(low.tolist(), high.tolist(), strict=True))
    return first, second, third


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
    """Labels on ``prepared.grid``, and the confidence if the options request it; ``body`` is on the fused grid."""
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
        return labels_from_bands(bands, mapping, inside, options.confidence, probabilities=model.probabilities)


@contextmanager
def _one_thread() -> Iterator[None]:
    """PyTorch merges windows with one thread; more would compete with the network, which runs at the same time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _contrast(fused: Fused, contrast: Contrast) -> NDArray[np.float32]:
    return {
        Contrast.WATER: fused.water,
        Contrast.FAT: fused.fat,
        Contrast.IN: fused.in_phase,
        Contrast.OPPOSED: fused.opposed,
    }[contrast]


def _body_box(body: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """The smallest box around the body, with a margin."""
    if not body.any():
        raise SegmentationError(
            "fused volume", "no body", "signal of a body", "Look at fused/water.nrrd: is it empty or constant?"
        )
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        where = np.flatnonzero(body.any(axis=others))
        start = max(int(where[0]) - _MARGIN_VOXELS, 0)
        box.append(slice(start, min(int(where[-1]) + 1 + _MARGIN_VOXELS, body.shape[axis])))
    return box[0], box[1], box[2]
