"""The five stages of SarcoMAP. Each consists of plain functions on arrays and a thin MONAI Deploy operator."""

from pathlib import Path

from operators.core.kernel_cache import ensure_kernel_cache

ensure_kernel_cache(Path(__file__).parent / "core")  # here, because every import of a kernel passes through this line
