"""Make `configs/metadata.json` of a released bundle, MONAI's description of a model."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle.scripts.release_configs import CONFIGS
from bundle.scripts.release_figures import Figures
from operators.core import anatomy

__all__ = ["SCHEMA_FILE", "metadata"]

SCHEMA_FILE = "meta_schema_20240725.json"


def metadata(
    *,
    name: str,
    version: str,
    training_data: str,
    intended_use: str,
    authors: str,
    network: str,
    images: Sequence[str],
    roi: Sequence[int],
    figures: Figures | None,
) -> dict[str, Any]:
    """Metadata in the form that `verify_metadata` checks.

    Parameters
    ----------
    name, version, training_data, intended_use, authors : str
    network : str
        Class of the network.
    images : sequence of str
        File names of the input channels.
    roi : sequence of int, (x, y, z)
        Voxels of a window.
    figures : Figures or None
        Figures of an evaluation.
    """
    shipped = json.loads((CONFIGS / "metadata.json").read_text(encoding="utf-8"))
    channels = [Path(image).stem for image in images]
    window: Mapping[str, Any] = {"spatial_shape": list(roi), "dtype": "float32", "is_patch_data": True}
    mean_dice = figures.mean_dice if figures else None
    return {
        "schema": shipped["schema"],
        "version": version,
        "changelog": {version: "released with `sarcomap bundle release`"},
        "monai_version": importlib.metadata.version("monai"),
        "pytorch_version": importlib.metadata.version("torch").partition("+")[0],
        "numpy_version": importlib.metadata.version("numpy"),
        "required_packages_version": {
            package: importlib.metadata.version(package) for package in shipped["required_packages_version"]
        },
        "task": f"Segmentation of {len(anatomy.STRUCTURES)} pelvic-thigh structures in Dixon MRI",
        "description": f"{network} that labels muscles and bones from pelvis to knee in fused Dixon images.",
        "authors": authors,
        "copyright": "See docs/data_license.txt and LICENSE",
        "data_source": training_data,
        "data_type": "nrrd",
        "image_classes": f"{len(channels)} channel(s): fused Dixon images, {' and '.join(channels)}",
        "label_classes": shipped["label_classes"],
        "pred_classes": shipped["pred_classes"],
        "eval_metrics": {} if mean_dice is None else {"mean_dice": mean_dice},
        "intended_use": intended_use,
        "references": shipped["references"],
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "modality": "MR",
                    "num_channels": len(channels),
                    "value_range": [0, 1],
                    "channel_def": {str(n): channel for n, channel in enumerate(channels)},
                    **window,
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "segmentation",
                    "num_channels": anatomy.CHANNEL_COUNT,
                    "value_range": [],
                    "channel_def": shipped["network_data_format"]["outputs"]["pred"]["channel_def"],
                    **window,
                }
            },
        },
        "name": name,
        "supported_apps": {},
    }
