"""One study from DICOM to labels on the GPU, and a stream of studies. Part of `benchmarks.gpu_check`."""

from __future__ import annotations

import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu_segmentation import Studies
from benchmarks.gpu_setting import Row, Setting
from operators.core.options import RunOptions
from operators.dicom_loader import load_study
from operators.segmentation import load_model, segment
from operators.station_fusion import fuse, stations_to_fuse
from operators.study_stream import StudyJob, process_studies
from phantom import archive_stations, write_study
from phantom.station_geometry import coarser

__all__ = ["check_stream"]


def check_stream(setting: Setting, studies: Studies) -> tuple[list[Row], dict[str, Any]]:
    """Seconds from DICOM to labels of a warm study, and studies a second in a stream, with the full-size network."""
    source = _study(setting)
    options = RunOptions(device="cpu" if setting.small else "cuda")
    model = load_model(studies.full_bundle)
    load = partial(load_study, source, select=partial(stations_to_fuse, choice=options.fusion.stations))
    study = load()
    fused = fuse(study, options.fusion)
    repeats = 1 if setting.small else 3
    parts = {
        "load": setting.median(load, repeats),
        "fuse": setting.median(lambda: fuse(study, options.fusion), repeats),
        "segment": setting.median(lambda: segment(fused, model, options.segmentation), repeats),
    }
    total = sum(parts.values())
    rows = [
        Row(
            "one study, DICOM to labels",
            f"{total:.2f} s",
            ", ".join(f"{name} {seconds:.2f} s" for name, seconds in parts.items()),
            "2.0 s",
            None if setting.small else total <= 2.0,
        )
    ]
    count, at_once = (3, 2) if setting.small else (12, 4)
    out = setting.scratch / "stream"
    jobs = [StudyJob(source, out / str(n)) for n in range(count + 1)]
    outcomes = process_studies(jobs, options, model=model, at_once=at_once)
    first = next(outcomes)  # not counted: it compiles and loads what the others use
    began = time.perf_counter()
    rest = list(outcomes)
    rate = count / (time.perf_counter() - began)
    failed = [str(outcome.error) for outcome in (first, *rest) if outcome.error is not None]
    shutil.rmtree(out, ignore_errors=True)
    rows += [
        Row(
            f"stream of {count} studies, DICOM to reports, {at_once} in hand",
            f"{rate:.2f} studies a second",
            "threads of one process",
            "1 a second",
            None if setting.small else rate >= 1.0,
        ),
        Row(
            "stream: every study has its report",
            f"{len(rest) + 1 - len(failed)} of {count + 1}",
            "; ".join(failed)[:120],
            "all",
            not failed,
            parity=True,
        ),
    ]
    return rows, {"one_study_s": parts, "studies_per_s": rate, "failed": failed}


def _study(setting: Setting) -> Path:
    stations = archive_stations(4)
    if setting.small:
        made = write_study(
            setting.scratch / "study", seed=11, stations=coarser(stations, 4, 2), tissue_spacing_mm=(8.0, 8.0, 8.0)
        )
    else:
        made = write_study(setting.scratch / "study", seed=11, stations=stations, compress=True)
    return Path(made.dicom)
