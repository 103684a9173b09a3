"""Read checkpoints without executing code in them, and extract the weights of one.

python -m bundle.scripts.checkpoints CHECKPOINT_FOLDER WEIGHTS.pt
"""

from __future__ import annotations

import logging
import pickle
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch

from operators.core.errors import SegmentationError

_LOG = logging.getLogger(__name__)

__all__ = ["latest_checkpoint", "load_checkpoint", "load_weights", "read_weights", "save_weights"]


def latest_checkpoint(ckpt_dir: str | Path) -> str | None:
    """Path of the training checkpoint of the highest epoch, or None if there is none to resume from.

    Truncated files (a full disk, an interrupted copy) are skipped with a warning.
    """
    found = Path(ckpt_dir).glob("training_checkpoint_*.pt")
    by_epoch = {int(match[1]): path for path in found if (match := re.search(r"epoch=(\d+)", path.name))}
    for epoch in sorted(by_epoch, reverse=True):
        if zipfile.is_zipfile(by_epoch[epoch]):
            return str(by_epoch[epoch])
        _LOG.warning(f"{by_epoch[epoch]} is not whole: training does not go on from it")
    return None


def load_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read the dictionary in a checkpoint. Code in it is never executed.

    Raises
    ------
    SegmentationError
        If the file cannot be read, or is a pickle with more than tensors and plain values.
    """
    try:
        found = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise SegmentationError(
            str(path),
            "a pickle with more than tensors and plain values",
            "a checkpoint that torch.load(..., weights_only=True) reads",
            "Nothing in it was executed. Save `network.state_dict()` from the program that made it.",
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise SegmentationError(
            str(path),
            f"not readable ({next(iter(str(error).splitlines()), type(error).__name__)})",
            "a whole PyTorch checkpoint",
            "Check the path, or copy the file again.",
        ) from error
    if not isinstance(found, dict):
        raise SegmentationError(str(path), f"a {type(found).__name__}", "a dictionary of tensors", "Check the path.")
    return found


def read_weights(path: str | Path, map_location: Any = "cpu") -> dict[str, torch.Tensor]:
    """The weights in a state dict or a training checkpoint, by name.

    Raises
    ------
    SegmentationError
        As `load_checkpoint`, and if the file holds something else.
    """
    found = load_checkpoint(path, map_location)
    weights = found.get("network", found)
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise SegmentationError(
            str(path),
            f"a dictionary of {', '.join(map(str, found))}",
            "weights: a dictionary of tensors, or a training checkpoint, which has them under network",
            "Give the checkpoint of a training, or what `python -m bundle.scripts.checkpoints` writes.",
        )
    return weights


def load_weights(network: torch.nn.Module, path: str | Path, map_location: Any = "cpu") -> torch.nn.Module:
    """Load the weights of a state dict or a training checkpoint into ``network``, and return it.

    Raises
    ------
    SegmentationError
        As `read_weights`, and if the weights belong to another architecture or channel count.
    """
    found = read_weights(path, map_location)
    module = getattr(network, "module", network)  # inside DistributedDataParallel
    expected = module.state_dict()
    differing = [
        f"{name} {tuple(found[name].shape)} for {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    absent, extra = expected.keys() - found.keys(), found.keys() - expected.keys()
    if differing or absent or extra:
        example = next(iter(differing), None) or next(iter(sorted(absent | extra)))
        raise SegmentationError(
            str(path),
            f"weights of another network ({len(differing)} tensors of another shape, {len(absent)} missing, "
            f"{len(extra)} unknown; e.g. {example})",
            "weights of the configured network",
            "Give the configs of its training: the shipped weights need configs/demo.yaml after the base config.",
        )
    module.load_state_dict(found)
    return network


def save_weights(checkpoint: str | Path, out: str | Path, key: str = "network") -> Path:
    """Write the network's tensors in a training checkpoint as a plain state dict.

    The result loads with ``torch.load(..., weights_only=True)``. It leaves out the
    states of optimizer and trainer, which users of the model never need.
    """
    state = load_checkpoint(checkpoint)
    tensors = state.get(key, state)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".partial")
    torch.save({name: tensor.contiguous() for name, tensor in tensors.items()}, partial)
    partial.replace(out)
    return out


def main(arguments: list[str]) -> None:
    """Write the weights in a folder's newest checkpoint."""
    if len(arguments) != 2:
        sys.exit(__doc__)
    newest = latest_checkpoint(arguments[0])
    if newest is None:
        sys.exit(f"error: {arguments[0]}: no training_checkpoint_*.pt; expected the checkpoint folder of a training.")
    print(f"{newest} -> {save_weights(newest, arguments[1])}")


if __name__ == "__main__":
    main(sys.argv[1:])
