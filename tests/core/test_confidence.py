"""Mean and low percentile of the network's confidence, for each label."""

from __future__ import annotations

import numpy as np
import pytest

from operators.core.confidence import confidence_by_label
from operators.core.options import SegmentationOptions
from operators.core.options.declaration import OptionError


def test_it_equals_numpys_percentile() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (6, 20, 20)).astype(np.uint8)
    sure = rng.beta(6, 2, labels.shape).astype(np.float32)
    found = confidence_by_label(labels, sure)
    assert set(found) == {1, 2, 3}
    for value, (mean, low) in found.items():
        voxels = sure[labels == value]
        assert mean == pytest.approx(float(voxels.mean()), abs=1e-5)
        assert low == pytest.approx(float(np.percentile(voxels, 5, method="inverted_cdf")), abs=0.0006)


def test_without_labels_there_is_nothing() -> None:
    assert confidence_by_label(np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3, 4), np.float32)) == {}


def test_the_two_options_exclude_each_other() -> None:
    with pytest.raises(OptionError, match="no_confidence"):
        SegmentationOptions(confidence=True, no_confidence=True)
