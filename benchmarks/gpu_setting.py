"""What the parts of `benchmarks.gpu_check` share: the device, the inputs, clocks and rows of the table."""

from __future__ import annotations

import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from operators.core.volume import Fused, Grid

__all__ = ["TINY", "Part", "Row", "Setting", "noise_study", "turned"]

#: Changes to the bundle's configs that make a network which a CPU scores in a moment.
TINY: dict[str, Any] = {
    "roi": [32, 32, 32],
    "spacing_mm": [5.0, 5.5, 6.0],
    "intensity_window": [0.0, 450.0],
    "network_def#feature_size": 4,
    "network_def#hidden_size": 24,
    "network_def#mlp_dim": 24,
    "network_def#num_heads": 2,
}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    what : str
    measured : str
        With its unit.
    beside : str
        What it is compared with.
    aim : str
        Empty if there is none.
    ok : bool or None
        None where nothing can be right or wrong.
    parity : bool
        Whether a wrong row means wrong results, and not only a missed aim.
    """

    what: str
    measured: str
    beside: str = ""
    aim: str = ""
    ok: bool | None = None
    parity: bool = False

    def as_record(self) -> dict[str, Any]:
        """The row for the JSON."""
        return asdict(self)


@dataclass
class Part:
    """What a part of the check has found so far. It is filled step by step, so that an error loses only its own step.

    Attributes
    ----------
    rows : list of Row
    details : dict
        For the JSON.
    errors, tracebacks : dict of str to str
        By step.
    keep : callable
        Writes what has been found so far.
    """

    rows: list[Row] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    tracebacks: dict[str, str] = field(default_factory=dict)
    keep: Callable[[], object] = lambda: None

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Record an error of the block under ``name``, and go on after it."""
        try:
            yield
        except Exception as error:
            self.tracebacks[name] = traceback.format_exc()
            self.errors[name] = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
            traceback.print_exc()
        finally:
            self.keep()


@dataclass
class Setting:
    """Where and how long to measure.

    Attributes
    ----------
    device : torch.device
        The CPU makes every input tiny: the script itself is tested then, and no time means anything.
    scratch : Path
    minutes : float
        After these, parts that are not needed for the parity are left out.
    repeats : int
    profile : Path or None
        File for tables of what takes the time; see `benchmarks.gpu_profile`.
    """

    device: torch.device
    scratch: Path
    minutes: float = 12.0
    repeats: int = 5
    profile: Path | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def small(self) -> bool:
        """Whether this is a test of the script on the CPU."""
        return self.device.type == "cpu"

    @property
    def left_s(self) -> float:
        """Seconds until no further optional part is begun; on the CPU nothing is left out."""
        if self.small:
            return float("inf")
        return 60 * self.minutes - (time.monotonic() - self.began)

    def wait(self) -> None:
        """Wait until the device has done everything."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def timed(self, work: Callable[[], object]) -> float:
        """Seconds of one call."""
        self.wait()
        started = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - started

    def median(self, work: Callable[[], object], repeats: int | None = None) -> float:
        """Median seconds of warm calls; on the CPU, where times mean nothing, of one call."""
        if self.small:
            return self.timed(work)
        work()
        return statistics.median(self.timed(work) for _ in range(repeats or self.repeats))

    def peak_gib(self, work: Callable[[], object]) -> float | None:
        """Largest GPU memory of PyTorch's allocator during a call; None on the CPU."""
        if self.device.type != "cuda":
            work()
            return None
        self.wait()
        torch.cuda.reset_peak_memory_stats(self.device)
        work()
        self.wait()
        return float(torch.cuda.max_memory_allocated(self.device)) / 2**30


def noise_study(spacing_mm: tuple[float, float, float]) -> Fused:
    """A small study of noise with a body, for `Setting.small`."""
    shape = (20, 24, 44)
    water = np.random.default_rng(3).uniform(0, 500, shape).astype(np.float32)
    body = np.zeros(shape, dtype=bool)
    body[2:-1, 3:-2, 1:-4] = True
    return Fused(water, water, water, water, Grid(shape, np.diag([*spacing_mm, 1.0])), body, water, ())


def turned(grid: Grid, degrees: float) -> Grid:
    """The same grid, rotated about the patient's long axis."""
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = grid.affine.copy()
    middle = np.array(grid.shape[::-1]) / 2
    affine[:3, :3] = rotation @ grid.affine[:3, :3]
    affine[:3, 3] = (grid.affine @ [*middle, 1])[:3] - affine[:3, :3] @ middle
    return Grid(grid.shape, affine)
