"""What is known about the network that made a segmentation, carried to every output."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from operators.core.errors import SegmentationError

__all__ = ["CARD_FILE", "SHIPPED_BUNDLE", "ModelCard", "check_bundle_folder"]

CARD_FILE = "models/shipped.json"
"""Where a bundle says what its weights are."""

SHIPPED_BUNDLE = Path(__file__).resolve().parents[2] / "bundle"
"""The bundle that comes with SarcoMAP, with demonstration weights."""


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
    made_elsewhere : bool
        The labels are not our network's but came from a file; ``name`` and
        ``version`` are of what made them, ``sha256`` is of that file.
    made : {"automatic", "semiautomatic", "manual"}
        How the labels were made (DICOM PS3.3 C.8.20.2, Segment Algorithm
        Type). A network's own are automatic, and semiautomatic once they
        were edited by hand.
    """

    name: str
    version: str
    sha256: str
    training_data: str
    intended_use: str
    synthetic_training: bool
    made_elsewhere: bool = False
    made: Literal["automatic", "semiautomatic", "manual"] = "automatic"

    @property
    def edited(self) -> bool:
        """Whether somebody edited what our network labelled."""
        return not self.made_elsewhere and self.made != "automatic"

    @property
    def remark(self) -> str:
        """What a description must add in brackets, with a space before it; empty when there is nothing to add.

        Short, for DICOM allows 64 characters for the whole.
        """
        if self.made_elsewhere:
            return " (labels made elsewhere)"
        if self.edited:
            return f" ({'synthetic training, ' if self.synthetic_training else ''}labels edited by hand)"
        return " (network trained on synthetic anatomy)" if self.synthetic_training else ""

    def after_editing(self) -> ModelCard:
        """The card of the same labels once they were edited by hand: what the weights have seen is still in them."""
        return replace(self, made="semiautomatic") if self.made == "automatic" else self


def check_bundle_folder(bundle: Path) -> None:
    """Refuse what is no bundle, without reading it.

    Raises
    ------
    SegmentationError
        When the folder has no model card.
    """
    if not (bundle / CARD_FILE).is_file():
        raise SegmentationError(
            str(bundle),
            f"no {CARD_FILE} in it",
            "the folder of a MONAI bundle",
            "Check -m; without it the shipped bundle is used. `sarcomap bundle release` makes one of your own.",
        )
