"""Which extra of SarcoMAP brings a package, and what to say when one is missing."""

from __future__ import annotations

__all__ = ["EXTRAS", "extra_of", "missing_package"]

#: What the code imports, by the extra that installs it. The base installation has the rest.
EXTRAS = {
    "cpu": (
        *("PIL", "einops", "highdicom", "ignite", "imagecodecs", "isal", "monai", "nibabel", "nrrd", "numba", "onnx"),
        *("onnxruntime", "openvino", "pydicom", "torch"),
    ),
    "gpu": ("numba_cuda",),
    "deploy": ("holoscan", "monai.deploy"),
    "service": ("dicomweb_client", "prometheus_client", "pynetdicom", "requests"),
    "cohort": ("dask", "distributed", "fsspec"),
    "train": ("fire", "jsonschema", "tensorboard"),
    "n4": ("SimpleITK",),
    "manuscript": ("docx",),
    "pdf": ("weasyprint",),
}
_OURS = frozenset({"analysis", "app", "bundle", "operators", "phantom", "sarcomap"})


def extra_of(module: str) -> str | None:
    """The extra that brings a module; None for the base installation.

    Examples
    --------
    >>> extra_of("torch.nn"), extra_of("monai"), extra_of("monai.deploy.core"), extra_of("numpy")
    ('cpu', 'cpu', 'deploy', None)
    """
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        for extra, modules in EXTRAS.items():
            if ".".join(parts[:length]) in modules:
                return extra
    return None


def missing_package(error: ImportError) -> str | None:
    """What to tell a user whose installation lacks a package, or has one that cannot be loaded; None if it is ours.

    Examples
    --------
    >>> missing_package(ModuleNotFoundError("No module named 'fsspec'", name="fsspec"))
    'the package fsspec is not installed. This needs the extra cohort: pip install "sarcomap[cohort]".'
    """
    module = error.name or ""
    package = module.partition(".")[0]
    if package in _OURS:
        return None
    extra = extra_of(module)
    advice = "Install SarcoMAP again."
    if extra is not None:
        advice = f'This needs the extra {extra}: pip install "sarcomap[{extra}]"'
        advice += ', or "sarcomap[gpu]" for an NVIDIA GPU.' if extra == "cpu" else "."
    if isinstance(error, ModuleNotFoundError):
        return f"the package {package} is not installed. {advice}"
    reason = next(iter(str(error).splitlines()), "no reason given")
    return f"the package {package or 'of another maker'} cannot be loaded ({reason}). See `sarcomap doctor`. {advice}"
