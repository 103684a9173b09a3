"""Muscles of the thigh that have each other's names in labels made elsewhere or edited by hand.

Two neighbours that are exchanged leave the centres of the groups nearly where
they were. So single muscles are compared, leg by leg and slice by slice:
quadriceps lie in front of hamstrings, and medial muscles nearer to the other leg
than lateral ones. Semimembranosus and semitendinosus lie side by side, but the
belly of the one is low in the thigh and that of the other high.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from operators.core.anatomy import HAMSTRINGS, QUADRICEPS, by_index, by_name
from operators.core.volume import Grid, QualityFlag, Volume

__all__ = ["Wrong", "exchanged_flags", "wrong_places"]

_IN_FRONT = frozenset(
    (
        *product(QUADRICEPS, HAMSTRINGS),
        *product(("rectus_femoris", "vastus_medialis", "adductor_longus"), ("adductor_magnus",)),
        ("rectus_femoris", "vastus_intermedius"),
    )
)
_MEDIAL = frozenset(
    (
        *product(("gracilis", "adductor_longus"), ("rectus_femoris", "vastus_intermedius", "vastus_lateralis")),
        *product(("adductor_magnus", "vastus_medialis", "vastus_intermedius", "rectus_femoris"), ("vastus_lateralis",)),
        *product(("gracilis", "semimembranosus", "semitendinosus"), ("biceps_femoris", "vastus_lateralis")),
        ("vastus_medialis", "vastus_intermedius"),
    )
)
_LOWER = ("semimembranosus", "semitendinosus")
"""The first takes an ever larger share of the two further down."""

_NAMES = frozenset(name for pair in (*_IN_FRONT, *_MEDIAL, _LOWER) for name in pair)

_LEAST_MM2 = 50.0
"""Of a muscle in a slice."""
_LEAST_MM = 60.0
"""Height in which both muscles are seen."""
_BETWEEN_FEMURS_MM = 40.0
_LEAST_APART_MM = 10.0
"""Between quadriceps and hamstrings, for the direction of one from the other to be known."""
_WRONG = 0.75
"""Of the slices. Labels drawn by hand in four people have 0.05 at most, phantoms less, exchanged muscles nearly all."""

_SHARE_FALLS = 0.1
"""How much less of the two the semimembranosus is in the lower half of what both show than in the upper. In truth it is
more: by 0.39 to 0.56 in the whole thighs of 40 phantoms, by 0.03 at least in slabs of them, and by 0.09 and 0.16 in the
upper 70 mm of a person's thighs. Exchanged, it is less by as much."""

_MOST_OF_BOTH = 0.7
"""Share of the semimembranosus in the lower half above which it is itself: the other is a thin tendon at the knee."""


class Wrong(NamedTuple):
    """Two muscles that lie the wrong way round in most slices of a leg.

    Attributes
    ----------
    one, relation, other : str
        What the labels do not show: ``rectus_femoris``, ``in front of``, ``biceps_femoris``.
    legs : tuple of str
        ``left`` and ``right``; empty where one leg only is labelled, or the two cannot be told apart.
    """

    one: str
    relation: str
    other: str
    legs: tuple[str, ...]


class _Profile(NamedTuple):
    """One muscle of one leg by slice.

    Attributes
    ----------
    mm2 : ndarray, shape (z,)
        Cross-section; 0 where it is not seen.
    place : ndarray, shape (z, 2)
        Its centre, in mm outwards from the middle between the legs and backwards; NaN where it is not seen.
    """

    mm2: NDArray[np.float64]
    place: NDArray[np.float64]


