"""A few coarse participants for all tests of the bundle. Tests only read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from monai.utils import set_determinism

from tests.bundle.tiny import write_pairs


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five folders in the form that `list_pairs` needs."""
    return write_pairs(tmp_path_factory.mktemp("pairs"), 5)


@pytest.fixture(autouse=True)
def _leave_no_determinism() -> Iterator[None]:
    """Restore the random states: training seeds everything, and later tests must not depend on it."""
    yield
    set_determinism(None)
