"""A small label map of two thighs, and a scheme that says what its numbers mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from operators.core import anatomy

FEMUR, QUADRICEPS, HAMSTRINGS = (
    anatomy.by_name(name).index for name in ("femur", "vastus_lateralis", "biceps_femoris")
)
SCHEME = """\
name: two thighs
version: "1"
source: this test
made: manual
structures:
  femur: femur
  biceps_femoris: back
groups:
  vastus: {of: [vastus_lateralis, vastus_intermedius], from: [front]}
labels:
  0: background
  1: femur
  2: front
  3: back
  4: sacrum
  5: erector_spinae_muscle
"""


def thighs(shape: tuple[int, int, int] = (20, 60, 100), mm: float = 2.0) -> NDArray[np.uint8]:
    """Two legs with a bone, a muscle in front and one behind, as numbers of `SCHEME`, shape (z, y, x)."""
    _, y, x = np.indices(shape)
    labels = np.zeros(shape, np.uint8)
    for centre in (28, 72):
        radius = np.hypot(x - centre, y - 30) * mm
        labels[radius < 36] = 3
        labels[(radius < 36) & (y < 30)] = 2
        labels[radius < 10] = 1
    return labels
