"""An ONNX network run over the windows of slices or of a volume, and its scores brought back to the image's voxels."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.core.errors import SegmentationError
from operators.core.onnx_description import OnnxDescription
from operators.segmentation.runtimes import import_onnxruntime

__all__ = ["WindowNetwork", "label_volume", "normalised", "resized"]

_SIGMA = 0.125
"""Of the weights in a window, as a fraction of its size, as in MONAI's and nnU-Net's inference."""


class WindowNetwork:
    """An ONNX network that takes one window at a time.

    Parameters
    ----------
    path : Path
    description : OnnxDescription

    Raises
    ------
    SegmentationError
        When the file cannot be loaded, or its input is not what the description says.
    """

    def __init__(self, path: Path, description: OnnxDescription) -> None:
        onnxruntime = import_onnxruntime()
        self.description = description
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=onnxruntime.get_available_providers())
        except Exception as error:  # onnxruntime has classes of its own for each kind of broken file
            raise self._misfit(f"not loadable ({type(error).__name__})", "an ONNX network") from error
        taken = self._session.get_inputs()
        wanted = (1, len(description.contrasts), *description.window)
        if len(taken) != 1 or len(taken[0].shape) != len(wanted):
            shapes = "; ".join(str(one.shape) for one in taken)
            raise self._misfit(f"inputs of shape {shapes}", f"one input of {len(wanted)} axes")
        fixed = [size for size, n in zip(taken[0].shape, wanted, strict=True) if isinstance(size, int) and size != n]
        if fixed:
            raise self._misfit(f"an input of shape {taken[0].shape}", f"{list(wanted)} (batch, channels, window)")
        self._name = taken[0].name
        self._type = np.float16 if "float16" in taken[0].type else np.float32

    def __call__(self, window: NDArray[np.float32]) -> NDArray[Any]:
        """Scores (label, axes), or labels (axes), of a window (channel, axes)."""
        try:
            found = np.asarray(self._session.run(None, {self._name: window[None].astype(self._type)})[0])
        except Exception as error:
            raise self._misfit(f"it fails on a window ({type(error).__name__})", "scores") from error
        if self.description.output == "labels":
            if found.shape in ((1, *window.shape[1:]), (1, 1, *window.shape[1:])):
                if not (np.isfinite(found) & (found >= 0) & (found == np.rint(found))).all():
                    raise self._misfit(
                        "labels that are not whole numbers from 0, such as probabilities", "the number of a label"
                    )
                return found.reshape(window.shape[1:])
        elif found.ndim == window.ndim + 1 and found.shape[2:] == window.shape[1:] and found.shape[1] > 1:
            if not np.isfinite(found).all():
                raise self._misfit("scores that are not finite", "finite scores")
            if self.description.values and len(self.description.values) != found.shape[1]:
                raise self._misfit(
                    f"scores of {found.shape[1]} labels",
                    f"{len(self.description.values)}, one for each of `values`, background included",
                )
            return found[0].astype(np.float32)
        expected = "(1, [1,] window)" if self.description.output == "labels" else "(1, labels, window)"
        raise self._misfit(f"an output of shape {found.shape}", f"{self.description.output} of shape {expected}")

    def _misfit(self, found: str, expected: str) -> SegmentationError:
        return SegmentationError(
            f"ONNX network {self.description.name}", found, expected, "Correct its description, or export it again."
        )


def label_volume(
    channels: NDArray[np.float32],
    spacing_mm: tuple[float, ...],
    network: WindowNetwork,
    description: OnnxDescription,
) -> NDArray[np.intp]:
    """The network's label of each voxel.

    Scores are interpolated linearly to the image's voxels before the largest is taken. Between slices of another
    distance, and where a network returns labels, the nearest label is taken.

    Parameters
    ----------
    channels : ndarray, shape (channel, a, b, c)
        With the axes in the description's orientation.
    spacing_mm : tuple of float
        Along a, b and c.

    Returns
    -------
    ndarray, shape (a, b, c)
    """
    shape = channels.shape[1:]
    wanted = [mm or own for mm, own in zip(description.spacing_mm, spacing_mm, strict=True)]
    small = [max(1, round(n * own / mm)) for n, own, mm in zip(shape, spacing_mm, wanted, strict=True)]
    image = np.stack([normalised(resized(one, small), description) for one in channels])
    flat = len(description.window) == 2
    if not flat:
        return _compared(_windowed(image, network), shape)
    slices = [_compared(_windowed(image[..., k], network), shape[:2]) for k in range(small[2])]
    return resized(np.stack(slices, axis=-1), shape)


def _compared(found: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Labels on a grid of ``shape`` from scores (label, axes), or from labels (axes)."""
    if found.ndim == len(shape):
        return resized(found.astype(np.intp), shape)
    best = resized(found[0], shape)
    labels = np.zeros(shape, np.intp)
    for number, scores in enumerate(found[1:], start=1):
        here = resized(scores, shape)
        better = here > best
        labels[better] = number
        best[better] = here[better]
    return labels