def exchanged_flags(
    labels: NDArray[np.uint8],
    grid: Grid,
    groups: Mapping[str, Sequence[str]] = MappingProxyType({}),
    group_voxels: Volume | None = None,
) -> tuple[QualityFlag, ...]:
    """``implausible-anatomy`` (warning) where muscles of the thigh lie on the wrong side of each other.

    Parameters
    ----------
    labels : ndarray, shape (z, y, x), uint8
        Numbers of the label table.
    grid : Grid
    groups : mapping of str to sequence of str, optional
        Structures that are labelled only together; see `LabelMap`.
    group_voxels : Volume, optional
        uint8 on the same grid: the number of a group, counted from 1.
    """
    wrong = wrong_places(labels, grid, groups, group_voxels)
    if not wrong:
        return ()
    message = (
        f"The labels do not show {'; '.join(map(_clause, wrong))}. Some muscles may have each other's names: look at "
        "the labels; if another tool made them, check --scheme and the version of the tool."
    )
    return (QualityFlag("implausible-anatomy", "warning", message),)


def wrong_places(
    labels: NDArray[np.uint8],
    grid: Grid,
    groups: Mapping[str, Sequence[str]] = MappingProxyType({}),
    group_voxels: Volume | None = None,
) -> tuple[Wrong, ...]:
    """The pairs that lie the wrong way round in a leg; parameters as for `exchanged_flags`."""
    members: dict[str, tuple[str, ...]] = {name: (name,) for name in _NAMES}
    masks = [(by_index(n).name, labels[box] == n, box) for n, box in enumerate(find_objects(labels), start=1) if box]
    if group_voxels is not None:
        members |= {name: tuple(of) for name, of in groups.items() if _NAMES.issuperset(of)}
        numbers, names = np.asarray(group_voxels.voxels, dtype=np.uint8), list(groups)
        boxes = enumerate(find_objects(numbers), start=1)
        masks += [(names[n - 1], numbers[box] == n, box) for n, box in boxes if box]
    middles = _middles(labels, grid)
    between = np.isin(np.arange(len(labels)), list(middles))
    legs: dict[str, dict[str, _Profile]] = {leg: {} for leg in (("left", "right") if middles else ("",))}
    for name, where, box in masks:
        if name in members:
            for leg, profile in _profiles(where, box, grid, middles):
                legs[leg][name] = profile
    found: dict[tuple[str, str, str], list[str]] = {}
    for leg, profiles in legs.items():
        for triple in _wrong_in_leg(profiles, members, between, grid.spacing_mm[2]):
            found.setdefault(triple, []).append(leg)
    return tuple(Wrong(*triple, tuple(filter(None, where))) for triple, where in found.items())


def _wrong_in_leg(
    profiles: Mapping[str, _Profile], members: Mapping[str, Sequence[str]], between: NDArray[np.bool_], slice_mm: float
) -> Iterator[tuple[str, str, str]]:
    back = _backwards(profiles, members)
    for one, other in product(profiles, profiles):
        pairs = set(product(members[one], members[other]))
        apart = profiles[one].place - profiles[other].place
        if pairs <= _IN_FRONT and _mostly_along(apart, np.array([[0.0, 1.0], back]), slice_mm):
            yield one, "in front of", other
        outwards = np.array([back[1], -back[0]]) * (1 if back[1] >= 0 else -1)
        if pairs <= _MEDIAL and _mostly_along(apart[between], np.array([[1.0, 0.0], outwards]), slice_mm):
            yield one, "medial of", other
        if (one, other) == _LOWER and _is_exchanged_in_height(profiles[one].mm2, profiles[other].mm2, slice_mm):
            yield one, "with its belly further down than that of", other


def _mostly_along(apart: NDArray[np.float64], directions: NDArray[np.float64], slice_mm: float) -> bool:
    """Whether one muscle lies beyond another along each of the directions, in most slices that show both.

    The first direction is that of the body, the second that of the leg, which may be turned about its length.
    """
    shared = apart[np.isfinite(apart).all(axis=1)]
    if len(shared) * slice_mm < _LEAST_MM:
        return False
    return all(np.count_nonzero(shared @ along > 0) > _WRONG * len(shared) for along in directions)


def _is_exchanged_in_height(one: NDArray[np.float64], other: NDArray[np.float64], slice_mm: float) -> bool:
    """Whether the first, which has its belly further down, takes a smaller share of the two further down."""
    shared = np.flatnonzero((one > 0) & (other > 0))
    if len(shared) * slice_mm < _LEAST_MM:
        return False
    half = len(shared) // 2
    low, high = (one[part].sum() / (one + other)[part].sum() for part in (shared[:half], shared[-half:]))
    return bool(high - low > _SHARE_FALLS and low < _MOST_OF_BOTH)


