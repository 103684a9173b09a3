"""The environment of a worker's process: how many threads its libraries start."""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["child_environment"]


def child_environment(threads: int, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for a child with this number of threads.

    Libraries read these variables when they are loaded, so they must be set before
    the process starts. Without them every process starts a thread for each core: on
    a machine of 64 cores with 64 workers, 4,096 threads that wait for one another.

    Examples
    --------
    >>> child_environment(1, {"HOME": "/root"})["OMP_NUM_THREADS"]
    '1'
    """
    count = str(threads)
    # The logins of servers and of a PACS are not for a process that reads foreign files.
    kept = {name: value for name, value in environment.items() if not name.startswith("SARCOMAP_DICOMWEB_")}
    return kept | {
        "OMP_NUM_THREADS": count,  # PyTorch and ONNX Runtime; the number that our OpenVINO network takes, too
        "MKL_NUM_THREADS": count,  # PyTorch's matrix products
        "OPENBLAS_NUM_THREADS": count,  # NumPy's and SciPy's
        "NUMEXPR_NUM_THREADS": count,  # pandas, where it is installed
        "NUMBA_NUM_THREADS": count,  # the kernels of the fusion
        # Threads that wait must sleep: a spinning one takes the core of another worker.
        "OMP_WAIT_POLICY": "PASSIVE",
        "KMP_BLOCKTIME": "0",
        # glibc keeps memory for each thread that ever allocated, up to 8 arenas a core. Two keep a warm process small.
        "MALLOC_ARENA_MAX": "2",
        # What a process has written to its log must be there when it is killed.
        "PYTHONUNBUFFERED": "1",
    }
