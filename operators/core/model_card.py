"""The model card: what is known about the network that made a segmentation. It is carried to every output."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from operators.core.calibration import Calibration
from operators.core.errors import SegmentationError

__all__ = ["CARD_FILE", "SHIPPED_BUNDLE", "ModelCard", "check_bundle_folder"]

CARD_FILE = "models/shipped.json"
"""The model card of a bundle, relative to its folder."""

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
        Hex digest of the weights file. The same name and version with other
        weights is another model.
    training_data : str
        One sentence: what it was trained on.
    intended_use : str
        One sentence, as in the bundle's ``metadata.json``.
    synthetic_training : bool
        Whether it was trained on synthetic images, of synthetic or real
        anatomy, and nobody has validated it on people. If so, every output
        says it.
    made_elsewhere : bool
        Whether the labels came from a file instead of our network. ``name``
        and ``version`` are then those of the tool that made them, and
        ``sha256`` is the digest of that file.
    made : {"automatic", "semiautomatic", "manual"}
        How the labels were made (DICOM PS3.3 C.8.20.2, Segment Algorithm
        Type). A network's labels are automatic, or semiautomatic once they
        have been edited by hand.
    """

    name: str
    version: str
    sha256: str
    training_data: str
    intended_use: str
    synthetic_training: bool
    made_elsewhere: bool = False
    made: Literal["automatic", "semiautomatic", "manual"] = "automatic"
    calibration: Calibration | None = field(default=None, repr=False, compare=False)

    def facts(self) -> dict[str, Any]:
        """Everything but the calibration, by name."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "calibration"}

    @property
    def edited(self) -> bool:
        """Whether our network's labels were edited by hand."""
        return not self.made_elsewhere and self.made != "automatic"

    @property
    def remark(self) -> str:
        """What a description must add: a space and a remark in brackets, or nothing.

        It is short because DICOM allows 64 characters for the whole description.
        """
        if self.made_elsewhere:
            return " (labels made elsewhere)"
        if self.edited:
            return f" ({'synthetic training, ' if self.synthetic_training else ''}labels edited by hand)"
        return " (network trained on synthetic images)" if self.synthetic_training else ""

    def after_editing(self) -> ModelCard:
        """The card of the same labels after editing by hand. It keeps what the weights were trained on."""
        return replace(self, made="semiautomatic") if self.made == "automatic" else self


def check_bundle_folder(bundle: Path) -> None:
    """Check that a folder is a bundle, without reading the model.

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