def _backwards(profiles: Mapping[str, _Profile], members: Mapping[str, Sequence[str]]) -> NDArray[np.float64]:
    """From the quadriceps to the hamstrings of a leg: the direction outwards and backwards, of length 1.

    Single muscles count alike, so that two that are exchanged turn it little.
    """
    sides = [
        [profile.place for name, profile in profiles.items() if set(group).issuperset(members[name])]
        for group in (HAMSTRINGS, QUADRICEPS)
    ]
    if not all(sides):
        return np.array([0.0, 1.0])
    behind, front = (_mean_place(np.stack(places)) for places in sides)
    both = np.isfinite(behind - front).all(axis=1)
    along = (behind - front)[both].mean(axis=0) if both.any() else np.zeros(2)
    length = float(np.hypot(*along))
    return along / length if length > _LEAST_APART_MM else np.array([0.0, 1.0])


def _mean_place(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the muscles that a slice shows, of places with shape (muscle, z, 2); NaN where it shows none."""
    seen = np.count_nonzero(np.isfinite(places), axis=0)
    return np.where(seen > 0, np.nansum(places, axis=0) / np.maximum(seen, 1), np.nan)


def _profiles(
    where: NDArray[np.bool_], box: tuple[slice, ...], grid: Grid, middles: Mapping[int, float]
) -> Iterator[tuple[str, _Profile]]:
    """A muscle's profile in each leg; in both together where nothing tells them apart."""
    x_mm, y_mm, _ = grid.spacing_mm
    backwards, leftwards = np.sign(grid.affine[1, 1]), np.sign(grid.affine[0, 0])
    z, y, x = (np.arange(along.start, along.stop) for along in box)
    voxels = np.count_nonzero(where, axis=1)
    rows = np.stack([y @ part for part in where])
    # Legs go on beyond the slices that show two femurs.
    middle = np.interp(z, list(middles), list(middles.values())) if middles else np.zeros(z.size)
    from_middle = x - middle[:, None]
    to_left = from_middle * leftwards > 0
    for leg, inside in (("left", to_left), ("right", ~to_left)) if middles else (("", np.ones_like(to_left)),):
        counts = (voxels * inside).sum(axis=1)
        seen = counts * x_mm * y_mm >= _LEAST_MM2
        outwards = (voxels * abs(from_middle) * inside).sum(axis=1)[seen] * x_mm / counts[seen]
        depth = backwards * (rows * inside).sum(axis=1)[seen] * y_mm / counts[seen]
        profile = _Profile(np.zeros(grid.shape[0]), np.full((grid.shape[0], 2), np.nan))
        profile.mm2[z[seen]] = counts[seen] * x_mm * y_mm
        profile.place[z[seen]] = np.stack([outwards, depth], axis=1)
        yield leg, profile


def _middles(labels: NDArray[np.uint8], grid: Grid) -> dict[int, float]:
    """By slice, the column in the middle between two femurs; slices that show one leg have none."""
    columns = (labels == by_name("femur").index).any(axis=1)
    found = {}
    for z in np.flatnonzero(columns.any(axis=1)).tolist():
        x = np.flatnonzero(columns[z])
        gaps = np.diff(x)
        if gaps.size and gaps.max() * grid.spacing_mm[0] >= _BETWEEN_FEMURS_MM:
            at = int(gaps.argmax())
            found[z] = float(x[at] + x[at + 1]) / 2
    return found


def _clause(wrong: Wrong) -> str:
    where = f" (in the {wrong.legs[0]} leg)" if len(wrong.legs) == 1 else ""
    return f"the {_called(wrong.one)} {wrong.relation} the {_called(wrong.other)}{where}"


def _called(name: str) -> str:
    return by_name(name).display_name.lower() if name in _NAMES else name.replace("_", " ")
