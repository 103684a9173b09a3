"""Whether this machine has an NVIDIA driver and a GPU, found out without heavy imports."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from dataclasses import dataclass

__all__ = ["CudaDriver", "cuda_driver", "driver_sees_device"]


@dataclass(frozen=True)
class CudaDriver:
    """What NVIDIA's driver says of itself.

    Attributes
    ----------
    error : int
        CUDA's error code of its start; 0 if it starts.
    devices : int
    cuda : tuple of int
        Major and minor version of the newest CUDA that it supports; (0, 0) if it does not say.
    """

    error: int
    devices: int
    cuda: tuple[int, int]


def cuda_driver() -> CudaDriver | None:
    """NVIDIA's driver, or None if none is installed."""
    for name in ("libcuda.so.1", "libcuda.so", "/usr/lib64/libcuda.so.1", "/usr/lib/libcuda.so.1"):
        with suppress(OSError):
            driver = ctypes.CDLL(name)
            break
    else:
        return None
    error, count, version = driver.cuInit(0), ctypes.c_int(0), ctypes.c_int(0)
    with suppress(AttributeError):  # 13000 means 13.0; it is told before the driver starts, too
        driver.cuDriverGetVersion(ctypes.byref(version))
    if error == 0:
        error = driver.cuDeviceGetCount(ctypes.byref(count))
    return CudaDriver(error, count.value, (version.value // 1000, version.value % 1000 // 10))


def driver_sees_device() -> bool:
    """Whether NVIDIA's driver is installed, can be initialised and reports at least one device."""
    driver = cuda_driver()
    return driver is not None and driver.error == 0 and driver.devices > 0
