"""Whether this machine has an NVIDIA driver and a GPU, found out without heavy imports."""

from __future__ import annotations

import ctypes
from contextlib import suppress

__all__ = ["driver_sees_device"]


def driver_sees_device() -> bool:
    """Whether NVIDIA's driver is installed, can be initialised and reports at least one device."""
    for name in ("libcuda.so.1", "libcuda.so", "/usr/lib64/libcuda.so.1", "/usr/lib/libcuda.so.1"):
        with suppress(OSError):
            driver = ctypes.CDLL(name)
            break
    else:
        return False
    count = ctypes.c_int(0)
    return bool(driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0)
