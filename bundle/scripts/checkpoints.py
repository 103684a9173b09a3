"""Finding where a training stopped, and keeping only the weights of it.

python -m bundle.scripts.checkpoints CHECKPOINT_FOLDER WEIGHTS.pt
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

__all__ = ["latest_checkpoint", "save_weights"]


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
