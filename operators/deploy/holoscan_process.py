"""Preparation of the process for the import of Holoscan.

Holoscan's extension modules are linked against ``libcudart.so.13``, and need it
even on a machine without a GPU. The PyPI wheel ``nvidia-cuda-runtime`` contains
that library, but in a folder that the dynamic linker does not search.
"""

from __future__ import annotations

import os
import resource

from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib

from operators.core.errors import SarcoMapError

__all__ = ["RECOMMENDED_STACK_BYTES", "preload_cudart", "prepare_process"]

#: The stack that ``holoscan.core`` recommends when it is imported; with less, it warns of crashes.
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
    """Set library, log level and stack before the first ``import holoscan``.

    Holoscan logs each step of its graph, and logs an operator's exception five
    times before ``Application.run`` raises it again. So ``HOLOSCAN_LOG_LEVEL`` is
    set to ``CRITICAL`` unless the user has set it. The soft limit of the stack
    is raised to what Holoscan recommends, if the hard limit allows it.
    """
    preload_cudart()
    os.environ.setdefault("HOLOSCAN_LOG_LEVEL", "CRITICAL")
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if soft != resource.RLIM_INFINITY and soft < RECOMMENDED_STACK_BYTES:
        wanted = RECOMMENDED_STACK_BYTES if hard == resource.RLIM_INFINITY else min(RECOMMENDED_STACK_BYTES, hard)
        resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))
