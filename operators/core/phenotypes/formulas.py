"""The phenotypes' formulas (method, section 6), on volumes by structure.

They take single numbers, or arrays with one value for each body.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from operators.core.anatomy import HAMSTRINGS, QUADRICEPS

__all__ = ["left_right_asymmetry", "posterior_anterior_ratio", "ratio", "total_volume", "total_volume_index"]


def total_volume(
    volumes_cm3: Mapping[str, Any], names: Iterable[str], groups: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> Any:
    """Sum over structures; None when one of them is absent.

    Other tools label some muscles only as a group. The group's volume is used
    if all of its structures are among ``names`` and none of them has its own
    volume.
    """
    wanted = set(names)
    for group, members in groups.items():
        if group in volumes_cm3 and wanted.issuperset(members) and not any(name in volumes_cm3 for name in members):
            wanted = (wanted - set(members)) | {group}
    parts = [volumes_cm3.get(name) for name in sorted(wanted)]
    return None if any(part is None for part in parts) else sum(parts)


def ratio(numerator: Any, denominator: Any) -> Any:
    """One over the other; None when either is None or the denominator is not positive.

    Examples
    --------
    >>> ratio(1.0, 4.0)
    0.25
    """
    if numerator is None or denominator is None or not np.all(np.asarray(denominator) > 0):
        return None
    return numerator / denominator


def posterior_anterior_ratio(
    volumes_cm3: Mapping[str, Any], groups: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> Any:
    """Hamstring over quadriceps volume (method, section 6); None when a muscle of either group is absent.

    ``groups`` as for `total_volume`.

    Examples
    --------
    >>> volumes = {"semimembranosus": 200.0, "semitendinosus": 150.0, "biceps_femoris": 250.0}
    >>> volumes |= {"rectus_femoris": 200.0, "vastus_lateralis": 500.0}
    >>> volumes |= {"vastus_medialis": 300.0, "vastus_intermedius": 500.0}
    >>> posterior_anterior_ratio(volumes)
    0.4
    """
    return ratio(total_volume(volumes_cm3, HAMSTRINGS, groups), total_volume(volumes_cm3, QUADRICEPS, groups))


def total_volume_index(tmv_cm3: Any, height_m: Any) -> Any:
    """TVI: total muscle volume over squared height, cm3/cm2 (method, section 8.2).

    Examples
    --------
    >>> round(total_volume_index(9321.7, 1.692), 3)
    0.326
    """
    return ratio(tmv_cm3, None if height_m is None else (100 * height_m) ** 2)


def left_right_asymmetry(left: Any, right: Any) -> Any:
    """|left - right| / larger, as a fraction (method, section 6 and 8.12); None when either is None."""
    if left is None or right is None:
        return None
    return ratio(abs(left - right), np.maximum(left, right))
