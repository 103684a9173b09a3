"""Segmentation on the GPU beside the CPU and beside MONAI's sliding window. Part of `benchmarks.gpu_check`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu_inputs import DEMO, FULL, SpareProcess, dicom_of
from benchmarks.gpu_setting import TINY, Part, Row, Setting, noise_study
from benchmarks.inference import random_bundle
from benchmarks.inference_runs import load
from operators.core.anatomy import ADIPOSE_INDEX
from operators.core.bfloat16 import has_bf16
from operators.core.confidence import confidence_by_label
from operators.core.label_map import LabelMap
from operators.core.model_card import SHIPPED_BUNDLE
from operators.core.options import SegmentationOptions
from operators.core.volume import Fused
from operators.segmentation import SegmentationModel, load_model
from operators.segmentation.device_chain import _bytes_of_one_window, wanted_windows
from operators.segmentation.device_image import on_device, prepare_on
from operators.segmentation.device_labels import DeviceLabels, labels_on_device
from operators.segmentation.device_memory import free_bytes, room_for
from operators.segmentation.inference import prepare, segment_on
from operators.segmentation.memory import return_freed_memory
from operators.segmentation.networks import open_network
from operators.segmentation.scorer import Scorer
from operators.segmentation.scores import map_scores
from operators.segmentation.stream import Band, stream_scores
from operators.segmentation.windows import place_windows

__all__ = ["Studies", "check_labels", "check_stage", "stage_options"]

_SAME_FP32, _SAME_BF16 = 0.999, 0.995  # of voxels; measured on an H200 with the shipped weights: 0.99998 and 0.9995
_RANDOM_SAME = 0.97  # random weights give scores that differ by no more than rounding in many places


@dataclass
class Studies:
    """Inputs of the network's checks, each read or made when it is first asked for.

    Attributes
    ----------
    setting : Setting
    made : SpareProcess
        Makes the phantoms meanwhile.
    """

    setting: Setting
    made: SpareProcess

    @cached_property
    def demo(self) -> Fused:
        """For the shipped model."""
        return noise_study((6.0, 5.0, 7.0)) if self.setting.small else self._read(DEMO)

    @cached_property
    def full(self) -> Fused:
        """For the full-size network (`Setting.small`: a tiny one)."""
        if self.setting.small:
            x, y, z = TINY["spacing_mm"]
            return noise_study((x, y, z))
        return self._read(FULL)

    @cached_property
    def dicom(self) -> Path:
        """One study as a scanner writes it."""
        self.made.wait()
        return dicom_of(self.made.folder)

    @cached_property
    def full_bundle(self) -> Path:
        """The full-size network with random weights (`Setting.small`: a tiny one)."""
        return random_bundle(self.setting.scratch / "full", TINY if self.setting.small else {})

    @cached_property
    def full_model(self) -> SegmentationModel:
        """The model of `full_bundle`."""
        return load_model(self.full_bundle)

    @cached_property
    def demo_model(self) -> SegmentationModel:
        """The shipped model."""
        return self.full_model if self.setting.small else load_model(SHIPPED_BUNDLE)

    def _read(self, name: str) -> Fused:
        self.made.wait()
        return load(self.made.folder / name)


def check_labels(setting: Setting, studies: Studies, part: Part) -> None:
    """Labels, confidence and options of the shipped model beside the CPU's."""
    model, body = studies.demo_model, studies.demo.body
    plain: dict[str, Any] = {"backend": "torch", "confidence": True}
    cleaned = plain | {"mirror": True, "clean_up": True}
    on_cpu: dict[bool, LabelMap] = {}
    for name, changes, least in (
        ("fp32", plain | {"precision": "fp32"}, _SAME_FP32),
        ("bf16", plain | {"precision": "bf16"}, _RANDOM_SAME if setting.small else _SAME_BF16),
        ("fp32, mirror, clean-up", cleaned | {"precision": "fp32"}, _SAME_FP32),
    ):
        if name == "bf16" and not has_bf16(setting.device.type == "cuda"):
            continue
        with part.step(name):
            wanted = SegmentationOptions(device=_name(setting), **changes)
            found = segment_on(setting.device, studies.demo, model, wanted)
            if wanted.mirror not in on_cpu:
                exact = replace(wanted, device="cpu", precision="fp32")
                on_cpu[wanted.mirror] = segment_on(None, studies.demo, model, exact)
            expected = on_cpu[wanted.mirror]
            same = float((found.voxels == expected.voxels)[body].mean())
            assert found.confidence is not None and expected.confidence is not None
            difference = np.abs(np.asarray(found.confidence.voxels) - np.asarray(expected.confidence.voxels))[body]
            median = float(np.median(difference))
            part.details[name] = {"same_labels": same, "confidence_median_difference": median, "engine": found.engine}
            part.rows.append(
                Row(
                    f"labels, {name}: those of the CPU in fp32",
                    f"{100 * same:.3f}% of the body, confidence differs by {median:.4f}",
                    expected.engine,
                    f"{100 * least:g}%, 0.01",
                    same >= least and median < 0.01,
                    parity=True,
                )
            )
            seconds = setting.median(partial(segment_on, setting.device, studies.demo, model, wanted), 3)
            part.details[name]["stage_s"] = seconds
            part.rows.append(Row(f"segmentation stage, shipped network, {name}", f"{seconds:.3f} s"))


