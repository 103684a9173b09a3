"""The segmentation of one study on a device, from upload to downloaded labels, without a round trip in between.

The image is uploaded once, transformed, scored window by window, its scores are summed in slabs, interpolated to the
fused grid and compared, all on the device. Only labels (uint8) and the confidence (float32) come back. The device is a
parameter: the tests run the same functions on the CPU.
"""

from __future__ import annotations

from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from operators.core.options import SegmentationOptions
from operators.segmentation.bundle_model import SegmentationModel
from operators.segmentation.device_image import DevicePrepared
from operators.segmentation.device_labels import labels_on_device
from operators.segmentation.device_memory import free_bytes, room_for, window_bytes
from operators.segmentation.scorer import Scorer
from operators.segmentation.scores import ScoreMapping, map_scores
from operators.segmentation.stream import stream_scores
from operators.segmentation.windows import Triple, Windows, WindowSettings, place_windows

__all__ = ["label_on_device", "wanted_windows"]

#: Bytes that a network needs for one window, by network and size of a window; measured once in a process.
_window_bytes: WeakKeyDictionary[torch.nn.Module, dict[tuple[int, ...], int]] = WeakKeyDictionary()


def label_on_device(
    study: DevicePrepared, model: SegmentationModel, options: SegmentationOptions, scorer: Scorer
) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
    """Labels on ``study.prepared.grid``, and the confidence if the options request it.

    Parameters
    ----------
    study : DevicePrepared
        On the device to compute on.
    model : SegmentationModel
    options : SegmentationOptions
    scorer : Scorer
        With a network on the same device.

    Returns
    -------
    labels : ndarray, shape (z, y, x), uint8
    confidence : ndarray, shape (z, y, x), float32, or None
        In steps of 1/32767.
    """
    prepared, settings = study.prepared, model.windows
    device = prepared.image.device
    mapping = map_scores(prepared.shape, prepared.affine, prepared.grid)
    windows = place_windows(prepared.shape, settings)
    wanted = wanted_windows(windows, settings, mapping, study.body)
    one_window = _bytes_of_one_window(prepared.image, settings, scorer, model.network)
    room = room_for(windows, settings, free_bytes(device), one_window, options.batch_size)
    bands = stream_scores(
        prepared.image,
        windows,
        settings,
        partial(scorer.in_order, probabilities=model.probabilities),
        wanted.__contains__,
        room.batch,
        rows_at_once=max(room.rows, 1),
        sum_on=device if room.rows else torch.device("cpu"),
    )
    found = labels_on_device(bands, mapping, study.body, not options.no_confidence, probabilities=model.probabilities)
    scorer.confirm()
    return found.downloaded()


def wanted_windows(
    windows: Windows, settings: WindowSettings, mapping: ScoreMapping, body: torch.Tensor
) -> frozenset[Triple]:
    """The windows that voxels of the body need, by the voxel of the image where they start; one download for all.

    Parameters
    ----------
    windows : Windows
    settings : WindowSettings
    mapping : ScoreMapping
        Mapping of the grid of ``body``.
    body : Tensor, shape (z, y, x), bool

    Returns
    -------
    frozenset of tuple of int
    """
    turned = body.permute([2 - axis for axis in mapping.order])
    x, y, z = windows.before
    places = [(a - x, b - y, n - z) for n in windows.starts[2] for a, b in windows.in_plane()]
    needed = torch.stack([turned[mapping.covers(place, settings.roi)].any() for place in places]).tolist()
    return frozenset(place for place, need in zip(places, needed, strict=True) if need)


def _bytes_of_one_window(
    image: torch.Tensor, settings: WindowSettings, scorer: Scorer, network: torch.nn.Module
) -> int:
    shape = (image.shape[0], *settings.roi)
    known = _window_bytes.setdefault(network, {})
    if image.device.type == "cuda" and shape not in known:
        empty = torch.zeros(shape, device=image.device)
        known[shape] = window_bytes(lambda: scorer([empty]), image.device)
    return known.get(shape, 0)
