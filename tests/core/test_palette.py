"""The colours of structures that lie beside each other can be told apart, also by people who see fewer colours."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from operators.core.anatomy import STRUCTURES

LEAST_DELTA_E = 12.0

# Pairs of label values that come within 6 mm of each other in the label maps of two synthetic participants.
NEIGHBOURS = """
1-2 1-4 1-13 1-14 1-15 1-17 1-19 1-23 1-26 1-27 2-3 2-4 2-5 2-8 2-12 2-13 2-23 2-26 2-27 3-4 3-5 3-6 3-13 3-14
3-18 3-21 3-27 4-5 4-12 4-14 4-15 4-16 4-17 4-19 4-27 5-6 5-12 5-13 5-14 5-15 5-16 5-23 5-27 6-7 6-9 6-10 6-11
6-14 6-18 6-20 6-21 6-22 6-24 6-26 6-27 7-8 7-9 7-13 7-24 7-26 7-27 8-9 8-13 8-26 8-27 9-10 9-26 9-27 10-11
10-14 10-26 11-12 11-14 11-16 11-17 11-18 11-23 11-26 11-27 12-13 12-14 12-15 12-16 12-23 12-26 12-27 13-14
13-24 13-26 14-15 14-16 14-17 14-18 14-19 14-20 14-21 14-26 14-27 15-16 15-17 15-26 15-27 16-17 16-26 16-27
17-18 17-19 17-26 17-27 18-19 18-23 18-26 18-27 19-20 19-21 19-27 20-21 20-26 21-22 21-27 22-23 23-24 23-26
23-27 24-25 24-26 25-26 26-27
"""

# Machado, Oliveira and Fernandes 2009 (doi 10.1109/TVCG.2009.113), severity 1; on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def pairs() -> list[tuple[int, int]]:
    """Neighbours in the body, and neighbours in the table of the page."""
    in_body = [(int(a), int(b)) for a, b in (pair.split("-") for pair in NEIGHBOURS.split())]
    in_table = [(one.index, other.index) for one, other in pairwise(STRUCTURES)]
    return sorted({*in_body, *in_table})


def cielab(rgb: NDArray[np.float64], vision: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE L*a*b* (D65) of sRGB colours, as a person with this vision sees them."""
    part = rgb / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ vision.T, 0, 1) @ TO_XYZ.T / TO_XYZ.sum(axis=1)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def ciede2000(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """The colour difference of CIE 142-2001."""
    lightness, chroma_ab = (one[:, 0], other[:, 0]), (np.hypot(*one.T[1:]), np.hypot(*other.T[1:]))
    seventh = ((chroma_ab[0] + chroma_ab[1]) / 2) ** 7
    stretch = 1.5 - 0.5 * np.sqrt(seventh / (seventh + 25.0**7))
    a, b = (one[:, 1] * stretch, other[:, 1] * stretch), (one[:, 2], other[:, 2])
    chroma = np.hypot(a[0], b[0]), np.hypot(a[1], b[1])
    hue = np.degrees(np.arctan2(b[0], a[0])) % 360, np.degrees(np.arctan2(b[1], a[1])) % 360
    turn = (hue[1] - hue[0] + 180) % 360 - 180
    d_hue = 2 * np.sqrt(chroma[0] * chroma[1]) * np.sin(np.radians(turn / 2))
    mean_l, mean_c, mean_h = (lightness[0] + lightness[1]) / 2, (chroma[0] + chroma[1]) / 2, (hue[0] + turn / 2) % 360
    t = (
        1
        - 0.17 * np.cos(np.radians(mean_h - 30))
        + 0.24 * np.cos(np.radians(2 * mean_h))
        + 0.32 * np.cos(np.radians(3 * mean_h + 6))
        - 0.20 * np.cos(np.radians(4 * mean_h - 63))
    )
    scale_l = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    scale_c, scale_h = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    rotation = (
        -2 * np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((mean_h - 275) / 25) ** 2))))
    )
    l_part, c_part = (lightness[1] - lightness[0]) / scale_l, (chroma[1] - chroma[0]) / scale_c
    h_part = d_hue / scale_h
    return np.asarray(np.sqrt(l_part**2 + c_part**2 + h_part**2 + rotation * c_part * h_part))


def test_ciede2000_agrees_with_its_published_test_data() -> None:
    """Sharma, Wu and Dalal 2005 (doi 10.1002/col.20070), pairs 1, 7, 16 and 25."""
    one = [[50, 2.6772, -79.7751], [50, 0, 0], [50, 2.49, -0.001], [60.2574, -34.0099, 36.2677]]
    other = [[50, 0, -82.7485], [50, -1, 2], [50, -2.49, 0.0011], [60.4626, -34.1751, 39.4387]]
    assert ciede2000(np.array(one), np.array(other)) == pytest.approx([2.0425, 2.3669, 7.2195, 1.2644], abs=1e-4)


@pytest.mark.parametrize("vision", VISION)
def test_neighbours_differ_in_colour(vision: str) -> None:
    colours = cielab(np.array([s.colour_rgb for s in STRUCTURES], dtype=float), VISION[vision])
    one, other = np.array(pairs()).T - 1
    found = ciede2000(colours[one], colours[other])
    worst = int(found.argmin())
    assert found[worst] >= LEAST_DELTA_E, (STRUCTURES[one[worst]].name, STRUCTURES[other[worst]].name)
