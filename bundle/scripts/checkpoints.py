"""Finding where a training stopped, and keeping only the weights of it.

python -m bundle.scripts.checkpoints CHECKPOINT_FOLDER WEIGHTS.pt
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from monai.networks.nets import UNETR

__all__ = ["latest_checkpoint", "resized", "save_weights"]

_POSITIONS = "vit.patch_embedding.position_embeddings"


def latest_checkpoint(ckpt_dir: str | Path) -> str | None:
    """Path of the newest training checkpoint, or None when there is none to resume from."""
    found = sorted(Path(ckpt_dir).glob("training_checkpoint_*.pt"), key=lambda path: path.stat().st_mtime)
    return str(found[-1]) if found else None


def save_weights(checkpoint: str | Path, out: str | Path, key: str = "network") -> Path:
    """Write the network's tensors of a training checkpoint as a plain state dict.

    The result loads with ``torch.load(..., weights_only=True)``; optimizer and
    trainer states, which a user of the model never needs, are left behind.
    """
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    tensors = state.get(key, state)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".partial")
    torch.save({name: tensor.contiguous() for name, tensor in tensors.items()}, partial)
    partial.replace(out)
    return out


def resized(weights: Mapping[str, torch.Tensor], network: UNETR, window: Sequence[int]) -> dict[str, torch.Tensor]:
    """Weights of a UNETR for one window, made to fit the network's own.

    Only the learned positions of its patches depend on the window; they are
    interpolated, so that each patch takes the position that it has within it.

    Parameters
    ----------
    weights : mapping of str to Tensor
        State dict of a UNETR of the network's architecture.
    network : monai.networks.nets.UNETR
    window : sequence of int, (x, y, z)
        What ``weights`` were trained with, in voxels.

    Returns
    -------
    dict of str to Tensor
        For ``network.load_state_dict``.

    Raises
    ------
    ValueError
        When the weights have not the patches of that window.
    """
    patches = [size // patch for size, patch in zip(window, network.patch_size, strict=True)]
    positions = weights[_POSITIONS]
    if positions.shape[1] != math.prod(patches):
        raise ValueError(
            f"the weights know {positions.shape[1]} patches, but a window of {tuple(window)} has "
            f"{math.prod(patches)}; expected the window that they were trained with (start_roi)."
        )
    volume = positions.transpose(1, 2).reshape(1, -1, *patches)
    fitted = torch.nn.functional.interpolate(volume, size=list(network.feat_size), mode="trilinear")
    return {**weights, _POSITIONS: fitted.flatten(2).transpose(1, 2).contiguous()}


def main(arguments: list[str]) -> None:
    """Write the weights of a folder's newest checkpoint."""
    if len(arguments) != 2:
        sys.exit(__doc__)
    newest = latest_checkpoint(arguments[0])
    if newest is None:
        sys.exit(f"error: {arguments[0]}: no training_checkpoint_*.pt; expected a folder that a training wrote to.")
    print(f"{newest} -> {save_weights(newest, arguments[1])}")


if __name__ == "__main__":
    main(sys.argv[1:])
