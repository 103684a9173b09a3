"""Pairs of image and label map, and how often each class occurs in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nrrd
import numpy as np
import torch

__all__ = ["inverse_sqrt_frequency", "list_pairs"]


def list_pairs(
    dataset_dir: str | Path, images: Sequence[str] = ("water.nrrd",), label: str = "labels.nrrd"
) -> list[dict[str, object]]:
    """Every participant's folder below ``dataset_dir`` that holds the images and the label map.

    Parameters
    ----------
    dataset_dir : path
        ``<participant>/<image>`` and ``<participant>/<label>``.
    images : sequence of str
        File names; more than one become input channels in this order.
    label : str

    Returns
    -------
    list of dict
        ``{"image": [paths], "label": path}``, sorted by participant, for a MONAI dataset.

    Raises
    ------
    FileNotFoundError
        When there is no complete pair.
    """
    folders = sorted(folder for folder in Path(dataset_dir).glob("*") if not folder.name.startswith("."))
    pairs: list[dict[str, object]] = [
        {"image": [str(folder / name) for name in images], "label": str(folder / label)}
        for folder in folders
        if all((folder / name).is_file() for name in (*images, label))
    ]
    if not pairs:
        raise FileNotFoundError(
            f"{dataset_dir}: no folder holds {', '.join((*images, label))}; expected one folder for each participant. "
            "Make synthetic ones with `python -m phantom training-set --out DIR --n 300`."
        )
    return pairs


def inverse_sqrt_frequency(
    pairs: Sequence[dict[str, object]], channels: int, sample: int = 24, largest: float = 12.0
) -> torch.Tensor:
    """Class weights for cross-entropy: 1 / sqrt(frequency), mean 1 over the voxels, absent classes 0.

    Small muscles hold a thousandth of the voxels of the background; unweighted,
    a network learns them last. The inverse itself would drown the large ones.

    Parameters
    ----------
    pairs : sequence of dict
        From `list_pairs`; the first ``sample`` label maps are counted.
    channels : int
    sample : int
    largest : float
        Weights are capped at this multiple of their median.

    Returns
    -------
    Tensor, shape (channels,), float32
    """
    counts = np.zeros(channels)
    for pair in pairs[:sample]:
        labels, _ = nrrd.read(str(pair["label"]))
        counts += np.bincount(labels.ravel().astype(np.int64), minlength=channels)[:channels]
    frequency = counts / counts.sum()
    present = frequency > 0
    weights = np.zeros(channels)
    weights[present] = frequency[present] ** -0.5
    weights = np.minimum(weights, largest * np.median(weights[present]))
    weights /= (weights * frequency).sum()
    return torch.tensor(weights, dtype=torch.float32)
