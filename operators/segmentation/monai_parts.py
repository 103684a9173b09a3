"""The parts of MONAI that inference needs, imported in a third of the time of `import monai`.

Inference imports MONAI only through this module. MONAI imports all of its own
subpackages when it is imported: ``monai.deploy`` with Holoscan, ``monai.apps``,
engines with Ignite, TensorBoard, matplotlib, and a JSON grammar. Inference needs
only transforms, networks, inferers and the config parser. If MONAI has already
been imported, nothing changes.
"""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = [
    "Compose",
    "ConfigParser",
    "Inferer",
    "MetaTensor",
    "ReferenceResolver",
    "SlidingWindowInferer",
    "compute_importance_map",
    "import_all",
    "monai",
]

#: Packages that MONAI does not need for inference; each is optional in MONAI.
_NOT_NEEDED = (
    *("cupy", "ignite", "jsonschema", "matplotlib", "pandas", "scipy.signal"),
    *("tensorboard", "torch.utils.tensorboard"),
)


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """Prevent the import of these packages in the block, unless they have already been imported."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None means "not importable"
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


@contextmanager
def _without_submodules() -> Iterator[None]:
    """Keep MONAI from finding its own subpackages, so that it does not import them."""
    walk_packages = pkgutil.walk_packages

    def none(*_: Any, **__: Any) -> Iterator[Any]:
        return iter(())

    pkgutil.walk_packages = none  # type: ignore[assignment]
    try:
        yield
    finally:
        pkgutil.walk_packages = walk_packages
        if (module := sys.modules.get("monai.utils.module")) is not None:
            module.walk_packages = walk_packages  # type: ignore[attr-defined]  # the module has imported the name


if "monai" in sys.modules:
    import monai
else:
    with _without(*_NOT_NEEDED), _without_submodules():
        import monai
        import monai.bundle
        import monai.inferers
        import monai.networks.nets
        import monai.transforms

from monai.bundle import ConfigParser  # noqa: E402
from monai.bundle.reference_resolver import ReferenceResolver  # noqa: E402
from monai.data import MetaTensor  # noqa: E402
from monai.data.utils import compute_importance_map  # noqa: E402
from monai.inferers import Inferer, SlidingWindowInferer  # noqa: E402
from monai.transforms import Compose  # noqa: E402


def import_all() -> None:
    """Import the rest of MONAI, for configs that may name any of its classes by their short names."""
    load_submodules = monai.utils.module.load_submodules
    for load_all in (False, True):  # as MONAI itself does
        load_submodules(monai, load_all, exclude_pattern=r"(^monai\.deploy|\.tests)")