def check_stage(setting: Setting, studies: Studies, part: Part) -> None:
    """Time and memory of the whole stage with the full-size network, beside MONAI's sliding window and argmax."""
    part.details["grid"] = studies.full.grid.shape
    for precision in ("bf16", "fp32"):
        if precision == "bf16" and not has_bf16(setting.device.type == "cuda"):
            continue
        with part.step(precision):
            _check_precision(setting, studies, part, precision)
        with part.step(f"{precision}, parts"):
            _check_parts(setting, studies, part, precision)
    if setting.left_s > 300 or setting.small:
        with part.step("CPU"):
            stage = partial(segment_on, None, studies.full, studies.full_model, SegmentationOptions(device="cpu"))
            part.details["cpu_s"] = setting.timed(stage)
            part.rows.append(Row("the same stage on this machine's CPU", f"{part.details['cpu_s']:.1f} s"))


def stage_options(setting: Setting, precision: str) -> SegmentationOptions:
    """The options that the stage is measured with."""
    return SegmentationOptions(backend="torch", device=_name(setting), precision=precision)  # type: ignore[arg-type]


def _check_precision(setting: Setting, studies: Studies, part: Part, precision: str) -> None:
    model = studies.full_model
    stage = partial(segment_on, setting.device, studies.full, model, stage_options(setting, precision))
    first = setting.timed(stage)
    seconds, peak = setting.median(stage), setting.peak_gib(stage)
    ours: LabelMap = stage()
    aimed = precision == "bf16" and not setting.small
    part.details[precision] = {"stage_s": seconds, "first_s": first, "peak_gib": peak, "engine": ours.engine}
    part.rows.append(
        Row(
            f"segmentation stage, full-size network, {precision}",
            f"{seconds:.3f} s (first {first:.1f} s{'' if peak is None else f', {peak:.1f} GiB'})",
            "",
            "0.30 s" if aimed else "",
            seconds <= 0.30 if aimed else None,
        )
    )
    part.keep()
    theirs_s, theirs = _monai(setting, studies.full, model, precision)
    same = float((ours.voxels == theirs)[studies.full.body].mean())
    part.details[precision] |= {"monai_s": theirs_s, "labels_as_monai": same}
    part.rows += [
        Row(
            f"faster than MONAI, {precision}",
            f"{theirs_s / seconds:.1f} times",
            f"MONAI's sliding window and argmax {theirs_s:.3f} s",
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


def _check_parts(setting: Setting, studies: Studies, part: Part, precision: str) -> None:
    """Where the time of the stage goes: each step is waited for, and the steps build on each other."""
    fused, model, options = studies.full, studies.full_model, stage_options(setting, precision)
    device, settings = setting.device, model.windows
    network = open_network(model, options)
    study = prepare_on(device, fused, model)
    image, body = study.prepared.image, study.body
    mapping = map_scores(study.prepared.shape, study.prepared.affine, study.prepared.grid)
    windows = place_windows(study.prepared.shape, settings)
    wanted = wanted_windows(windows, settings, mapping, body)
    one_window = _bytes_of_one_window(image, settings, Scorer(network, "timed"), model.network)
    room = room_for(windows, settings, free_bytes(device), one_window, options.batch_size)
    whole_batches, rest = divmod(len(wanted), room.batch)
    some = [torch.rand((room.batch, len(image), *settings.roi), device=device)]
    last = [batch[:rest] for batch in some if rest]

    def bands() -> Iterator[Band]:
        return stream_scores(
            image,
            windows,
            settings,
            partial(Scorer(network, "timed").in_order, probabilities=model.probabilities),
            wanted.__contains__,
            room.batch,
            rows_at_once=max(room.rows, 1),
            sum_on=device if room.rows else torch.device("cpu"),
        )

    def scored() -> None:
        for batch in some * whole_batches + last:
            network(batch)

    def summed() -> None:
        with torch.inference_mode():
            deque(bands(), maxlen=0)

    def labelled() -> DeviceLabels:
        return labels_on_device(bands(), mapping, body, not options.no_confidence, probabilities=model.probabilities)

    made = labelled()
    found, sure = made.downloaded()
    steps: dict[str, Callable[[], object]] = {
        "upload": lambda: [on_device(part, device) for part in (fused.body, *[fused.water] * len(image))],
        "upload and transforms": partial(prepare_on, device, fused, model),
        "transforms on the CPU, for comparison": partial(prepare, fused, model),
        "which windows": partial(wanted_windows, windows, settings, mapping, body),
        "one window": lambda: network(some[0][:1]),
        "network": scored,
        "network and sums": summed,
        "network, sums, interpolation and labels": labelled,
        "download": made.downloaded,
        "percentiles of the confidence": lambda: sure is not None and confidence_by_label(found, sure),
        "freed memory to the system": return_freed_memory,
    }
    seconds = {}
    for name, step in steps.items():
        seconds[name] = setting.median(step, 3)
    facts = {"windows": len(wanted), "batch": room.batch, "rows": room.rows, "window_gib": one_window / 2**30}
    part.details[f"{precision}, parts"] = {"seconds": seconds, **facts}
    told = ("upload and transforms", "network", "network and sums", "network, sums, interpolation and labels")
    text = ", ".join(
        f"{name} {1e3 * seconds[name]:.0f}" for name in (*told, "download", "percentiles of the confidence")
    )
    part.rows.append(Row(f"of that, ms, {precision}", text, f"{len(wanted)} windows in batches of {room.batch}"))


def _name(setting: Setting) -> Any:
    return "cuda" if setting.device.type == "cuda" else "cpu"