def _windowed(image: NDArray[np.float32], network: WindowNetwork) -> NDArray[Any]:
    """Mean scores (label, axes), or labels (axes), of an image (channel, axes) from overlapping windows."""
    window = network.description.window
    shape = image.shape[1:]
    missing = [max(0, size - n) for size, n in zip(window, shape, strict=True)]
    image = np.pad(image, [(0, 0), *((0, n) for n in missing)])
    weight = _weights(window)
    total: NDArray[Any] | None = None
    weights = np.zeros(image.shape[1:], np.float32)
    starts = [_starts(n, size, network.description.overlap) for n, size in zip(image.shape[1:], window, strict=True)]
    for corner in product(*starts):
        here = tuple(slice(start, start + size) for start, size in zip(corner, window, strict=True))
        found = network(image[(slice(None), *here)])
        if found.ndim == len(window):
            # Labels cannot be averaged, so that of the window counts in which the voxel is most central.
            total = np.zeros(image.shape[1:], np.intp) if total is None else total
            nearer = weight > weights[here]
            total[here] = np.where(nearer, found, total[here])
            weights[here] = np.maximum(weights[here], weight)
            continue
        total = np.zeros((len(found), *image.shape[1:]), np.float32) if total is None else total
        total[(slice(None), *here)] += found * weight
        weights[here] += weight
    assert total is not None
    if total.ndim == image.ndim:
        total /= weights
    inner = tuple(slice(0, n) for n in shape)
    return total[(slice(None),) * (total.ndim - len(inner)) + inner]


def _starts(count: int, size: int, overlap: float) -> list[int]:
    step = max(1, round(size * (1 - overlap)))
    return sorted({min(start, count - size) for start in range(0, max(1, count - size + step), step)})


def _weights(window: tuple[int, ...]) -> NDArray[np.float32]:
    found = np.ones(window, np.float32)
    for axis, size in enumerate(window):
        distance = (np.arange(size) - (size - 1) / 2) / (_SIGMA * size)
        line = np.exp(-0.5 * distance**2).astype(np.float32)
        found *= line.reshape([-1 if other == axis else 1 for other in range(len(window))])
    return np.maximum(found, 1e-3)


def normalised(volume: NDArray[np.float32], description: OnnxDescription) -> NDArray[np.float32]:
    """One channel's intensities as the network takes them."""
    method, values = description.normalisation, description.normalisation_values
    found = volume.astype(np.float32)
    if method in ("zscore", "zscore_nonzero"):
        counted = found != 0 if method == "zscore_nonzero" else np.ones(found.shape, bool)
        if counted.any():
            sd = float(found[counted].std())
            found[counted] = (found[counted] - float(found[counted].mean())) / (sd or 1.0)
    elif method in ("range", "percentiles"):
        low, high = values if method == "range" else np.percentile(found, values)
        found = np.clip((found - low) / max(high - low, 1e-12), 0, 1).astype(np.float32)
    elif method == "mean_and_sd":
        found = ((found - values[0]) / values[1]).astype(np.float32)
    return found


def resized(volume: NDArray[Any], shape: tuple[int, ...] | list[int]) -> NDArray[Any]:
    """A volume with another number of voxels in the same space: linear for real numbers, nearest for whole ones."""
    for axis, count in enumerate(shape):
        own = volume.shape[axis]
        if own == count:
            continue
        where = np.clip((np.arange(count) + 0.5) * own / count - 0.5, 0, own - 1)
        if volume.dtype.kind in "iu":
            volume = volume.take(np.floor(where + 0.5).astype(np.intp), axis)
            continue
        low = np.minimum(where.astype(np.intp), max(own - 2, 0))
        part = (where - low).astype(np.float32).reshape([-1 if other == axis else 1 for other in range(volume.ndim)])
        volume = volume.take(low, axis) * (1 - part) + volume.take(np.minimum(low + 1, own - 1), axis) * part
    return volume
