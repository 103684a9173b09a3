"""The CUDA kernel under numba's simulator, and the choice of device."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from operators.core.errors import UsageError
from operators.station_fusion import average_stations, choose_device, common_grid
from tests.station_fusion.made_stations import make_grid, rotation_about

pytest.importorskip("numba_cuda", reason="numba-cuda is in the extra gpu")

GRIDS = [
    make_grid((4, 5, 6)),
    make_grid((4, 4, 7), spacing=(1.9, 2.7, 3.3), origin=(-10.6, -12.4, 8.1)),
    make_grid((3, 5, 6), origin=(-11.2, -11.7, 14.0), rotation=rotation_about((1, 2, 0.5), 5.0)),
]

# An environment variable selects the simulator when numba is imported, so it needs a separate process.
SCRIPT = """
import sys
import numpy as np
import torch
from operators.core.device_copies import copy_of
from operators.station_fusion.plan import plan_sampling
from operators.station_fusion.resample_cuda import average_on_cuda
from tests.station_fusion.test_cuda import GRIDS, common_grid, signals

plan = plan_sampling(GRIDS, common_grid(GRIDS))
assert plan.aligned.tolist() == [True, True, False]
volumes = average_on_cuda(signals(sys.argv[2] == "whole"), plan, (4, 2, 1), torch.device("cpu"))
assert np.array_equal(copy_of(volumes).numpy(), volumes)
np.save(sys.argv[1], volumes)
"""


def signals(whole: bool = False) -> list[list[np.ndarray]]:
    random = np.random.default_rng(7)
    made = [[random.uniform(0, 1000, grid.shape).astype(np.float32) for _ in range(4)] for grid in GRIDS]
    return [[np.round(signal) for signal in station] for station in made] if whole else made


@pytest.mark.parametrize("values", ["whole", "fractions"])
def test_simulated_cuda_equals_cpu(tmp_path: Path, values: str) -> None:
    """Whole numbers are uploaded as int16, others as float32."""
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    saved = tmp_path / "cuda.npy"
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(saved), values], env=environment, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    on_cuda = np.load(saved)
    on_cpu = average_stations(signals(values == "whole"), GRIDS, common_grid(GRIDS))
    assert on_cpu.max() > 500
    np.testing.assert_allclose(on_cuda, on_cpu, atol=1e-3)  # of an intensity range of 1000


@pytest.mark.skipif(choose_device("auto") == "cuda", reason="there is a CUDA device")
def test_requesting_cuda_without_a_device_is_a_clear_error() -> None:
    with pytest.raises(UsageError, match="no CUDA device is available"):
        choose_device("cuda")


@pytest.mark.skipif(choose_device("auto") == "cpu", reason="no CUDA device")
def test_cuda_device_equals_cpu() -> None:
    on_cpu = average_stations(signals(), GRIDS, common_grid(GRIDS), "cpu")
    on_cuda = average_stations(signals(), GRIDS, common_grid(GRIDS), "cuda")
    np.testing.assert_allclose(on_cuda, on_cpu, atol=1.0)
