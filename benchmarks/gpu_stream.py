"""One study from DICOM to labels on the GPU, and a stream of studies. Part of `benchmarks.gpu_check`."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.gpu_segmentation import Studies
from benchmarks.gpu_setting import Part, Row, Setting
from operators.core.options import RunOptions
from operators.dicom_loader import load_study
from operators.segmentation import segment
from operators.station_fusion import fuse, stations_to_fuse
from operators.study_stream import StudyJob, StudyOutcome, process_studies

__all__ = ["check_stream", "run_stream"]


def check_stream(setting: Setting, studies: Studies, part: Part) -> None:
    """Seconds from DICOM to labels of a warm study, and studies a second in a stream, with the full-size network."""
    options = RunOptions(device="cpu" if setting.small else "cuda")
    with part.step("one study"):
        _check_one(setting, studies, part, options)
    with part.step("stream"):
        _check_many(setting, studies, part, options, "full-size network")
    # Random weights give ragged labels, which take longer to write and to measure than those of a trained network.
    if setting.left_s > 45:
        with part.step("stream, shipped network"):
            _check_many(setting, studies, part, options, "shipped network")


def run_stream(
    studies: Studies, out: Path, options: RunOptions, count: int, at_once: int, *, shipped: bool = False
) -> list[StudyOutcome]:
    """Process the study ``count`` times as a stream, with the full-size network or with the shipped one."""
    jobs = [StudyJob(studies.dicom, out / str(n)) for n in range(count)]
    model = studies.demo_model if shipped else studies.full_model
    try:
        return list(process_studies(jobs, options, model=model, at_once=at_once))
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _check_one(setting: Setting, studies: Studies, part: Part, options: RunOptions) -> None:
    model = studies.full_model
    load = partial(load_study, studies.dicom, select=partial(stations_to_fuse, choice=options.fusion.stations))
    study = load()
    fused = fuse(study, options.fusion)
    repeats = 1 if setting.small else 2

    def whole() -> None:
        segment(fuse(load(), options.fusion), model, options.segmentation)

    seconds = {
        "load": setting.median(load, repeats),
        "fuse": setting.median(lambda: fuse(study, options.fusion), repeats),
        "segment": setting.median(lambda: segment(fused, model, options.segmentation), repeats),
        "whole": setting.median(whole, repeats),
    }
    auto = replace(options.fusion, device="cpu" if setting.small else "auto")
    seconds["fuse, device auto"] = setting.median(lambda: fuse(study, auto), repeats)
    part.details["one_study_s"] = seconds
    part.details["engines"] = {"fuse": fused.engine, "fuse, device auto": fuse(study, auto).engine}
    part.rows.append(
        Row(
            "one study, DICOM to labels",
            f"{seconds['whole']:.2f} s",
            ", ".join(f"{name} {taken:.2f} s" for name, taken in seconds.items()),
            "2.0 s",
            None if setting.small else seconds["whole"] <= 2.0,
        )
    )


def _check_many(setting: Setting, studies: Studies, part: Part, options: RunOptions, network: str) -> None:
    run = partial(run_stream, studies, setting.scratch / "stream", options, shipped=network == "shipped network")
    began = time.perf_counter()
    first = run(1, 1)  # not counted: it compiles and loads what the others use
    first_s = time.perf_counter() - began
    alone = run(1, 1)
    count, at_once = (3, 2) if setting.small else (12 if setting.left_s > 90 else 6, 4)
    began = time.perf_counter()
    rest = run(count, at_once)
    rate = count / (time.perf_counter() - began)
    failed = [str(outcome.error) for outcome in (*first, *alone, *rest) if outcome.error is not None]
    part.details[network] = {
        "first_s": first_s,
        "studies_per_s": rate,
        "failed": failed,
        "alone_s": _stages(alone),
        "in_stream_s": _stages(rest),
    }
    part.rows += [
        Row(
            f"stream of {count} studies, DICOM to reports, {at_once} in hand, {network}",
            f"{rate:.2f} studies a second",
            "one alone: " + ", ".join(f"{name} {taken:.2f} s" for name, taken in _stages(alone).items()),
            "1 a second",
            None if setting.small else rate >= 1.0,
        ),
        Row(
            f"stream: every study has its report, {network}",
            f"{len(rest) + 2 - len(failed)} of {count + 2}",
            "; ".join(failed)[:120],
            "all",
            not failed,
            parity=True,
        ),
    ]


def _stages(outcomes: Sequence[StudyOutcome]) -> dict[str, float]:
    """Median seconds of each stage."""
    found = [outcome.result.seconds for outcome in outcomes if outcome.result is not None]
    return {name: statistics.median(seconds[name] for seconds in found) for name in (found[0] if found else ())}
