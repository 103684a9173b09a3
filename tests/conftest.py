"""Keep exports of tests out of the user's cache, and keep loggers from closing pytest's captured streams."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import absl.logging
import pytest

# MONAI's `run` shuts down every log handler. That of absl, which comes with TensorBoard, then closes the stream that
# was standard error when it was made. Under pytest this is the capture's file, and every later test would fail.
absl.logging.get_absl_handler().python_handler.setStream(sys.__stderr__)


@pytest.fixture(scope="session", autouse=True)
def cache_folder_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SARCOMAP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
