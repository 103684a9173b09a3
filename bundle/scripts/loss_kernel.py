"""The sums and the gradient of `DiceWeightedCELoss` on a CPU, without arrays of all classes of all voxels in between.

torch writes and reads every intermediate result of the loss in full: 29 values for
each voxel, ten times over. Here one pass takes a block of voxels that fits in a
core's cache from scores to sums over voxels, and a second one writes the gradient.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from bundle.scripts.merged_classes import NEVER
from bundle.scripts.voxel_loops import add, add_log, copy, exp, multiply, raise_to, subtract

__all__ = ["PROBABILITY", "SHARE", "OVERLAP", "LOG_PROBABILITY", "class_sums", "members_of", "write_gradient"]

PROBABILITY, SHARE, OVERLAP, LOG_PROBABILITY = range(4)
"""What `class_sums` adds up for each class: p, share, the smaller of both, and share * log p."""

_NEVER = np.float32(NEVER)
_BLOCK = 512  # voxels; three arrays of 29 classes then take 180 kB of a core's cache
_CHUNKS = 64  # of a participant; the same on every machine, so that sums are
_REORDER = {"reassoc", "nsz", "contract"}  # lets sums be vectorised; infinity and NaN stay what they are


def members_of(labelled_as: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Classes sorted by the one that they were labelled as, for each participant, and where each class's begin.

    Parameters
    ----------
    labelled_as : ndarray, shape (batch, channels)
        See `bundle.scripts.PartialLabelLoss`.

    Returns
    -------
    members : ndarray, shape (batch, channels)
    starts : ndarray, shape (batch, channels + 1)
    """
    channels = labelled_as.shape[1]
    starts = [np.searchsorted(np.sort(row), np.arange(channels + 1)) for row in labelled_as]
    return np.argsort(labelled_as, axis=1, kind="stable"), np.stack(starts).astype(np.int64)


