"""What takes the time of a stage: tables of PyTorch's and Python's profilers. Part of `benchmarks.gpu_check`.

The file has, for a warm segmentation stage, a warm fusion and a stream of studies: the operations of PyTorch by GPU and
by CPU time, the functions of Python by their own time, and for the stream where its threads were, sampled.
"""

from __future__ import annotations

import cProfile
import io
import pstats
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu_fusion import noise_stations
from benchmarks.gpu_segmentation import Studies, stage_options
from benchmarks.gpu_setting import Part, Setting
from benchmarks.gpu_stream import run_stream
from operators.core.options import RunOptions
from operators.dicom_loader import load_study
from operators.segmentation.inference import segment_on
from operators.station_fusion import common_grid, fuse
from operators.station_fusion.plan import plan_sampling
from phantom.station_geometry import archive_stations, coarser

__all__ = ["check_profile"]

_ROWS = 30
_SAMPLE_S = 0.005
_ROOT = str(Path(__file__).resolve().parents[1])


def check_profile(setting: Setting, studies: Studies, part: Part) -> None:
    """Write the tables to `Setting.profile`, one after the other."""
    assert setting.profile is not None
    setting.profile.write_text("", encoding="utf-8")
    options = RunOptions(device="cpu" if setting.small else "cuda")
    precision = "fp32" if setting.small else "bf16"
    stage = partial(segment_on, setting.device, studies.full, studies.full_model, stage_options(setting, precision))
    shipped = partial(segment_on, setting.device, studies.demo, studies.demo_model, stage_options(setting, precision))
    for name, made in (
        ("segmentation stage", lambda: stage),
        ("segmentation stage, shipped network", lambda: shipped),
        ("fusion", lambda: _fusion(setting)),
        ("load", lambda: partial(load_study, studies.dicom)),
        ("fuse, whole stage", lambda: partial(fuse, load_study(studies.dicom), options.fusion)),
    ):
        with part.step(name):
            work = made()
            work()
            _write(setting, f"{name}: PyTorch", _torch_tables(setting, work))
            _write(setting, f"{name}: Python", _python_table(work))
    out = setting.scratch / "profiled"
    with part.step("one study"):
        # One in hand, so that the study's own thread is the only one beside that which writes the fused volumes.
        _write(setting, "one study: threads", _thread_table(partial(run_stream, studies, out, options, 2, 1)))
    with part.step("stream"):
        stream = partial(run_stream, studies, out, options, 2 if setting.small else 6, 4)
        _write(setting, "stream: threads", _thread_table(stream))
        _write(setting, "stream: PyTorch", _torch_tables(setting, stream))


def _write(setting: Setting, title: str, text: str) -> None:
    assert setting.profile is not None
    with setting.profile.open("a", encoding="utf-8") as file:
        file.write(f"\n######## {title}\n\n{text}\n")


def _fusion(setting: Setting) -> Callable[[], object]:
    from operators.station_fusion.resample_cuda import BLOCK_SHAPE, average_on_cuda

    stations = archive_stations(4)
    grids = [station.grid for station in (coarser(stations, 40, 12) if setting.small else stations)]
    signals, plan = noise_stations(grids, True), plan_sampling(grids, common_grid(grids))
    block = (4, 2, 1) if setting.small else BLOCK_SHAPE
    return lambda: average_on_cuda(signals, plan, block, setting.device)


def _torch_tables(setting: Setting, work: Callable[[], object]) -> str:
    """Operations of PyTorch by GPU time and by CPU time."""
    on_gpu = setting.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    began = time.perf_counter()
    with profile(activities=activities) as found:
        work()
        setting.wait()
    taken = time.perf_counter() - began
    tables = [f"{taken:.3f} s with the profiler"]
    for key in (*(["self_device_time_total"] if on_gpu else []), "self_cpu_time_total"):
        tables.append(
            found.key_averages().table(
                sort_by=key, row_limit=_ROWS, max_name_column_width=70, top_level_events_only=False
            )
        )
    return "\n".join(tables)


def _python_table(work: Callable[[], object]) -> str:
    """Functions by their own time and with what they call, of the calling thread."""
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        work()
    finally:
        profiler.disable()
    text = io.StringIO()
    figures = pstats.Stats(profiler, stream=text)
    figures.sort_stats("tottime").print_stats(_ROWS)
    figures.sort_stats("cumulative").print_stats(f"{_ROOT}", _ROWS)
    return text.getvalue().replace(f"{_ROOT}/", "")


def _thread_table(work: Callable[[], object]) -> str:
    """Where the threads were: every few milliseconds, the line of our code that each thread was in, and what it called.

    A thread that waits for a lock or for the GPU counts too. So the figures say where time passes, not who works.
    """
    places: Counter[str] = Counter()
    leaves: Counter[str] = Counter()
    began = time.perf_counter()
    with _sampled(places, leaves) as samples:
        work()
    lines = [f"{time.perf_counter() - began:.2f} s, {len(samples)} samples; thread-milliseconds at lines of our code:"]
    each = 1e3 * (time.perf_counter() - began) / max(len(samples), 1)
    lines += [f"{each * count:8.0f}  {place}" for place, count in places.most_common(2 * _ROWS)]
    lines += ["", "innermost functions:"]
    lines += [f"{each * count:8.0f}  {place}" for place, count in leaves.most_common(_ROWS)]
    return "\n".join(lines)


@contextmanager
def _sampled(places: Counter[str], leaves: Counter[str]) -> Iterator[list[float]]:
    """Count where the other threads are, until the block ends; yields the times of the samples."""
    stop, samples = threading.Event(), list[float]()
    caller = threading.get_ident()

    def sample() -> None:
        me = threading.get_ident()
        while not stop.wait(_SAMPLE_S):
            samples.append(time.perf_counter())
            for thread, frame in sys._current_frames().items():
                if thread not in (me, caller):
                    _count(frame, places, leaves)

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield samples
    finally:
        stop.set()
        sampler.join()


def _count(leaf: FrameType, places: Counter[str], leaves: Counter[str]) -> None:
    frame: FrameType | None = leaf
    while frame is not None and not frame.f_code.co_filename.startswith(_ROOT + "/"):
        frame = frame.f_back
    if frame is None:
        return  # an idle thread of a pool
    name = frame.f_code.co_filename.removeprefix(_ROOT + "/")
    places[f"{name}:{frame.f_lineno} {frame.f_code.co_name}"] += 1
    inner = Path(leaf.f_code.co_filename)
    leaves[f"{inner.parent.name}/{inner.name}:{leaf.f_lineno} {leaf.f_code.co_name}"] += 1
