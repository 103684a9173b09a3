"""Pairs of image and label map: find them, choose those to train on, and count how often each class occurs."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bundle.scripts.annotations import read_labels
from operators.core import anatomy
from operators.core.errors import InputError, UsageError

__all__ = [
    "check_folds",
    "class_targets",
    "inverse_sqrt_frequency",
    "list_images",
    "list_pairs",
    "read_datalist",
]

_LOG = logging.getLogger(__name__)
_ENTRY = ("participant", "fold", "image", "label", "annotated")


def list_pairs(
    dataset_dir: str | Path, images: Sequence[str] = ("water.nrrd",), label: str = "labels.nrrd"
) -> list[dict[str, Any]]:
    """List every participant's folder below ``dataset_dir`` that holds the images and the label map.

    Folders that hold only some of these files are left out with a warning.

    Parameters
    ----------
    dataset_dir : path
        ``<participant>/<image>`` and ``<participant>/<label>``.
    images : sequence of str
        File names. Several become input channels in this order.
    label : str

    Returns
    -------
    list of dict
        ``{"image": [paths], "label": path}``, sorted by participant, for a MONAI dataset. If a folder has a
        ``classes.json`` (of `sarcomap phantom paint`), all have ``labelled_as`` besides; see `class_targets`.

    Raises
    ------
    FileNotFoundError
        If there is no complete pair.
    InputError
        If a ``classes.json`` is unreadable.
    """
    _check_names(images)
    folders = sorted(folder for folder in Path(dataset_dir).glob("*") if not folder.name.startswith("."))
    pairs: list[dict[str, Any]] = [
        {"image": [str(folder / name) for name in images], "label": str(folder / label)}
        for folder in folders
        if all((folder / name).is_file() for name in (*images, label))
    ]
    if not pairs:
        raise FileNotFoundError(
            f"{dataset_dir}: no folder holds {', '.join((*images, label))}; expected one folder per participant. "
            "Make synthetic ones with `python -m phantom training-set --out DIR --n 300`, or list your own with "
            "`python -m bundle.scripts.datalist`."
        )
    for folder in folders:  # one that is being written has a hidden name
        lacks = [name for name in (*images, label) if not (folder / name).is_file()]
        if 0 < len(lacks) <= len(images):
            _LOG.warning(f"{folder.name} is left out: no {', '.join(lacks)}")
    drawn = [_drawn_classes(Path(pair["label"]).with_name("classes.json")) for pair in pairs]
    if any(found is not None for found in drawn):
        for pair, found in zip(pairs, drawn, strict=True):
            pair["labelled_as"] = class_targets(**found) if found else class_targets()
    return pairs


def class_targets(
    annotated: Collection[str] | None = None, merged: Mapping[str, str] | None = None, where: str = "classes.json"
) -> NDArray[np.int64]:
    """For each class, the class whose label its voxels have in one participant's label map.

    Parameters
    ----------
    annotated : collection of str, optional
        Structures that were drawn, alone or with others. Voxels of all others are background. Default: all.
    merged : mapping of str to str, optional
        Structures that were drawn only together with another, whose label they have.
    where : str
        File of the names, for errors.

    Returns
    -------
    ndarray, shape (channels,), int64

    Raises
    ------
    InputError
        If a name is not in the label table.
    """
    targets = np.arange(anatomy.CHANNEL_COUNT)
    if annotated is not None:
        drawn = [_index(name, where) for name in annotated]
        targets[np.setdiff1d(targets, drawn)] = 0
    for name, other in (merged or {}).items():
        targets[_index(name, where)] = _index(other, where)
    return targets


def _drawn_classes(path: Path) -> dict[str, Any] | None:
    """Content of a painted participant's ``classes.json``; None if there is none."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {"annotated": list(content["annotated"]), "merged": dict(content["merged"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path.parent.name}/{path.name}",
            f"unreadable ({type(error).__name__})",
            "`annotated` and `merged`",
            "Make the participant again with `sarcomap phantom paint`.",
        ) from error


def list_images(dataset_dir: str | Path, images: Sequence[str] = ("water.nrrd",)) -> list[dict[str, Any]]:
    """List every folder at or below ``dataset_dir`` that holds the images, for inference.

    Raises
    ------
    InputError
        If there is none.
    """
    _check_names(images)
    folders = sorted({path.parent for path in Path(dataset_dir).rglob(images[0])})
    items = [
        {"image": [str(folder / name) for name in images]}
        for folder in folders
        if all((folder / name).is_file() for name in images)
    ]
    if not items:
        raise InputError(
            str(dataset_dir), f"no folder with {', '.join(images)}", "fused volumes", "Check --dataset_dir."
        )
    return items


