"""The CUDA kernel compiled for real GPUs without having one: PTX, and ptxas's report on it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from operators.station_fusion.resample_cuda import BLOCK_SHAPE

pytest.importorskip("numba_cuda", reason="numba-cuda is in the extra gpu")
pathfinder = pytest.importorskip("cuda.pathfinder")
for library in ("nvvm", "nvrtc"):
    try:
        pathfinder.load_nvidia_dynamic_lib(library)
    except pathfinder.DynamicLibNotFoundError:
        pytest.skip(f"no lib{library}; pip install nvidia-nvvm nvidia-cuda-nvrtc", allow_module_level=True)

REGISTERS_PER_MULTIPROCESSOR = 65_536  # sm_80 and sm_90 alike (CUDA programming guide, compute capabilities)


def ptx_for(compute_capability: tuple[int, int], signal: str) -> str:
    from numba import cuda, types

    from operators.station_fusion.resample_cuda import _average

    def array(of: types.Type, dimensions: int) -> types.Array:
        return types.Array(of, dimensions, "C")

    signature = types.void(
        array(getattr(types, signal), 1),  # signal
        array(types.int64, 2),  # offsets
        array(types.int64, 2),  # shapes
        array(types.boolean, 1),  # aligned
        array(types.float64, 3),  # matrices
        array(types.int64, 3),  # bounds
        array(types.int32, 3),  # lower
        array(types.float32, 3),  # weight
        array(types.float32, 3),  # share
        array(types.float32, 2),  # fade
        array(types.float32, 4),  # out
    )
    ptx, _ = cuda.compile_ptx(_average.py_func, signature, cc=compute_capability)
    return str(ptx)


def ptxas() -> Path | None:
    import nvidia

    for root in nvidia.__path__:
        for found in Path(root).glob("**/bin/ptxas"):
            return found
    return None


@pytest.mark.parametrize("signal", ["int16", "float32"])
@pytest.mark.parametrize("compute_capability", [(8, 0), (9, 0)], ids=["sm_80", "sm_90"])
def test_kernel_compiles_without_spills_and_leaves_room_for_three_blocks(
    compute_capability: tuple[int, int], signal: str, tmp_path: Path
) -> None:
    target = f"sm_{compute_capability[0]}{compute_capability[1]}"
    ptx = ptx_for(compute_capability, signal)
    assert f".target {target}" in ptx
    assert ".entry" in ptx
    assert not re.search(r"^\s*\.local\s", ptx, re.MULTILINE)  # indexed arrays would live there
    assembler = ptxas()
    if assembler is None:
        pytest.skip("PTX was made and has no local memory; there is no ptxas to count registers with")
    source = tmp_path / "kernel.ptx"
    source.write_text(ptx)
    command = [str(assembler), "-v", f"-arch={target}", str(source), "-o", str(tmp_path / "kernel.cubin")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if "Unsupported .version" in run.stderr:
        pytest.skip("ptxas is older than the PTX version that NVVM writes: " + run.stderr.strip()[:200])
    assert run.returncode == 0, run.stderr
    assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in run.stderr
    (registers,) = re.findall(r"Used (\d+) registers", run.stderr)
    x, y, z = BLOCK_SHAPE
    # At least three blocks of 256 threads, which is enough to hide the latency of the gathers.
    assert int(registers) * x * y * z * 3 <= REGISTERS_PER_MULTIPROCESSOR
