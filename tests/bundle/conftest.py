"""A few coarse participants, shared by all tests of the bundle, which only read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from monai.utils import set_determinism

from tests.bundle.tiny import write_pairs


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five folders as `list_pairs` wants them."""
    return write_pairs(tmp_path_factory.mktemp("pairs"), 5)


@pytest.fixture(autouse=True)
def _leave_no_determinism() -> Iterator[None]:
    """Training seeds everything; the tests after it are to be as they were."""
    yield
    set_determinism(None)