@numba.njit(parallel=True, cache=True)
def class_sums(
    scores: NDArray[np.float32], labels: NDArray[np.uint8], members: NDArray[np.int64], starts: NDArray[np.int64]
) -> NDArray[np.float64]:  # pragma: no cover
    """Sums over voxels, shape (batch, 4, channels); see `PROBABILITY`.

    Parameters
    ----------
    scores : ndarray, shape (batch, channels, voxels)
    labels : ndarray, shape (batch, labels of a voxel, voxels)
        All below the number of channels.
    members, starts : ndarray
        From `members_of`.
    """
    batch, channels, voxels = scores.shape
    blocks = (voxels + _BLOCK - 1) // _BLOCK
    chunks = min(_CHUNKS, blocks)
    sums = np.zeros((batch, chunks, 4, channels))
    for job in numba.prange(batch * chunks):
        n, chunk = job // chunks, job % chunks
        # Arrays of their own: where two share memory, the compiler makes loops that are four times as slow.
        merged = np.empty((channels, _BLOCK), np.float32)
        probability = np.empty((channels, _BLOCK), np.float32)
        share = np.empty((channels, _BLOCK), np.float32)
        spare = np.empty((4, _BLOCK), np.float32)
        for block in range(chunk * blocks // chunks, (chunk + 1) * blocks // chunks):
            first, last = block * _BLOCK, min((block + 1) * _BLOCK, voxels)
            _read(scores[n], labels[n], first, last, members[n], starts[n], spare, merged, probability, share)
            for c in range(channels):
                _add_class(merged[c, : last - first], probability[c], share[c], spare[0], sums[n, chunk, :, c])
    return sums.sum(axis=1)


@numba.njit(parallel=True, cache=True)
def write_gradient(
    scores: NDArray[np.float32],
    labels: NDArray[np.uint8],
    members: NDArray[np.int64],
    starts: NDArray[np.int64],
    lacking: NDArray[np.float32],
    surplus: NDArray[np.float32],
    weights: NDArray[np.float32],
    gradient: NDArray[np.float32],
) -> None:  # pragma: no cover
    """Write the loss's gradient at ``scores`` to ``gradient``, of the same shape.

    Parameters
    ----------
    lacking, surplus : ndarray, shape (batch, channels)
        Dice's gradient at a class's probability where it is below the class's share, and elsewhere.
    weights : ndarray, shape (channels,)
        Cross-entropy's gradient at - log p of a label.
    """
    batch, channels, voxels = scores.shape
    blocks = (voxels + _BLOCK - 1) // _BLOCK
    chunks = min(_CHUNKS, blocks)
    for job in numba.prange(batch * chunks):
        n, chunk = job // chunks, job % chunks
        merged = np.empty((channels, _BLOCK), np.float32)
        probability = np.empty((channels, _BLOCK), np.float32)
        share = np.empty((channels, _BLOCK), np.float32)
        spare = np.empty((4, _BLOCK), np.float32)
        for block in range(chunk * blocks // chunks, (chunk + 1) * blocks // chunks):
            first, last = block * _BLOCK, min((block + 1) * _BLOCK, voxels)
            _read(scores[n], labels[n], first, last, members[n], starts[n], spare, merged, probability, share)
            _merged_gradient(probability, share, last - first, lacking[n], surplus[n], weights, spare[0])
            _split_gradient(scores[n], first, last, members[n], starts[n], merged, share, spare[0], gradient[n])


@numba.njit(cache=True)
def _read(
    scores: NDArray[np.float32],
    labels: NDArray[np.uint8],
    first: int,
    last: int,
    members: NDArray[np.int64],
    starts: NDArray[np.int64],
    spare: NDArray[np.float32],
    merged: NDArray[np.float32],
    probability: NDArray[np.float32],
    share: NDArray[np.float32],
) -> None:  # pragma: no cover
    """Fill the last three arrays with a block's merged scores, their probabilities and the labels' shares."""
    _merge(scores, first, last, members, starts, spare, merged)
    _softmax(merged, last - first, spare, probability)
    _count_shares(labels, first, last, share)


@numba.njit(cache=True)
def _merge(
    scores: NDArray[np.float32],
    first: int,
    last: int,
    members: NDArray[np.int64],
    starts: NDArray[np.int64],
    spare: NDArray[np.float32],
    merged: NDArray[np.float32],
) -> None:  # pragma: no cover
    """Scores of a block, those of classes labelled as one by log of the sum of exp; as `merge_classes` does."""
    size = last - first
    for c in range(len(scores)):
        into, own = merged[c, :size], members[starts[c] : starts[c + 1]]
        if len(own) == 0:
            into[:] = _NEVER
            continue
        copy(scores[own[0], first:last], into)
        if len(own) > 1:
            for m in own[1:]:
                raise_to(into, scores[m, first:last])
            total, term = spare[0, :size], spare[1, :size]
            total[:] = 0
            for m in own:
                subtract(scores[m, first:last], into, term)
                exp(term, spare[2])
                add(total, term)
            add_log(into, total)


@numba.njit(cache=True)
def _softmax(
    scores: NDArray[np.float32], size: int, spare: NDArray[np.float32], probability: NDArray[np.float32]
) -> None:  # pragma: no cover
    """Probabilities of a block. ``spare[0]`` becomes the log of the sum of exp(scores): log p is scores minus it."""
    log_total, total = spare[0, :size], spare[1, :size]
    total[:] = 0
    copy(scores[0, :size], log_total)
    for c in range(1, len(scores)):
        raise_to(log_total, scores[c, :size])
    for c in range(len(scores)):
        row = probability[c, :size]
        subtract(scores[c, :size], log_total, row)
        exp(row, spare[2])
        add(total, row)
    add_log(log_total, total)
    for v in range(len(total)):
        total[v] = np.float32(1.0) / total[v]
    for c in range(len(scores)):
        multiply(probability[c, :size], total)


@numba.njit(cache=True)
def _merged_gradient(
    probability: NDArray[np.float32],
    share: NDArray[np.float32],
    size: int,
    lacking: NDArray[np.float32],
    surplus: NDArray[np.float32],
    weights: NDArray[np.float32],
    pull: NDArray[np.float32],
) -> None:  # pragma: no cover
    """Replace ``share`` by the gradient at the merged scores; see `bundle.scripts.losses._SharedSoftmaxLoss`."""
    pull[:] = 0
    for c in range(len(share)):
        _class_gradient(probability[c, :size], share[c, :size], lacking[c], surplus[c], weights[c], pull)
    for c in range(len(share)):
        _add_product(share[c, :size], probability[c], pull)


@numba.njit(cache=True)
def _split_gradient(
    scores: NDArray[np.float32],
    first: int,
    last: int,
    members: NDArray[np.int64],
    starts: NDArray[np.int64],
    merged: NDArray[np.float32],
    merged_gradient: NDArray[np.float32],
    spare: NDArray[np.float32],
    gradient: NDArray[np.float32],
) -> None:  # pragma: no cover
    """Give each class its part of the gradient of the class that it was labelled as."""
    for c in range(len(scores)):
        own = members[starts[c] : starts[c + 1]]
        for m in own:
            into = gradient[m, first:last]
            if len(own) == 1:
                copy(merged_gradient[c], into)
            else:
                subtract(scores[m, first:last], merged[c], into)
                exp(into, spare)
                multiply(into, merged_gradient[c])


@numba.njit(cache=True)
def _count_shares(
    labels: NDArray[np.uint8], first: int, last: int, share: NDArray[np.float32]
) -> None:  # pragma: no cover
    part = np.float32(1.0 / len(labels))
    share[:] = 0
    for k in range(len(labels)):
        row = labels[k, first:last]
        for v in range(len(row)):
            share[row[v], v] += part


@numba.njit(cache=True, fastmath=_REORDER)
def _add_class(
    scores: NDArray[np.float32],
    probability: NDArray[np.float32],
    share: NDArray[np.float32],
    log_total: NDArray[np.float32],
    sums: NDArray[np.float64],
) -> None:  # pragma: no cover
    """Add a block's sums of one class. float32 is exact enough for a block, but not for all voxels."""
    p_sum = share_sum = overlap = log_sum = np.float32(0)
    for v in range(len(scores)):
        p_sum += probability[v]
        share_sum += share[v]
        overlap += probability[v] if probability[v] < share[v] else share[v]
        log_sum += share[v] * (scores[v] - log_total[v])
    sums[PROBABILITY] += p_sum
    sums[SHARE] += share_sum
    sums[OVERLAP] += overlap
    sums[LOG_PROBABILITY] += log_sum


@numba.njit(cache=True)
def _class_gradient(
    probability: NDArray[np.float32],
    share: NDArray[np.float32],
    lacking: np.float32,
    surplus: np.float32,
    weight: np.float32,
    pull: NDArray[np.float32],
) -> None:  # pragma: no cover
    """Replace a class's share by its gradient without its probability times ``pull``, which grows by all classes."""
    for v in range(len(share)):
        p, s = probability[v], share[v]
        dice = (lacking if p < s else surplus) * p
        pull[v] += weight * s - dice
        share[v] = dice - weight * s


@numba.njit(cache=True)
def _add_product(
    values: NDArray[np.float32], first: NDArray[np.float32], second: NDArray[np.float32]
) -> None:  # pragma: no cover
    for v in range(len(values)):
        values[v] += first[v] * second[v]
