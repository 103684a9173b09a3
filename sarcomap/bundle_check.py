"""Check that a bundle does what its card says: its metadata, its network, and its labels of one phantom."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jsonschema_rs import validator_for
from numpy.typing import NDArray

from operators.core import anatomy
from operators.core.errors import SegmentationError
from operators.core.model_card import ModelCard
from operators.core.options import SegmentationOptions
from operators.core.volume import Contrast, Fused
from operators.segmentation import SegmentationModel, load_model, segment
from operators.station_fusion import body_mask, fat_fraction
from phantom.acquisition import acquire_study
from phantom.anatomy import body_grid, build_labels, build_tissues, fit_body
from phantom.dixon_signal import AcquisitionOptions
from phantom.fused import fused_images
from phantom.participant import draw_participant
from phantom.station_geometry import FUSED_STATION_COUNT, archive_stations, coarser
from phantom.truth import count_volumes

__all__ = ["CHECK_SEED", "BundleCheck", "check", "scanned_phantom"]

CHECK_SEED = 900000
"""A participant that none of our trainings has seen: seeds of training sets begin at 100000 and 200000."""

_METADATA = "configs/metadata.json"
_TISSUE_SPACING_MM = (3.0, 3.0, 4.0)


@dataclass(frozen=True)
class BundleCheck:
    """Result of a check.

    Attributes
    ----------
    card : ModelCard
    held_out_mean_dice : float or None
        As the card states it.
    network : str
        Class of the network.
    parameters : int
    contrasts : tuple of Contrast
        Input channels.
    engine : str
        Inference engine that ran the network.
    seconds : float
        Time for labelling the phantom.
    dice : mapping of str to float
        By structure, on the phantom; 0 where nothing was found.
    tmv_cm3, true_tmv_cm3 : float
        Total muscle volume of the phantom, measured and true.
    """

    card: ModelCard
    held_out_mean_dice: float | None
    network: str
    parameters: int
    contrasts: tuple[Contrast, ...]
    engine: str
    seconds: float
    dice: Mapping[str, float]
    found: tuple[str, ...]
    tmv_cm3: float
    true_tmv_cm3: float

    @property
    def mean_dice(self) -> float:
        """Mean over the structures that the phantom has."""
        return float(np.mean(list(self.dice.values())))

    @property
    def tmv_error(self) -> float:
        """Measured over true total muscle volume, minus 1."""
        return self.tmv_cm3 / self.true_tmv_cm3 - 1

    def summary(self) -> str:
        """Text that the command prints."""
        missing = [name.replace("_", " ") for name in self.dice if name not in self.found]
        worst = min(self.dice, key=lambda name: self.dice[name])
        stated = "none stated" if self.held_out_mean_dice is None else f"mean Dice {self.held_out_mean_dice:.3f}"
        rows = {
            "model": f"{self.card.name} {self.card.version}, SHA-256 {self.card.sha256[:12]}...",
            "trained on": self.card.training_data,
            "synthetic": "yes; every output says so" if self.card.synthetic_training else "no",
            "intended use": self.card.intended_use,
            "evaluation": stated,
            "network": f"{self.network}, {self.parameters / 1e6:.1f} million parameters, reads "
            + ", ".join(contrast.value for contrast in self.contrasts),
            "metadata": "verified against MONAI's schema",
            "phantom": f"labelled in {self.seconds:.1f} s ({self.engine})",
            "found": f"{len(self.found)} of {len(self.dice)} structures"
            + (f"; not {', '.join(missing)}" if missing else ""),
            "Dice": f"mean {self.mean_dice:.3f}, lowest {self.dice[worst]:.3f} ({worst.replace('_', ' ')})",
            "muscle volume": f"{self.tmv_cm3:.0f} cm3, true {self.true_tmv_cm3:.0f} ({self.tmv_error:+.1%})",
        }
        lines = [f"{name:14s} {value}" for name, value in rows.items()]
        if not self.card.synthetic_training:
            lines.append(
                "The phantom is synthetic anatomy. For weights trained on images of people, these figures show that "
                "the bundle runs, not how accurate it is."
            )
        return "\n".join(lines)


def check(bundle: Path, *, trusted: bool = False, coarse: bool = False) -> BundleCheck:
    """Verify a bundle's metadata, load its model, and label one phantom with it.

    Parameters
    ----------
    bundle : Path
    trusted : bool
        As in `load_model`.
    coarse : bool
        Scan the phantom at a quarter of the resolution. This is quicker, and it suits networks with large voxels.

    Returns
    -------
    BundleCheck
        A low Dice is not an error: weights trained on images of people may not recognise a phantom.

    Raises
    ------
    SegmentationError
        If the metadata violate MONAI's schema or do not describe the network
        that the configs build, if the model cannot be loaded, or if it finds nothing.
    """
    facts = _verified_metadata(bundle)
    model = load_model(bundle, trusted=trusted)
    _compare(bundle, facts, model)
    fused, truth = scanned_phantom(CHECK_SEED, coarse=coarse)
    begun = time.perf_counter()
    labels = segment(fused, model, SegmentationOptions())
    seconds = time.perf_counter() - begun
    voxels = np.asarray(labels.voxels, np.uint8)
    dice = _dice(voxels, truth)
    card = json.loads((bundle / "models" / "shipped.json").read_text(encoding="utf-8"))
    return BundleCheck(
        card=model.card,
        held_out_mean_dice=card.get("held_out_mean_dice"),
        network=type(model.network).__name__,
        parameters=sum(parameter.numel() for parameter in model.network.parameters()),
        contrasts=model.contrasts,
        engine=str(labels.engine),
        seconds=seconds,
        dice=dice,
        found=tuple(name for name in dice if (voxels == anatomy.by_name(name).index).any()),
        tmv_cm3=count_volumes(voxels, fused.grid).tmv_cm3,
        true_tmv_cm3=count_volumes(truth, fused.grid).tmv_cm3,
    )


def scanned_phantom(seed: int, *, coarse: bool = False) -> tuple[Fused, NDArray[np.uint8]]:
    """A synthetic participant, scanned and fused in memory.

    Parameters
    ----------
    seed : int
    coarse : bool
        Voxels four times as wide and twice as high as the archive's.

    Returns
    -------
    Fused
    ndarray, shape (z, y, x), uint8
        The true structures at the voxel centres.
    """
    participant = draw_participant(seed)
    body = fit_body(participant)
    stations = archive_stations(FUSED_STATION_COUNT)
    spacing = tuple(2 * mm for mm in _TISSUE_SPACING_MM) if coarse else _TISSUE_SPACING_MM
    tissues = build_tissues(participant, body_grid(participant, spacing), body)  # type: ignore[arg-type]
    scans = acquire_study(tissues, coarser(stations) if coarse else stations, AcquisitionOptions(), seed)
    contrasts = (Contrast.WATER, Contrast.FAT, Contrast.IN, Contrast.OPPOSED)
    (water, fat, in_phase, opposed), grid = fused_images(scans, contrasts)
    mask = body_mask(water, fat, grid)
    fraction = fat_fraction(water, fat, mask)
    return Fused(water, fat, in_phase, opposed, grid, mask, fraction, ()), build_labels(body, grid)


def _verified_metadata(bundle: Path) -> dict[str, Any]:
    """Read the metadata and verify them against MONAI's schema, which lies beside them.

    Not with MONAI's `verify_metadata`: where MONAI was imported without what inference does not need
    (`operators.segmentation.monai_parts`), it has no jsonschema.
    """
    path = bundle / _METADATA
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        schema = json.loads((path.parent / Path(str(facts["schema"])).name).read_text(encoding="utf-8"))
        checker = validator_for(schema)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SegmentationError(
            str(path),
            f"not usable ({type(error).__name__}: {error})",
            "metadata and MONAI's schema for them",
            "Make the bundle with `sarcomap bundle release`.",
        ) from error
    wrong = next((error.message for error in checker.iter_errors(facts)), None)
    if wrong is not None:
        raise SegmentationError(
            str(path), wrong, "metadata that MONAI's schema allows", "Correct them, or release the weights again."
        )
    return dict(facts)


def _compare(bundle: Path, facts: Mapping[str, Any], model: SegmentationModel) -> None:
    """Raise if the metadata describe another model than the loaded one."""
    image = facts["network_data_format"]["inputs"]["image"]
    for what, stated, real in (
        ("version", facts["version"], model.card.version),
        ("input channels", image["num_channels"], len(model.contrasts)),
        ("window", list(image["spatial_shape"]), [int(n) for n in model.windows.roi]),
        ("output channels", facts["network_data_format"]["outputs"]["pred"]["num_channels"], anatomy.CHANNEL_COUNT),
    ):
        if stated != real:
            raise SegmentationError(
                str(bundle / _METADATA),
                f"{what} {stated}",
                f"{real}, as in the loaded model",
                "Release the weights again with the configs that they were trained with.",
            )


def _dice(found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> dict[str, float]:
    """Dice of every structure in the truth."""
    count = anatomy.CHANNEL_COUNT
    sizes = np.bincount(truth.ravel(), minlength=count), np.bincount(found.ravel(), minlength=count)
    both = np.bincount(truth[truth == found], minlength=count)
    return {
        s.name: float(2 * both[s.index] / (sizes[0][s.index] + sizes[1][s.index]))
        for s in anatomy.STRUCTURES
        if sizes[0][s.index]
    }
