"""The phenotypes' formulas (method, section 6), on volumes by structure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from operators.core.anatomy import HAMSTRINGS, QUADRICEPS

__all__ = ["left_right_asymmetry", "posterior_anterior_ratio", "total_volume", "total_volume_index"]


def total_volume(
    volumes_cm3: Mapping[str, float], names: Iterable[str], groups: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> float | None:
    """Sum over structures; None when one of them is absent.

    A group whose structures are all among ``names``, and of which none has a
    volume of its own, may stand for them: labels of other tools know some
    muscles only together.
    """
    wanted = set(names)
    for group, members in groups.items():
        if group in volumes_cm3 and wanted.issuperset(members) and not any(name in volumes_cm3 for name in members):
            wanted = (wanted - set(members)) | {group}
    parts = [volumes_cm3.get(name) for name in sorted(wanted)]
    return None if any(part is None for part in parts) else float(sum(part for part in parts if part is not None))


def posterior_anterior_ratio(
    volumes_cm3: Mapping[str, float], groups: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> float | None:
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
    posterior = total_volume(volumes_cm3, HAMSTRINGS, groups)
    anterior = total_volume(volumes_cm3, QUADRICEPS, groups)
    return posterior / anterior if posterior is not None and anterior else None


def total_volume_index(tmv_cm3: float | None, height_m: float | None) -> float | None:
    """TVI: total muscle volume over squared height, cm3/cm2 (method, section 8.2).

    Examples
    --------
    >>> round(total_volume_index(9321.7, 1.692), 3)
    0.326
    """
    return tmv_cm3 / (100 * height_m) ** 2 if tmv_cm3 is not None and height_m else None


def left_right_asymmetry(left: float | None, right: float | None) -> float | None:
    """|left - right| / larger, as a fraction (method, sections 6 and 8.12)."""
    if left is None or right is None or max(left, right) <= 0:
        return None
    return abs(left - right) / max(left, right)
