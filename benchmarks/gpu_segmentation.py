"""Segmentation on the GPU beside the CPU and beside MONAI's sliding window. Part of `benchmarks.gpu_check`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu_setting import TINY, Row, Setting, noise_study
from benchmarks.inference import SPACING_MM, fused_phantom, random_bundle
from operators.core.anatomy import ADIPOSE_INDEX
from operators.core.bfloat16 import has_bf16
from operators.core.label_map import LabelMap
from operators.core.model_card import SHIPPED_BUNDLE
from operators.core.options import SegmentationOptions
from operators.core.volume import Fused
from operators.segmentation import SegmentationModel, load_model
from operators.segmentation.device_chain import label_on_device
from operators.segmentation.device_image import prepare_on
from operators.segmentation.inference import prepare, segment_on
from operators.segmentation.networks import open_network
from operators.segmentation.scorer import Scorer
from operators.segmentation.scores import map_scores

__all__ = ["Studies", "check_labels", "check_stage", "made_studies"]

_SAME_FP32, _SAME_BF16 = 0.999, 0.995  # of voxels; measured on an H200 with the shipped weights: 0.99998 and 0.9995
_RANDOM_SAME = 0.97  # random weights give scores that differ by no more than rounding in many places


@dataclass(frozen=True)
class Studies:
    """Inputs of the network's checks.

    Attributes
    ----------
    demo : Fused
        For the shipped model.
    full : Fused
        For the full-size network (`Setting.small`: a tiny one).
    demo_bundle, full_bundle : Path
    """

    demo: Fused
    full: Fused
    demo_bundle: Path
    full_bundle: Path


def made_studies(setting: Setting) -> Studies:
    """Make phantoms and networks. On the CPU both studies are noise, and both networks are tiny."""
    changes = TINY if setting.small else {}
    full_bundle = random_bundle(setting.scratch / "full", changes)
    if setting.small:
        x, y, z = TINY["spacing_mm"]
        return Studies(noise_study((6.0, 5.0, 7.0)), noise_study((x, y, z)), full_bundle, full_bundle)
    return Studies(fused_phantom(None), fused_phantom(SPACING_MM), SHIPPED_BUNDLE, full_bundle)


def check_labels(setting: Setting, studies: Studies) -> tuple[list[Row], dict[str, Any]]:
    """Labels, confidence and options of the shipped model beside the CPU's."""
    model = load_model(studies.demo_bundle)
    rows, details = [], {}
    for name, changes, least in (
        ("fp32", {"precision": "fp32"}, _SAME_FP32),
        ("fp32, mirror, clean-up", {"precision": "fp32", "mirror": True, "clean_up": True}, _SAME_FP32),
        ("bf16", {"precision": "bf16"}, _RANDOM_SAME if setting.small else _SAME_BF16),
    ):
        if name == "bf16" and not has_bf16(setting.device.type == "cuda"):
            continue
        wanted = SegmentationOptions(backend="torch", device=_name(setting), confidence=True, **changes)  # type: ignore[arg-type]
        found = segment_on(setting.device, studies.demo, model, wanted)
        expected = segment_on(None, studies.demo, model, replace(wanted, device="cpu", precision="fp32"))
        body = studies.demo.body
        same = float((found.voxels == expected.voxels)[body].mean())
        assert found.confidence is not None and expected.confidence is not None
        difference = np.abs(np.asarray(found.confidence.voxels) - np.asarray(expected.confidence.voxels))[body]
        median = float(np.median(difference))
        details[name] = {"same_labels": same, "confidence_median_difference": median, "engine": found.engine}
        rows.append(
            Row(
                f"labels, {name}: those of the CPU in fp32",
                f"{100 * same:.3f}% of the body, confidence differs by {median:.4f}",
                expected.engine,
                f"{100 * least:g}%, 0.01",
                same >= least and median < 0.01,
                parity=True,
            )
        )
    return rows, details


