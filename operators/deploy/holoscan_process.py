"""What Holoscan needs of the process before it can be imported.

Holoscan's extension modules are linked against ``libcudart.so.13``, also on a
machine without a GPU. The PyPI wheel ``nvidia-cuda-runtime`` brings that
library, but in a folder that the dynamic linker does not search.
"""

from __future__ import annotations

import os
import resource

from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib

from operators.core.errors import SarcoMapError

__all__ = ["RECOMMENDED_STACK_BYTES", "preload_cudart", "prepare_process"]

#: What ``holoscan.core`` recommends at import; with less it warns of crashes.
RECOMMENDED_STACK_BYTES = 32 * 1024 * 1024


def preload_cudart() -> str:
    """Load the CUDA runtime library into this process, so that Holoscan finds it.

    Returns
    -------
    str
        Path of the library that was loaded.

    Raises
    ------
    SarcoMapError
        When no ``libcudart`` is installed.
    """
    try:
        return str(load_nvidia_dynamic_lib("cudart").abs_path)
    except DynamicLibNotFoundError as error:
        raise SarcoMapError(
            "MONAI Deploy",
            "libcudart.so.13 is not installed",
            "the CUDA runtime library, which Holoscan needs even without a GPU",
            "Install the project again (`make setup`); its package nvidia-cuda-runtime brings the library.",
        ) from error


def prepare_process() -> None:
    """Everything that has to happen before the first ``import holoscan``: library, log level, stack.

    Holoscan logs each step of its graph, and an operator's exception five times
    over before ``Application.run`` raises it again; ``HOLOSCAN_LOG_LEVEL`` is
    set to ``CRITICAL`` unless the user has set it. The soft limit of the stack is raised
    to what Holoscan recommends, as far as the hard limit allows.
    """
    preload_cudart()
    os.environ.setdefault("HOLOSCAN_LOG_LEVEL", "CRITICAL")
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if soft != resource.RLIM_INFINITY and soft < RECOMMENDED_STACK_BYTES:
        wanted = RECOMMENDED_STACK_BYTES if hard == resource.RLIM_INFINITY else min(RECOMMENDED_STACK_BYTES, hard)
        resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))
