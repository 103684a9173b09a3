"""Make a training checkpoint the bundle's shipped model: weights and card.

python -m bundle.scripts.ship CHECKPOINT --model-version 0.3.0 --held-out-dice 0.90 --bf16-dice-loss 0.0001
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from bundle.scripts.checkpoints import save_weights

__all__ = ["ship"]


def ship(
    checkpoint: Path,
    bundle: Path,
    *,
    version: str,
    held_out_mean_dice: float | None = None,
    bf16_dice_loss: float | None = None,
) -> Path:
    """Write ``models/demo_unetr.pt`` and ``models/shipped.json``; returns the card's path."""
    weights = save_weights(checkpoint, bundle / "models" / "demo_unetr.pt")
    card = {
        "name": "sarcomap_demo_unetr",
        "version": version,
        "weights": "models/demo_unetr.pt",
        "configs": ["configs/inference.yaml", "configs/demo.yaml"],
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "training_data": "Synthetic anatomy only (SarcoMAP phantoms); no image of a person was seen.",
        "intended_use": "Demonstration and software tests. Not for clinical use and not for research on real images.",
        "synthetic_training": True,
        "held_out_mean_dice": held_out_mean_dice,
        "bf16_dice_loss": bf16_dice_loss,
    }
    path = bundle / "models" / "shipped.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--bundle", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--model-version", required=True, help="as in configs/metadata.json")
    parser.add_argument("--held-out-dice", type=float, help="mean over the structures (benchmarks.held_out)")
    parser.add_argument("--bf16-dice-loss", type=float, help="what bfloat16 costs (benchmarks.inference_dice)")
    arguments = parser.parse_args()
    print(
        ship(
            arguments.checkpoint,
            arguments.bundle,
            version=arguments.model_version,
            held_out_mean_dice=arguments.held_out_dice,
            bf16_dice_loss=arguments.bf16_dice_loss,
        )
    )


if __name__ == "__main__":
    main()