def check_stage(setting: Setting, studies: Studies) -> tuple[list[Row], dict[str, Any]]:
    """Time and memory of the whole stage with the full-size network, beside MONAI's sliding window and argmax."""
    model = load_model(studies.full_bundle)
    rows: list[Row] = []
    details: dict[str, Any] = {"grid": studies.full.grid.shape}
    for precision in ("bf16", "fp32"):
        if precision == "bf16" and not has_bf16(setting.device.type == "cuda"):
            continue
        options = SegmentationOptions(backend="torch", device=_name(setting), precision=precision)  # type: ignore[arg-type]
        stage = partial(segment_on, setting.device, studies.full, model, options)
        first = setting.timed(stage)
        seconds, peak = setting.median(stage), setting.peak_gib(stage)
        theirs_s, theirs = _monai(setting, studies.full, model, precision)
        ours: LabelMap = stage()
        same = float((ours.voxels == theirs)[studies.full.body].mean())
        details[precision] = {
            "stage_s": seconds,
            "first_s": first,
            "monai_s": theirs_s,
            "peak_gib": peak,
            "labels_as_monai": same,
            "engine": ours.engine,
            "parts_s": _parts(setting, studies.full, model, options),
        }
        aimed = precision == "bf16" and not setting.small
        rows += [
            Row(
                f"segmentation stage, full-size network, {precision}",
                f"{seconds:.3f} s (first {first:.1f} s{'' if peak is None else f', {peak:.1f} GiB'})",
                f"MONAI's sliding window and argmax {theirs_s:.3f} s",
                "0.30 s" if aimed else "",
                seconds <= 0.30 if aimed else None,
            ),
            Row(
                f"faster than MONAI, {precision}",
                f"{theirs_s / seconds:.1f} times",
                f"{100 * same:.2f}% of the labels are MONAI's",
                "2.5 times" if aimed else "",
                theirs_s / seconds >= 2.5 if aimed else None,
            ),
            Row(
                f"labels as MONAI's, {precision}, random weights",
                f"{100 * same:.2f}% of the body",
                "",
                f"{100 * _RANDOM_SAME:g}%",
                same >= _RANDOM_SAME,
                parity=True,
            ),
        ]
    if setting.left_s > 300 or setting.small:
        on_cpu = SegmentationOptions(device="cpu")
        details["cpu_s"] = setting.timed(partial(segment_on, None, studies.full, model, on_cpu))
        rows.append(Row("the same stage on this machine's CPU", f"{details['cpu_s']:.1f} s"))
    return rows, details


def _monai(setting: Setting, fused: Fused, model: SegmentationModel, precision: str) -> tuple[float, NDArray[np.uint8]]:
    """Seconds of MONAI's sliding window and argmax on the device, and its labels on the fused grid.

    Transforms and upload are not counted. The fused grid has the network's spacing, so that the nearest label is exact.
    """
    prepared = prepare(fused, model)
    image, network = prepared.image[None].to(setting.device), model.network.to(setting.device)
    bf16 = precision == "bf16"

    def labelled() -> torch.Tensor:
        with torch.inference_mode(), torch.autocast(setting.device.type, dtype=torch.bfloat16, enabled=bf16):
            scores: Any = model.inferer(image, network)
            return scores[0].argmax(dim=0).to(torch.uint8).cpu()

    seconds = setting.median(labelled, 3)
    mapping = map_scores(prepared.shape, prepared.affine, prepared.grid)
    nearest = [low + (weight >= 0.5) for low, weight in zip(mapping.lower, mapping.weight, strict=True)]
    whole = np.zeros(fused.grid.shape, dtype=np.uint8)
    placed = np.asarray(labelled().numpy()[np.ix_(*nearest)])
    whole[prepared.box] = mapping.turned_back(placed)
    return seconds, np.where(fused.body & (whole != ADIPOSE_INDEX), whole, 0).astype(np.uint8)


def _parts(setting: Setting, fused: Fused, model: SegmentationModel, options: SegmentationOptions) -> dict[str, float]:
    study = prepare_on(setting.device, fused, model)
    network = open_network(model, options)
    window = torch.zeros((1, *study.prepared.image.shape[:1], *model.windows.roi), device=setting.device)
    return {
        "upload_and_transforms": setting.median(partial(prepare_on, setting.device, fused, model), 3),
        "windows_sums_and_labels": setting.median(
            lambda: label_on_device(study, model, options, Scorer(network, "timed")), 3
        ),
        "network_per_window": setting.median(lambda: network(window), 10),
    }


def _name(setting: Setting) -> Any:
    return "cuda" if setting.device.type == "cuda" else "cpu"
