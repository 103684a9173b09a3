"""The runner of `inference.yaml`: it labels fused studies in the same way as the application."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import torch
from tqdm import tqdm

from operators.core.errors import InputError, OutputError, SarcoMapError, SegmentationError, UsageError
from operators.core.grid_geometry import LPS_TO_RAS
from operators.core.image_channels import read_image
from operators.core.label_map import LabelMap
from operators.core.model_card import ModelCard
from operators.core.nrrd_files import read_volume, write_segmentation, write_volume
from operators.core.options import SegmentationOptions
from operators.core.output_files import replacing
from operators.core.volume import Contrast, Fused, Grid, Volume
from operators.segmentation.monai_parts import Compose, Inferer, SlidingWindowInferer
from operators.segmentation.signal_scale import TrainingSignal
from operators.segmentation.study_signal import at_training_scale, card_beside

if TYPE_CHECKING:  # imported only when it runs, because it reads this bundle's configs itself
    from operators.segmentation import SegmentationModel

__all__ = ["LabelStudies"]

_BODY = "body.nrrd"
_FORMATS = (".nii.gz", ".seg.nrrd")
_INTERPOLATED = ("scores", "probabilities")
_log = logging.getLogger(__name__)


class LabelStudies:
    """Labels every fused study of a list; see `operators.segmentation.segment`.

    If a study cannot be labelled, the log names it and the others are still labelled.

    If the card beside the weights states the signal of their training, a study of another
    scale is multiplied first, as in the application (`matching_scale`). That needs ``water``
    and ``fat`` beside an image; without them the log says that the scale is unknown.

    Parameters
    ----------
    items : sequence of dict
        From `list_images`. If there is a ``body.nrrd`` beside an image, as the application writes
        it, only voxels inside it are labelled; otherwise all voxels are.
    dataset_dir, output_dir : path
        ``dataset_dir/A/B/water.nrrd`` becomes ``output_dir/A/B/water_labels`` with ``output_format``.
    network : torch.nn.Module
        With its weights, on ``device``.
    weights : path
        The file that they were loaded from.
    preprocessing : sequence of transforms
    inferer : SlidingWindowInferer
    images : sequence of str
        Input channels: ``water.nrrd``, ``fat.nrrd``, ``in.nrrd``, ``opp.nrrd``.
    device : torch.device
    interpolate : {"scores", "probabilities"}
        What is interpolated to the images' grids.
    output_format : {".nii.gz", ".seg.nrrd"}
        Either is on the image's grid.
    options : mapping
        Fields of `SegmentationOptions`, except ``device``.

    Raises
    ------
    UsageError
        For an unknown output format, image or option, and for an inferer without sliding windows.
    """

    def __init__(
        self,
        items: Sequence[Mapping[str, Any]],
        dataset_dir: str | Path,
        output_dir: str | Path,
        network: torch.nn.Module,
        weights: str | Path,
        preprocessing: Sequence[Any],
        inferer: Inferer,
        images: Sequence[str],
        device: torch.device,
        interpolate: str = "scores",
        output_format: str = ".nii.gz",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if output_format not in _FORMATS:
            raise UsageError("output_format", repr(output_format), " or ".join(_FORMATS), "Choose one of them.")
        if interpolate not in _INTERPOLATED:
            raise UsageError("interpolate", repr(interpolate), " or ".join(_INTERPOLATED), "Choose one of them.")
        if not isinstance(inferer, SlidingWindowInferer):
            raise UsageError("inferer", type(inferer).__name__, "a SlidingWindowInferer", "See configs/inference.yaml.")
        try:
            self.contrasts = tuple(Contrast(Path(name).stem) for name in images)
            wanted = dict(options or {})
            # OpenVINO runs on the CPU only.
            on = "cpu" if wanted.get("backend") == "openvino" else torch.device(device).type
            self.options = SegmentationOptions(**{**wanted, "device": on})
        except (TypeError, ValueError) as error:
            raise UsageError(
                "images or options", str(error), "those of configs/inference.yaml", "Check them."
            ) from error
        self.items = list(items)
        self.dataset_dir, self.output_dir = Path(dataset_dir), Path(output_dir)
        self.network, self.weights, self.device = network, Path(weights), torch.device(device)
        self.preprocessing, self.inferer = Compose(preprocessing), inferer
        self.output_format = output_format
        self.probabilities = interpolate == "probabilities"
        self.training_signal: TrainingSignal | None = None

    def run(self) -> list[Path]:
        """Label the studies, with a progress bar.

        Returns
        -------
        list of Path
            The label maps.

        Raises
        ------
        SegmentationError
            At the end, when some studies could not be labelled.
        UsageError
            For a backend, device or precision that is not available on this machine.
        """
        model = self._model()
        written: list[Path] = []
        failed: list[str] = []
        for item in tqdm(self.items, unit="study", desc="labels"):
            paths = [Path(name) for name in item["image"]]
            folder = paths[0].parent.relative_to(self.dataset_dir)
            try:
                written.append(self._label(paths, self.output_dir / folder, model))
            except UsageError:
                raise
            except SarcoMapError as error:
                _log.error("%s not labelled: %s", folder, error)
                failed.append(f"{folder}: {error.where}: {error.found}")
        if failed:
            raise SegmentationError(
                f"{len(failed)} of {len(self.items)} studies",
                f"not labelled (first {failed[0]})",
                "fused studies that show a body",
                "The log names each of them; the others are labelled.",
            )
        return written

    def _label(self, paths: Sequence[Path], folder: Path, model: SegmentationModel) -> Path:
        from operators.segmentation import segment

        fused = at_training_scale(_fused(paths, self.contrasts), paths[0], self.contrasts, self.training_signal)
        labels = segment(fused, model, self.options)
        for flag in labels.flags:
            _log.warning("%s: %s", paths[0].parent.name, flag.message)
        stem = paths[0].name.partition(".")[0]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(str(folder), f"not made ({error})", "a writable folder", "Check --output_dir.") from error
        return _write(folder, stem, labels, self.output_format)

    def _model(self) -> SegmentationModel:
        from operators.segmentation import SegmentationModel

        digest = hashlib.sha256(self.weights.read_bytes()).hexdigest() if self.weights.is_file() else ""
        facts = card_beside(self.weights, digest)
        self.training_signal = TrainingSignal.of_card(facts)
        return SegmentationModel(
            card=ModelCard(self.weights.stem, "", digest, "", "", synthetic_training=False),
            contrasts=self.contrasts,
            preprocessing=self.preprocessing,
            inferer=self.inferer,  # type: ignore[arg-type]  # checked in __init__
            network=self.network.eval(),
            device=self.device,
            bf16_dice_loss=facts.get("bf16_dice_loss"),
            probabilities=self.probabilities,
        )


def _fused(paths: Sequence[Path], contrasts: Sequence[Contrast]) -> Fused:
    """Read the parts of a fused study that the network needs from its folder."""
    voxels, grid = read_image(paths)
    by_contrast = dict(zip(contrasts, voxels, strict=True))
    water, fat, in_phase, opposed = (
        by_contrast.get(contrast, voxels[0])  # a contrast that the network does not use can be any array
        for contrast in (Contrast.WATER, Contrast.FAT, Contrast.IN, Contrast.OPPOSED)
    )
    return Fused(water, fat, in_phase, opposed, grid, _body(paths[0].with_name(_BODY), grid), voxels[0], ())


def _body(path: Path, grid: Grid) -> np.ndarray[Any, np.dtype[np.bool_]]:
    if not path.is_file():
        return np.ones(grid.shape, dtype=np.bool_)
    body = read_volume(path)
    if not body.grid.same_as(grid):
        raise InputError(
            f"{path.parent.name}/{path.name}",
            "a grid that differs from the image's",
            "the mask of one fused study",
            "Fuse again.",
        )
    return np.asarray(body.voxels) > 0


def _write(folder: Path, stem: str, labels: LabelMap, output_format: str) -> Path:
    nifti = output_format == ".nii.gz"
    if labels.confidence is not None:
        path = folder / f"{stem}_confidence{'.nii.gz' if nifti else '.nrrd'}"
        (_write_nifti if nifti else write_volume)(path, labels.confidence)
    path = folder / f"{stem}_labels{output_format}"
    (_write_nifti if nifti else write_segmentation)(path, labels)
    return path


def _write_nifti(path: Path, volume: Volume) -> None:
    image: Any = nibabel.Nifti1Image(np.asarray(volume.voxels).transpose(2, 1, 0), LPS_TO_RAS @ volume.grid.affine)
    image.header.set_xyzt_units("mm")
    with replacing(path, ending=".nii.gz") as temporary:
        nibabel.save(image, temporary)