def read_datalist(path: str | Path, images: Sequence[str] = ("water.nrrd",)) -> list[dict[str, Any]]:
    """Read the pairs in a datalist of ``python -m bundle.scripts.datalist``.

    Parameters
    ----------
    path : path
        JSON file. Paths in it are relative to its folder.
    images : sequence of str
        Input channels of the network. They must be those of the datalist.

    Returns
    -------
    list of dict
        As `list_pairs`, with ``participant`` (str), ``fold`` (int), ``weak`` (bool) and
        ``annotated`` (uint8 array, one entry per channel) and ``labelled_as`` (see `class_targets`).

    Raises
    ------
    InputError
        If the file is unreadable or incomplete, images are missing, channels differ, or a participant is in two folds.
    """
    _check_names(images)
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries = content["training"]
        channels = list(content["channels"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            str(path),
            f"no datalist ({type(error).__name__})",
            "a JSON file with `channels` and `training`",
            "Make one with `sarcomap bundle datalist DIR`.",
        ) from error
    if channels != list(images):
        raise InputError(
            path.name,
            f"channels {', '.join(channels)}",
            f"{', '.join(images)}, as configured for the network",
            "Make the datalist again with --images, or set `images` in the config.",
        )
    for number, entry in enumerate(entries):
        if missing := [key for key in _ENTRY if not isinstance(entry, dict) or key not in entry]:
            raise InputError(
                path.name,
                f"entry {number} without {', '.join(missing)}",
                ", ".join(_ENTRY),
                "Make the datalist again with `sarcomap bundle datalist DIR`.",
            )
    check_folds(entries, path.name)
    pairs = []
    for entry in entries:
        annotated = np.zeros(anatomy.CHANNEL_COUNT, np.uint8)
        annotated[[0, *(_index(name, path.name) for name in entry["annotated"])]] = 1
        pair: dict[str, Any] = {
            "image": [str(path.parent / name) for name in entry["image"]],
            "label": str(path.parent / entry["label"]),
            "participant": str(entry["participant"]),
            "fold": int(entry["fold"]),
            "weak": bool(entry.get("weak", False)),
            "annotated": annotated,
            "labelled_as": class_targets(entry["annotated"], entry.get("merged"), path.name),
        }
        if entry.get("mapping"):
            pair["mapping"] = {int(v): _index(name, path.name) if name else 0 for v, name in entry["mapping"].items()}
        if content.get("ignored_segments"):
            pair["ignore"] = tuple(content["ignored_segments"])
        if absent := [name for name in (*pair["image"], pair["label"]) if not Path(name).is_file()]:
            raise InputError(
                path.name,
                f"{len(absent)} files are missing, e.g. a {Path(absent[0]).name} of fold {pair['fold']}",
                "files at the paths of the datalist",
                "Move the datalist together with its data, or make it again.",
            )
        pairs.append(pair)
    return pairs


def _check_names(images: Any) -> None:
    """A text would be taken for a list of its letters, and each for a channel."""
    if isinstance(images, str):
        raise UsageError("images", repr(images), "a list such as \"['water.nrrd','fat.nrrd']\"", "Quote each name.")


def check_folds(entries: Sequence[dict[str, Any]], where: str) -> None:
    """Raise if a group of participants, or the same image, is in more than one fold.

    Raises
    ------
    InputError
        If so, because such a leak makes validation figures worthless.
    """
    for key, what in (("group", "group"), ("participant", "participant"), ("image_sha256", "image")):
        folds: dict[str, set[int]] = defaultdict(set)
        for entry in entries:
            if entry.get(key) is not None:
                folds[str(entry[key])].add(int(entry["fold"]))
        if leaks := [sorted(found) for found in folds.values() if len(found) > 1]:
            raise InputError(
                where,
                f"{len(leaks)} {what}{'s' if len(leaks) > 1 else ''} in more than one fold (e.g. in folds "
                f"{', '.join(map(str, leaks[0]))})",
                "every participant in one fold only",
                "Make the datalist again; give copies of one participant the same group.",
            )


def inverse_sqrt_frequency(
    pairs: Sequence[dict[str, Any]], channels: int, sample: int = 24, largest: float = 12.0
) -> torch.Tensor:
    """Class weights for cross-entropy: 1 / sqrt(frequency), mean 1 over the voxels, absent classes 0.

    Small muscles have a thousandth of the background's voxels. Without weights, a
    network learns them last. The inverse frequency itself would drown the large ones.

    Parameters
    ----------
    pairs : sequence of dict
        From `list_pairs` or `read_datalist`; the first ``sample`` label maps are counted.
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
        labels = read_labels(str(pair["label"]), pair.get("mapping"), pair.get("ignore", ())).labels.voxels
        counts += np.bincount(labels.ravel().astype(np.int64), minlength=channels)[:channels]
    frequency = counts / counts.sum()
    present = frequency > 0
    weights = np.zeros(channels)
    weights[present] = frequency[present] ** -0.5
    weights = np.minimum(weights, largest * np.median(weights[present]))
    weights /= (weights * frequency).sum()
    return torch.tensor(weights, dtype=torch.float32)


def _index(name: str, where: str) -> int:
    try:
        return anatomy.by_name(name).index
    except KeyError as error:
        raise InputError(
            where, f"structure {name!r}", "names of the label table", "Make the datalist again."
        ) from error
