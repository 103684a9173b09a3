"""How many threads a process may use."""

from __future__ import annotations

import os

__all__ = ["thread_count"]


def thread_count() -> int:
    """``OMP_NUM_THREADS``, or else one for each core that this process may use.

    The network, the decoding of images and the compression of results keep to it: where several processes share the
    cores, as the workers of a cohort do, a pool of threads in each of them takes the others' cores. PyTorch's own count
    is not used, because it differs in a thread that has not computed yet. The last bits of OpenVINO's sums depend on
    the number of threads.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(asked) if asked.isdecimal() and int(asked) > 0 else len(os.sched_getaffinity(0))
