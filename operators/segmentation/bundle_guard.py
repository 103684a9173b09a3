"""Check of a bundle's configs before anything in them is evaluated.

MONAI evaluates ``$...`` in a config as Python and calls whatever ``_target_``
names, so loading a bundle runs code that its maker wrote. This module has the
short list of expressions and classes that loading a network needs. Nothing else
ever reaches MONAI.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from operators.core.errors import SegmentationError
from operators.segmentation.monai_parts import ReferenceResolver

__all__ = ["EXPRESSIONS", "TARGETS", "harmless"]

#: Expressions that are allowed in a config, with any white space replaced by one space.
EXPRESSIONS = frozenset(
    {
        "$@network_def.to(@device)",
        "$len(@images)",
        "$torch.device('cpu')",
        "$torch.device('cuda')",
        "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
    }
)
_ELEMENT = re.compile(r"\$@\w+\[\d+\]", re.ASCII)

_NETWORKS = (
    "AttentionUnet",
    "BasicUNet",
    "BasicUNetPlusPlus",
    "DynUNet",
    "HighResNet",
    "SegResNet",
    "SegResNetDS",
    "SwinUNETR",
    "UNet",
    "UNETR",
    "VNet",
)
_TRANSFORMS = (
    "CastToTyped",
    "ClipIntensityPercentilesd",
    "EnsureTyped",
    "GaussianSmoothd",
    "HistogramNormalized",
    "MedianSmoothd",
    "NormalizeIntensityd",
    "Orientationd",
    "ScaleIntensityd",
    "ScaleIntensityRanged",
    "ScaleIntensityRangePercentilesd",
    "Spacingd",
    "SpatialPadd",
    "ThresholdIntensityd",
)
#: MONAI classes that only compute: none takes a path, a URL, a module name or a function from a config. A config names
#: them with or without their package.
TARGETS: Mapping[str, str] = {
    **dict.fromkeys(_NETWORKS, "monai.networks.nets"),
    **dict.fromkeys(_TRANSFORMS, "monai.transforms"),
    "SlidingWindowInferer": "monai.inferers",
}
_TARGET, _DESCRIPTION = "_target_", "_desc_"


def harmless(config: Mapping[str, Any], needed: Iterable[str], where: str) -> dict[str, Any]:
    """The part of a config that ``needed`` refers to, if it contains only what is on the lists above.

    The rest of the config, including imports, is dropped, so it is never
    evaluated.

    Parameters
    ----------
    config : mapping
        As merged by MONAI from its files, not evaluated.
    needed : iterable of str
        Keys whose content will be used; missing keys are ignored.
    where : str
        Name of the bundle in messages.

    Raises
    ------
    SegmentationError
        For an expression, a class or a macro that is not on the lists; the error names its key.
    """
    kept: dict[str, Any] = {}
    waiting = list(needed)
    while waiting:
        key = waiting.pop()
        if key in kept or key not in config:
            continue
        kept[key] = config[key]
        for name, value in _leaves(key, config[key], where):
            _check(name, value, where)
            if isinstance(value, str):
                waiting += [identifier.split("::")[0] for identifier in ReferenceResolver.match_refs_pattern(value)]
    return kept


def _leaves(name: str, value: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Names and values of everything in a config that is not a container, and of every ``_target_``."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if str(key).startswith("_") and _TARGET in value and key not in (_TARGET, _DESCRIPTION):
                raise _refusal(where, f"{name}#{key}", "a directive of MONAI")
            if key == _TARGET:
                yield f"{name}#{key}", item
            else:
                yield from _leaves(f"{name}#{key}", item, where)
    elif isinstance(value, list | tuple | set | frozenset):
        for index, item in enumerate(value):
            yield from _leaves(f"{name}#{index}", item, where)
    else:
        yield name, value


def _check(name: str, value: Any, where: str) -> None:
    if name.endswith(f"#{_TARGET}"):
        package, _, short = value.rpartition(".") if isinstance(value, str) else ("", "", "")
        if short not in TARGETS or package not in ("", TARGETS[short]):
            raise _refusal(where, name, repr(value))
    elif isinstance(value, str) and value.startswith("$"):
        written = " ".join(value.split())
        if written not in EXPRESSIONS and not _ELEMENT.fullmatch(written):
            raise _refusal(where, name, repr(written))
    elif isinstance(value, str) and value.startswith("%"):  # includes another file
        raise _refusal(where, name, repr(value))


def _refusal(where: str, name: str, found: str) -> SegmentationError:
    short = found if len(found) <= 80 else f"{found[:77]}..."
    return SegmentationError(
        f"{where}, key {name}",
        f"{short}, which would be run as code",
        "the expressions and classes of the shipped configs (docs/security.md lists them)",
        "Read the configs. If you trust their author, run again with --trust-bundle.",
    )
