"""What is known about the network that made a segmentation, carried to every output."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ModelCard"]


@dataclass(frozen=True)
class ModelCard:
    """The identity of a trained model and what it may be used for.

    Attributes
    ----------
    name, version : str
        As in the bundle's ``metadata.json``.
    sha256 : str
        Hex digest of the weights file: the same name and version with other
        weights is another model.
    training_data : str
        One sentence: what it was trained on.
    intended_use : str
        One sentence, as in the bundle's ``metadata.json``.
    synthetic_training : bool
        Trained on synthetic anatomy only; every output then says so.
    """

    name: str
    version: str
    sha256: str
    training_data: str
    intended_use: str
    synthetic_training: bool
