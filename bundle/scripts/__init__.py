"""The few Python pieces that the bundle's configs name."""

from bundle.scripts.checkpoints import latest_checkpoint, resized, save_weights
from bundle.scripts.data import inverse_sqrt_frequency, list_pairs
from bundle.scripts.inferers import AutocastInferer
from bundle.scripts.losses import DiceWeightedCELoss

__all__ = [
    "AutocastInferer",
    "DiceWeightedCELoss",
    "inverse_sqrt_frequency",
    "latest_checkpoint",
    "list_pairs",
    "resized",
    "save_weights",
]
